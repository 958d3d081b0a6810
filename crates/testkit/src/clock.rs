//! A clock that stands still until a test turns it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::{Clock, Now};

/// 2026-05-13T12:00:00Z, in milliseconds since 1970: where every manual clock begins.
const NOON_MS: u64 = 1_778_673_600_000;
/// The monotonic clock of a machine that has been up for a while.
const UP_NS: u64 = 1_000_000_000_000;

/// A clock turned by hand. Both readings move together unless a test steps the wall clock alone.
#[derive(Debug)]
pub struct ManualClock {
    mono_ns: AtomicU64,
    wall_ms: AtomicU64,
    faulty: AtomicBool,
}

impl Default for ManualClock {
    fn default() -> Self {
        Self {
            mono_ns: AtomicU64::new(UP_NS),
            wall_ms: AtomicU64::new(NOON_MS),
            faulty: AtomicBool::default(),
        }
    }
}

impl ManualClock {
    /// Time passes.
    pub fn advance(&self, by: Duration) {
        self.mono_ns.fetch_add(u64::try_from(by.as_nanos()).unwrap(), Ordering::SeqCst);
        self.wall_ms.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Somebody sets the wall clock back. The monotonic clock does not notice.
    pub fn set_back(&self, by: Duration) {
        self.wall_ms.fetch_sub(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// The next reading on a thread that serves calls panics: a fault of our own in the middle of a call.
    pub fn fault(&self) {
        self.faulty.store(true, Ordering::SeqCst);
    }

    /// Time passes until this moment of the present UTC day, given as hours, minutes and seconds.
    pub fn advance_to(&self, hours: u64, minutes: u64, seconds: u64) {
        let wall_ms = self.now().wall_ms;
        let target = self.now().day().start_ms() + (hours * 3_600 + minutes * 60 + seconds) * 1_000;
        self.advance(Duration::from_millis(
            target.checked_sub(wall_ms).expect("that moment has passed today"),
        ));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Now {
        let serves = || std::thread::current().name().is_some_and(|name| name.starts_with("worker-"));
        if self.faulty.load(Ordering::SeqCst) && serves() && self.faulty.swap(false, Ordering::SeqCst) {
            panic!("the clock has a fault, as the test wants it");
        }
        Now { mono_ns: self.mono_ns.load(Ordering::SeqCst), wall_ms: self.wall_ms.load(Ordering::SeqCst) }
    }
}
