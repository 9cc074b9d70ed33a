//! What asks the exchange to stop: SIGTERM and SIGINT, heard from before recovery until the end.

use std::io;
use std::process::exit;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::signal::unix::{SignalKind, signal};

/// Whether there is something to be worked off before the process may end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Recovery may be killed at any step, so a signal ends the process at once, and cleanly.
    Recovering,
    /// Commands may have been taken: a signal waits for whoever stops the exchange.
    Running,
}

/// The signals, once they are listened for.
pub(super) struct StopSignals {
    heard: Receiver<&'static str>,
    phase: Arc<Mutex<Phase>>,
}

impl StopSignals {
    /// Listens from now on. Later signals than the first change nothing: the exchange is stopping then.
    ///
    /// # Errors
    /// What the operating system refused.
    pub(super) fn listen() -> io::Result<StopSignals> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (mut terminate, mut interrupt) = {
            let _entered = runtime.enter();
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        let (tell, heard) = sync_channel(1);
        let phase = Arc::new(Mutex::new(Phase::Recovering));
        let seen = Arc::clone(&phase);
        let listen = move || {
            let name = runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                }
            });
            hear(name, &seen, &tell);
        };
        thread::Builder::new().name("signals".to_owned()).spawn(listen)?;
        Ok(StopSignals { heard, phase })
    }

    /// Recovery is over: from now on a signal is kept until [`Self::wait`] asks for it.
    pub(super) fn recovered(&self) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = Phase::Running;
    }

    /// Waits for the first signal; its name.
    pub(super) fn wait(&self) -> &'static str {
        self.heard
            .recv()
            .expect("the thread tells one signal before it ends")
    }
}

fn hear(name: &'static str, phase: &Mutex<Phase>, tell: &SyncSender<&'static str>) {
    // Held to the end: recovery cannot end between the look and the exit.
    let phase = phase.lock().unwrap_or_else(PoisonError::into_inner);
    match *phase {
        Phase::Recovering => {
            tracing::info!(
                signal = name,
                "stopped before recovery was over; nobody was let in"
            );
            exit(i32::from(crate::exit::Exit::Done.code()))
        }
        // An error means that the exchange could not start: the process is ending by itself.
        Phase::Running => drop(tell.send(name)),
    }
}
