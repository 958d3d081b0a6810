//! Billing events on their way out: the courier on a thread of its own, and trials of receivers for management.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;

use admin::{HookTested, HookTester};
use anyhow::Context as _;
use domain::{Clock, DeliveryId, EventForm, RequestId, Webhook};
use storage::{Store, random_bytes};
use tokio::sync::watch;
use webhooks::{Courier, Post, Settings, Tally, Tried};

use super::{Parts, Phase, wiring};

/// Delivery to webhooks, running.
#[derive(Debug)]
pub(super) struct Delivery {
    post: Arc<Post>,
    clock: Arc<dyn Clock>,
    form: EventForm,
    tally: Arc<Tally>,
}

impl Delivery {
    /// Starts the thread that delivers; `own` is where we listen ourselves.
    pub(super) fn start(
        parts: &Parts<'_>,
        own: &[SocketAddr],
        phase: watch::Receiver<Phase>,
    ) -> anyhow::Result<(Arc<Self>, JoinHandle<()>)> {
        let post = Post::new(wiring::way_to_receivers(parts.config, own), Arc::clone(&parts.clock));
        let post = post.map_err(|error| anyhow::anyhow!("TLS cannot be set up: {error}"))?;
        let settings = wiring::webhook_settings(parts.config);
        let delivery = Arc::new(Self {
            post: Arc::new(post),
            clock: Arc::clone(&parts.clock),
            form: settings.form,
            tally: Arc::default(),
        });
        let thread = delivery.spawn(&parts.store, settings, phase)?;
        Ok((delivery, thread))
    }

    /// How many attempts ended how since the start.
    pub(super) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    fn spawn(
        &self,
        store: &Store,
        settings: Settings,
        mut phase: watch::Receiver<Phase>,
    ) -> anyhow::Result<JoinHandle<()>> {
        let (post, clock, tally) = (Arc::clone(&self.post), Arc::clone(&self.clock), Arc::clone(&self.tally));
        let outbox = store.outbox().context("the outbox cannot be opened")?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the runtime of webhooks")?;
        let thread = std::thread::Builder::new().name("webhooks".into()).spawn(move || {
            let courier = Courier::new(outbox, post, clock, settings, tally);
            runtime.block_on(courier.run(async move {
                // The last calls have ended; what they come to is delivered after the next start at the latest.
                let _ = phase.wait_for(|phase| *phase >= Phase::Ending).await;
            }));
            // Resolving a name may take longer than the courier waited.
            runtime.shutdown_background();
        });
        thread.context("cannot start the thread of webhooks")
    }
}

impl HookTester for Delivery {
    fn test(&self, webhook: Arc<Webhook>) -> Pin<Box<dyn Future<Output = HookTested> + Send>> {
        let (post, at_ms, form) = (Arc::clone(&self.post), self.clock.now().wall_ms, self.form);
        Box::pin(async move {
            let delivery = DeliveryId::new(at_ms, random_bytes());
            let body = webhooks::sample(RequestId::new(at_ms, random_bytes()), at_ms, form);
            let Tried { status, body, error, took_ms, .. } = post.send(&webhook, delivery, body).await;
            HookTested { status, body, duration_ms: took_ms, error: error.map(String::from) }
        })
    }
}
