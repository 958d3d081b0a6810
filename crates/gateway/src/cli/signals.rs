//! The signals that end the program. They are caught before anything is announced: whoever reads that the gateway
//! serves may stop it at once.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long a second signal waits for the ledger. It is written within milliseconds, unless the disk does not answer.
const RECORDING_MAX: Duration = Duration::from_secs(2);

/// Signals, caught from the moment this is made.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits until somebody wants the program to end. Meanwhile SIGHUP asks to `reload` what can be reloaded.
    pub(super) async fn stop(&mut self, reload: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                // Without a handler it would end the process, and calls with it.
                _ = self.hangup.recv() => reload(),
            }
        }
    }

    /// From now on a further signal does not wait for anybody but for what is `recorded` and not on disk yet: a few
    /// milliseconds' worth of calls that were answered.
    pub(super) fn then_exit_at_once(mut self, recorded: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(async move {
            self.stop(|| tracing::warn!("SIGHUP: the gateway stops; nothing is reloaded")).await;
            if tokio::time::timeout(RECORDING_MAX, recorded).await.is_err() {
                tracing::error!(
                    "the ledger could not be written in time; the next start takes calls of the last moments from the journal"
                );
            }
            exit_at_once();
        });
    }
}

#[expect(clippy::disallowed_methods, reason = "a second signal asks for exactly this")]
fn exit_at_once() -> ! {
    std::process::exit(1)
}
