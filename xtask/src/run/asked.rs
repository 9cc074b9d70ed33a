//! What asks a run to end: Ctrl-C, SIGTERM, and a terminal that is closed.

use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, kept from [`Asked::listen`] on until they are asked for.
pub struct Asked {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    heard: bool,
}

impl Asked {
    /// Listens from now on: none of them ends this process by itself any more.
    pub fn listen(runtime: &Runtime) -> std::io::Result<Asked> {
        let _entered = runtime.enter();
        Ok(Asked {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            heard: false,
        })
    }

    /// Waits for the first of them; returns at once when it has been.
    pub async fn wait(&mut self) {
        if !self.heard {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
                _ = self.hang_up.recv() => {}
            }
            self.heard = true;
        }
    }

    /// Whether one has been, outside of the runtime.
    pub fn is_heard(&mut self, runtime: &Runtime) -> bool {
        // The pause lets the runtime take in what the kernel has told it.
        let looking = async { tokio::time::timeout(Duration::from_millis(1), self.wait()).await };
        runtime.block_on(looking).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal, getpid, kill_process};

    #[test]
    fn a_signal_before_anyone_waits_is_kept() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let mut asked = Asked::listen(&runtime).expect("signals can be heard");
        assert!(!asked.is_heard(&runtime));
        kill_process(getpid(), Signal::TERM).expect("it is this very process");
        runtime.block_on(asked.wait());
        assert!(asked.is_heard(&runtime), "it stays heard");
    }
}
