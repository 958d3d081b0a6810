//! Reading on for callers who have left, so that what their calls used is known.
//!
//! Guarantees: bounded in number, and in time. What finds no place is dropped at once, and so is what does not come to
//! its end in time: calls settle where they are dropped, with what is known of them.
//! Knows nothing of: what is read.
//! Begins at [`Drains::read_on`].

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Answers that are read on at once.
const DRAINS_MAX: usize = 1_024;

/// The places for answers that are read on.
#[derive(Debug)]
pub(crate) struct Drains {
    free: Arc<Semaphore>,
    /// How long each may take.
    within: Duration,
}

impl Drains {
    pub(crate) fn new(within: Duration) -> Self {
        Self { free: Arc::new(Semaphore::new(DRAINS_MAX)), within }
    }

    /// Goes on with `rest` in a task of its own.
    pub(crate) fn read_on(&self, rest: impl Future<Output = ()> + Send + 'static) {
        // What a fault of ours left behind is in no state to go on.
        if std::thread::panicking() {
            return;
        }
        let Ok(place) = Arc::clone(&self.free).try_acquire_owned() else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        let within = self.within;
        runtime.spawn(async move {
            // In time or not: what there is to say of it is said where it ends.
            let _ = tokio::time::timeout(within, rest).await;
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something to read on that never ends, and how to see whether it is still held.
    fn endless() -> (Arc<()>, impl Future<Output = ()> + Send + 'static) {
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let rest = async move {
            std::future::pending::<()>().await;
            drop(inside);
        };
        (held, rest)
    }

    fn is_held(held: &Arc<()>) -> bool {
        Arc::strong_count(held) > 1
    }

    #[tokio::test(start_paused = true)]
    async fn what_finds_no_place_is_dropped_at_once_and_what_takes_too_long_gives_its_place_back() {
        let drains = Drains { free: Arc::new(Semaphore::new(1)), within: Duration::from_secs(30) };
        let (first, rest) = endless();
        drains.read_on(rest);
        let (second, rest) = endless();
        drains.read_on(rest);
        assert!(is_held(&first) && !is_held(&second));
        tokio::time::sleep(Duration::from_secs(29)).await;
        assert!(is_held(&first));
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(!is_held(&first), "its time is over");
        let (third, rest) = endless();
        drains.read_on(rest);
        assert!(is_held(&third), "its place is free");
    }

    #[test]
    fn without_a_runtime_what_is_left_is_dropped_at_once() {
        let drains = Drains::new(Duration::from_secs(30));
        let (held, rest) = endless();
        drains.read_on(rest);
        assert!(!is_held(&held));
        assert_eq!(drains.free.available_permits(), DRAINS_MAX);
    }
}
