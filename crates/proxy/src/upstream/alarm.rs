//! A timer that is kept for many waits, most of which end long before their time.
//!
//! Setting a timer and removing it costs more than the wait it guards. So it is not removed: it may ring early, and is then
//! asked again; it is set anew only when something is due before it rings.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// As good as never. What is due later than any clock can say is due then.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// A timer, made when something is first waited for.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether `due` has passed. If not, this task is woken no later than then; perhaps earlier, to ask again.
    pub(super) fn is_past(&mut self, due: Instant, cx: &mut Context<'_>) -> bool {
        loop {
            let alarm = self.0.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if alarm.deadline() > due {
                alarm.as_mut().reset(due);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return false;
            }
            if Instant::now() >= due {
                return true;
            }
            alarm.as_mut().reset(due);
        }
    }
}

/// The instant so much later than now.
pub(crate) fn due_in(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now + NEVER)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    /// Waits until it is past, and says how long that took, in seconds, and how often it was asked.
    async fn rings(alarm: &mut Alarm, within_s: u64) -> (u64, u32) {
        let (began, due, mut asked) = (Instant::now(), due_in(Duration::from_secs(within_s)), 0);
        poll_fn(|cx| {
            asked += 1;
            if alarm.is_past(due, cx) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        (began.elapsed().as_secs(), asked)
    }

    /// A wait that ends before its time: what was waited for came after a second.
    async fn unneeded(alarm: &mut Alarm, within_s: u64) {
        let due = due_in(Duration::from_secs(within_s));
        let came = tokio::time::sleep(Duration::from_secs(1));
        let rang = poll_fn(|cx| if alarm.is_past(due, cx) { Poll::Ready(()) } else { Poll::Pending });
        tokio::select! {
            () = came => {}
            () = rang => panic!("it rang before its time"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_alarm_rings_when_something_is_due_and_may_be_asked_in_between() {
        let mut alarm = Alarm::default();
        assert_eq!(rings(&mut alarm, 10).await, (10, 2));
        assert_eq!(rings(&mut alarm, 5).await, (5, 2));
        unneeded(&mut alarm, 30).await;
        assert_eq!(rings(&mut alarm, 60).await, (60, 3), "once early, for the wait before");
        unneeded(&mut alarm, 60).await;
        assert_eq!(rings(&mut alarm, 5).await, (5, 2), "set anew for what is due sooner");
        assert_eq!(rings(&mut alarm, 0).await, (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_that_no_clock_can_say_is_never() {
        unneeded(&mut Alarm::default(), u64::MAX).await;
    }
}
