//! The driver: leases what lanes have places for, makes the attempts side by side, and reports how they ended.
//!
//! What ended and what is wanted go to the store in one exchange. What is not reported when the process ends is leased
//! again by the next one.
//! Begins at [`Courier::run`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::{Clock, EventForm};
use storage::{Delivery, Outbox, Report, Then, Unavailable};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::ending::{Ending, Tally};
use crate::lanes::{Lanes, size};
use crate::payload;
use crate::post::{Post, Tried};
use crate::schedule::Schedule;

/// Pause before a store that cannot be asked is asked again.
const RETRY_WAIT: Duration = Duration::from_secs(1);
/// Pause before events that could not be read are read again, in milliseconds.
const UNSENT_WAIT_MS: u64 = 1_000;
/// Longest sleep: then it is looked at the clock again, which may have been set, or stood still in a suspend.
const SLEEP_MAX: Duration = Duration::from_secs(60);
/// How long attempts under way may take when the gateway stops. Longer ones are made again after its next start.
const STOP_GRACE: Duration = Duration::from_secs(1);
/// How long deliveries that arrived are kept, in milliseconds: a week.
const KEPT_MS: u64 = 7 * 86_400_000;
/// How often the older ones are forgotten, in milliseconds.
const PRUNE_EVERY_MS: u64 = 600_000;

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// When deliveries are tried again.
    pub schedule: Schedule,
    /// What events are written with.
    pub form: EventForm,
}

/// Carries billing events to their receivers.
pub struct Courier {
    outbox: Outbox,
    post: Arc<Post>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    tally: Arc<Tally>,
    lanes: Lanes,
    under_way: JoinSet<Attempt>,
    /// Ended and not on disk yet. Bounded by what may be under way.
    reports: Vec<Report>,
    prune_ms: u64,
}

/// An attempt that ended.
struct Attempt {
    delivery: Delivery,
    ending: Ending,
    status: Option<u16>,
    error: Option<Box<str>>,
    ended_ms: u64,
}

impl fmt::Debug for Courier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Courier").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Courier {
    /// A courier for what is in this outbox. `tally` counts how its attempts end.
    #[must_use]
    pub fn new(
        outbox: Outbox,
        post: Arc<Post>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        tally: Arc<Tally>,
    ) -> Self {
        let (lanes, under_way) = (Lanes::default(), JoinSet::new());
        Self { outbox, post, clock, settings, tally, lanes, under_way, reports: Vec::new(), prune_ms: 0 }
    }

    /// Works until `stop`, then waits a moment for what is under way.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        tokio::select! {
            () = self.work() => {}
            () = &mut stop => {}
        }
        // What does not end in time, or cannot be reported, is made again after the next start.
        let _ = timeout(STOP_GRACE, self.finish()).await;
    }

    async fn work(&mut self) {
        self.begin().await;
        loop {
            self.prune().await;
            if self.exchange().await.is_err() {
                sleep(RETRY_WAIT).await;
                continue;
            }
            self.wait().await;
        }
    }

    /// Takes up what the last process left.
    async fn begin(&mut self) {
        while self.outbox.reclaim(self.clock.now().wall_ms).await.is_err() {
            sleep(RETRY_WAIT).await;
        }
        let snapshot = self.outbox.store().snapshot();
        snapshot.webhooks().for_each(|webhook| self.lanes.ring(webhook.workspace));
    }

    /// Reports what ended, leases what there are places for, and begins the attempts.
    async fn exchange(&mut self) -> Result<(), Unavailable> {
        self.outbox.store().bell().take().into_iter().for_each(|workspace| self.lanes.ring(workspace));
        let now_ms = self.clock.now().wall_ms;
        let snapshot = self.outbox.store().snapshot();
        let batch_max = |workspace| snapshot.webhook(workspace).map(|webhook| webhook.batch_max);
        let wanted = self.lanes.wanted(now_ms, batch_max);
        if wanted.is_empty() && self.reports.is_empty() {
            return Ok(());
        }
        let leased = self.outbox.exchange(now_ms, self.reports.as_slice().into(), wanted).await?;
        self.reports.clear();
        for lane in leased {
            self.lanes.began(&lane);
            lane.deliveries.into_iter().for_each(|delivery| self.set_out(delivery));
        }
        Ok(())
    }

    /// Begins an attempt.
    fn set_out(&mut self, delivery: Delivery) {
        let (store, post, clock) =
            (self.outbox.store().clone(), Arc::clone(&self.post), Arc::clone(&self.clock));
        let (events, form) = (self.outbox.events(&delivery), self.settings.form);
        self.under_way.spawn(async move {
            let webhook = store.snapshot().webhook(delivery.workspace).cloned();
            let tried = match (webhook, events.await) {
                // Deleted meanwhile, and its deliveries with it.
                (None, _) => Tried::not_sent(Ending::Unsent, "there is no webhook"),
                (_, Err(Unavailable)) => Tried::not_sent(Ending::Unsent, "the events could not be read"),
                (_, Ok(events)) if events.is_empty() => {
                    Tried::not_sent(Ending::Lost, "the events are past ledger.retain_days")
                }
                (Some(webhook), Ok(events)) => {
                    post.send(&webhook, delivery.id, payload::body(&events, form)).await
                }
            };
            let Tried { ending, status, error, .. } = tried;
            Attempt { delivery, ending, status, error, ended_ms: clock.now().wall_ms }
        });
    }

    /// Until an attempt ends, something is due, or the bell rings.
    async fn wait(&mut self) {
        let now_ms = self.clock.now().wall_ms;
        let due_ms = self.lanes.next_due_ms(now_ms);
        let pause = due_ms.map_or(SLEEP_MAX, |due_ms| Duration::from_millis(due_ms.saturating_sub(now_ms)));
        tokio::select! {
            Some(ended) = self.under_way.join_next() => {
                self.ended(ended);
                // Those that ended together are reported together.
                while let Some(ended) = self.under_way.try_join_next() {
                    self.ended(ended);
                }
            }
            () = self.outbox.store().bell().heard() => {}
            () = sleep(pause.min(SLEEP_MAX)) => {}
        }
    }

    /// Decides what becomes of a delivery.
    fn ended(&mut self, attempt: Result<Attempt, tokio::task::JoinError>) {
        let Ok(Attempt { delivery, ending, status, error, ended_ms }) = attempt else {
            return tracing::error!(
                "an attempt to deliver ended by a fault; it is made again after a restart"
            );
        };
        self.tally.add(ending);
        self.lanes.ended(delivery.workspace, size(&delivery), ending);
        let failed = delivery.attempts.saturating_add(1);
        let again = self.settings.schedule.next_ms(failed, delivery.first_attempt_ms, ended_ms);
        let then = match (ending, again) {
            (Ending::Delivered, _) => Then::Done,
            // Nobody was asked, so nothing is given up.
            (Ending::Unsent, _) => Then::Again { at_ms: ended_ms.saturating_add(UNSENT_WAIT_MS) },
            (Ending::Failed | Ending::TimedOut | Ending::Unreachable, Some(at_ms)) => Then::Again { at_ms },
            (Ending::Failed | Ending::TimedOut | Ending::Unreachable, None)
            | (Ending::Refused | Ending::Lost, _) => Then::Dead,
        };
        match then {
            Then::Again { at_ms } => self.lanes.waits(delivery.workspace, at_ms),
            Then::Dead => tracing::warn!(
                delivery.id = %delivery.id, workspace = %delivery.workspace, attempts = failed,
                error = error.as_deref().unwrap_or_default(), "billing events could not be delivered; they are kept as dead letters"
            ),
            Then::Done => {}
        }
        self.reports.push(Report { id: delivery.id, ended_ms, status, error, then });
    }

    /// Forgets what arrived long ago, a little at a time.
    async fn prune(&mut self) {
        let now_ms = self.clock.now().wall_ms;
        if now_ms < self.prune_ms {
            return;
        }
        let more = self.outbox.prune(now_ms.saturating_sub(KEPT_MS)).await;
        if !more.unwrap_or(false) {
            self.prune_ms = now_ms.saturating_add(PRUNE_EVERY_MS);
        }
    }

    /// Waits for what is under way and reports it.
    async fn finish(&mut self) {
        while let Some(ended) = self.under_way.join_next().await {
            self.ended(ended);
        }
        let reports = self.reports.as_slice().into();
        let _ = self.outbox.exchange(self.clock.now().wall_ms, reports, Vec::new()).await;
    }
}
