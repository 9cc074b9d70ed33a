//! What signals ask of the exchange: SIGTERM and SIGINT to stop, heard from before recovery until the end; SIGHUP to read
//! its keys again.

use std::io;
use std::process::exit;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::signal::unix::{SignalKind, signal};

/// Signals that wait to be asked for.
const WAITING: usize = 2;

/// Whether there is something to be worked off before the process may end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Recovery may be killed at any step, so a signal ends the process at once, and cleanly.
    Recovering,
    /// Commands may have been taken: a signal waits for whoever stops the exchange.
    Running,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To stop: SIGTERM or SIGINT, by name.
    Stop(&'static str),
    /// To read the keys again: SIGHUP.
    RenewKeys,
}

/// The signals, once they are listened for.
pub(super) struct Signals {
    heard: Receiver<Asked>,
    phase: Arc<Mutex<Phase>>,
}

impl Signals {
    /// Listens from now on. Signals after one that asks to stop change nothing: the exchange is stopping then.
    ///
    /// # Errors
    /// What the operating system refused.
    pub(super) fn listen() -> io::Result<Signals> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (mut terminate, mut interrupt, mut hang_up) = {
            let _entered = runtime.enter();
            (
                signal(SignalKind::terminate())?,
                signal(SignalKind::interrupt())?,
                signal(SignalKind::hangup())?,
            )
        };
        let (tell, heard) = sync_channel(WAITING);
        let phase = Arc::new(Mutex::new(Phase::Recovering));
        let seen = Arc::clone(&phase);
        let listen = move || {
            runtime.block_on(async {
                loop {
                    let asked = tokio::select! {
                        _ = terminate.recv() => Asked::Stop("SIGTERM"),
                        _ = interrupt.recv() => Asked::Stop("SIGINT"),
                        _ = hang_up.recv() => Asked::RenewKeys,
                    };
                    hear(asked, &seen, &tell);
                    if asked != Asked::RenewKeys {
                        return;
                    }
                }
            });
        };
        thread::Builder::new().name("signals".to_owned()).spawn(listen)?;
        Ok(Signals { heard, phase })
    }

    /// Recovery is over: from now on a signal is kept until [`Self::wait`] asks for it.
    pub(super) fn recovered(&self) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = Phase::Running;
    }

    /// Waits for the next signal; none follows one that asks to stop.
    pub(super) fn wait(&self) -> Asked {
        self.heard
            .recv()
            .expect("the thread tells of a stop before it ends")
    }
}

fn hear(asked: Asked, phase: &Mutex<Phase>, tell: &SyncSender<Asked>) {
    // Held to the end: recovery cannot end between the look and the exit.
    let phase = phase.lock().unwrap_or_else(PoisonError::into_inner);
    match (*phase, asked) {
        (Phase::Recovering, Asked::Stop(signal)) => {
            tracing::info!(signal, "stopped before recovery was over; nobody was let in");
            exit(i32::from(crate::exit::Exit::Done.code()))
        }
        // The keys are read when recovery is over.
        (Phase::Recovering, Asked::RenewKeys) => {}
        // An error means that the exchange could not start: the process is ending by itself.
        (Phase::Running, Asked::Stop(_)) => drop(tell.send(asked)),
        // As many wait as one could want: they all ask for the same.
        (Phase::Running, Asked::RenewKeys) => drop(tell.try_send(asked)),
    }
}
