//! The way to the disk: a bounded queue and one thread, so that no call ever waits for a file.
//!
//! What does not fit the queue, or what the disk refuses, is lost, and one line a minute says how many that were.
//! Begins at [`Disk::hand_over`] on the calls' side, [`Writer::run`] on the other.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::allowance::Allowance;
use super::line;
use super::recorded::{DecisionFacts, Recorded};
use super::segments::Segments;

/// Refusals that may wait for the disk; at some 2 KB each 2 MB.
const QUEUE_MAX: usize = 1_024;
/// Between two lines in the log about what was lost.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// The calls' side.
#[derive(Debug)]
pub(super) struct Disk {
    sender: SyncSender<Message>,
    allowance: Mutex<Allowance>,
    /// Refusals that found the queue full, since the last report.
    crowded_out: Arc<AtomicU64>,
    /// Refusals that were lost for this reason or because the disk took none, since the start.
    lost: Arc<AtomicU64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
enum Message {
    Refusal(Box<Recorded>),
    Close,
}

impl Disk {
    /// Takes up what is in the folder. `None` if nothing may be kept there, or nothing can: the log says why.
    pub(super) fn open(folder: &Path, bytes_max: u64) -> Option<Self> {
        match Self::try_open(folder, bytes_max) {
            Ok(disk) => disk,
            Err(error) => {
                let folder = folder.display();
                tracing::warn!(%error, %folder, "refusals cannot be kept on disk; the last decisions are in memory");
                None
            }
        }
    }

    fn try_open(folder: &Path, bytes_max: u64) -> io::Result<Option<Self>> {
        let segments = Segments::open(folder, bytes_max)?;
        if bytes_max == 0 {
            return Ok(None);
        }
        let (sender, receiver) = mpsc::sync_channel(QUEUE_MAX);
        let crowded_out = Arc::new(AtomicU64::new(0));
        let lost = Arc::new(AtomicU64::new(0));
        let losses = Losses::new(Arc::clone(&crowded_out), Arc::clone(&lost));
        let writer = Writer { segments, receiver, losses };
        let thread = thread::Builder::new().name("decisions".to_owned()).spawn(move || writer.run())?;
        let thread = Mutex::new(Some(thread));
        Ok(Some(Self { sender, allowance: Mutex::default(), crowded_out, lost, thread }))
    }

    /// Whether this refusal goes to disk; it is counted if so.
    pub(super) fn takes(&self, facts: &DecisionFacts) -> bool {
        self.allowance.lock().unwrap_or_else(PoisonError::into_inner).take(facts)
    }

    /// Has a refusal written, unless too many wait.
    pub(super) fn hand_over(&self, refusal: Recorded) {
        if self.sender.try_send(Message::Refusal(Box::new(refusal))).is_err() {
            self.crowded_out.fetch_add(1, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Ends when everything that was handed over is written.
    pub(super) fn close(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        // If nobody hears it, the thread has ended already.
        let _ = self.sender.send(Message::Close);
        if thread.join().is_err() {
            tracing::error!(
                "the thread that writes refusals ended by a fault; what it had not written is lost"
            );
        }
    }
}

struct Writer {
    segments: Segments,
    receiver: Receiver<Message>,
    losses: Losses,
}

impl Writer {
    fn run(mut self) {
        loop {
            match self.receiver.recv_timeout(REPORT_EVERY) {
                Ok(Message::Refusal(refusal)) => self.write(&refusal),
                Err(RecvTimeoutError::Timeout) => self.losses.report(),
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => return self.losses.report(),
            }
        }
    }

    fn write(&mut self, refusal: &Recorded) {
        if let Err(error) = line::write(refusal).and_then(|line| self.segments.append(&line)) {
            self.losses.refused_by_disk(error);
        }
        self.losses.report_when_due(refusal.facts.at.mono_ns);
    }
}

/// What was lost since it was last said.
struct Losses {
    crowded_out: Arc<AtomicU64>,
    /// Of both kinds, since the start.
    lost: Arc<AtomicU64>,
    refused: u64,
    error: Option<io::Error>,
    said_ns: Option<u64>,
}

impl Losses {
    fn new(crowded_out: Arc<AtomicU64>, lost: Arc<AtomicU64>) -> Self {
        Self { crowded_out, lost, refused: 0, error: None, said_ns: None }
    }

    fn refused_by_disk(&mut self, error: io::Error) {
        self.refused += 1;
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.error = Some(error);
    }

    fn report_when_due(&mut self, now_ns: u64) {
        let is_due = |said: u64| u128::from(now_ns.saturating_sub(said)) >= REPORT_EVERY.as_nanos();
        let is_something = self.refused > 0 || self.crowded_out.load(Ordering::Relaxed) > 0;
        if is_something && self.said_ns.is_none_or(is_due) {
            self.said_ns = Some(now_ns);
            self.report();
        }
    }

    fn report(&mut self) {
        let crowded_out = self.crowded_out.swap(0, Ordering::Relaxed);
        let refused = std::mem::take(&mut self.refused);
        if let Some(error) = self.error.take() {
            tracing::warn!(%error, refusals = refused, "the disk took no record of refusals; calls go on");
        }
        if crowded_out > 0 {
            tracing::warn!(
                refusals = crowded_out,
                "refusals came faster than they could be recorded on disk"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_makes_nobody_wait_and_what_it_did_not_take_is_counted() {
        let (sender, receiver) = mpsc::sync_channel(2);
        let (crowded_out, lost, thread) = (Arc::default(), Arc::default(), Mutex::default());
        let disk = Disk { sender, allowance: Mutex::default(), crowded_out, lost, thread };
        for nth in 0..5 {
            disk.hand_over(Recorded { facts: DecisionFacts::refused(nth), states: Vec::new() });
        }
        assert_eq!((disk.crowded_out.load(Ordering::Relaxed), disk.lost()), (3, 3));
        assert_eq!(receiver.try_iter().count(), 2);
    }

    #[test]
    fn what_is_lost_is_said_at_once_and_then_once_a_minute() {
        let mut losses = Losses::new(Arc::default(), Arc::default());
        let mut lost_at = |second: u64| {
            losses.refused_by_disk(io::Error::other("no space"));
            losses.report_when_due(second * 1_000_000_000);
            losses.refused
        };
        assert_eq!([0, 1, 59, 60, 61].map(&mut lost_at), [0, 1, 2, 0, 1]);
        assert_eq!(losses.lost.load(Ordering::Relaxed), 5, "what was said is still lost");
        let mut losses = Losses::new(Arc::new(AtomicU64::new(9)), Arc::default());
        losses.report_when_due(0);
        assert_eq!(losses.crowded_out.load(Ordering::Relaxed), 0);
    }
}
