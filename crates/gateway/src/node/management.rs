//! Management on a runtime of its own: requests come by channel, answers go back by channel.

use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;

use admin::{Admin, HookTester, Outward, Prober};
use anyhow::Context as _;
use domain::Endpoint;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use proxy::{Body, Shared, Upstream};
use tokio::sync::{mpsc, oneshot, watch};

use super::scrape::Scrape;
use super::{Auditor, Parts, Phase, say, upkeep, wiring};
use crate::control::{Control, Desk};

/// Management requests under way at once; further ones wait on their connections.
const UNDER_WAY_MAX: usize = 256;
const _: () =
    assert!(admin::WAITS_MAX < UNDER_WAY_MAX, "those that wait must leave places to those that do not");

struct Job {
    request: Request<Incoming>,
    answer: oneshot::Sender<Response<Body>>,
}

/// The way to management.
#[derive(Debug, Clone)]
pub(super) struct Management(mpsc::Sender<Job>);

/// What only management has: its own connections outward, whoever tries a webhook, and who reads the numbers.
pub(super) type House = (Upstream, Arc<dyn HookTester>, Scrape);

impl Management {
    /// Starts the management thread, which also does the gateway's upkeep.
    pub(super) fn start(
        parts: &Parts<'_>,
        shared: &Arc<Shared>,
        (upstream, hooks, scrape): House,
        phase: watch::Receiver<Phase>,
    ) -> anyhow::Result<(Self, JoinHandle<()>)> {
        let prober = Arc::new(Probe { shared: Arc::clone(shared), upstream: Arc::new(upstream) });
        let admin = Admin::new(
            parts.store.clone(),
            Arc::clone(&parts.engine),
            Arc::clone(&parts.clock),
            wiring::admin_settings(parts.config),
            Outward { prober, hooks },
        );
        let router = admin.router().merge(scrape.router());
        let upkeep = upkeep::node(Arc::clone(&parts.engine), Arc::clone(&parts.clock));
        let auditor = Arc::new(Auditor::new(parts, shared));
        let audits = Arc::clone(&auditor).repeat(parts.config.audit.every);
        let control = Control::bind(Desk::new(parts, auditor));
        let retain_days = parts.config.ledger.retain_days;
        let retention = upkeep::retention(parts.store.clone(), Arc::clone(&parts.clock), retain_days);
        let (jobs, queue) = mpsc::channel(UNDER_WAY_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the management runtime")?;
        // Made within its runtime.
        let control = move || control.map(Control::serve);
        let thread = std::thread::Builder::new().name("management".into()).spawn(move || {
            runtime.block_on(async move {
                tokio::spawn(upkeep);
                tokio::spawn(audits);
                control().map(tokio::spawn);
                tokio::spawn(retention);
                work(router, queue, phase).await;
            });
            runtime.shutdown_background();
        });
        Ok((Self(jobs), thread.context("cannot start the management thread")?))
    }

    /// Answers one management request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (answer, answered) = oneshot::channel();
        if self.0.send(Job { request, answer }).await.is_err() {
            return gone();
        }
        answered.await.unwrap_or_else(|_| gone())
    }
}

async fn work(router: axum::Router, mut queue: mpsc::Receiver<Job>, mut phase: watch::Receiver<Phase>) {
    let mut under_way = tokio::task::JoinSet::new();
    loop {
        let job = tokio::select! {
            job = queue.recv(), if under_way.len() < UNDER_WAY_MAX => job,
            _ = under_way.join_next(), if !under_way.is_empty() => continue,
            _ = phase.wait_for(|phase| *phase >= Phase::Closing) => None,
        };
        let Some(job) = job else { break };
        let router = router.clone();
        under_way.spawn(async move {
            // The caller may have left; its edit is done all the same.
            let _ = job.answer.send(route(router, job.request).await);
        });
    }
    while under_way.join_next().await.is_some() {}
}

async fn route(router: axum::Router, request: Request<Incoming>) -> Response<Body> {
    use tower::ServiceExt as _;
    let Ok(answer) = router.oneshot(request.map(axum::body::Body::new)).await;
    let (head, body) = answer.into_parts();
    match body.collect().await {
        Ok(whole) => Response::from_parts(head, Body::from(whole.to_bytes())),
        Err(_) => gone(),
    }
}

fn gone() -> Response<Body> {
    let body = r#"{"code":"UNAVAILABLE","message":"The gateway is shutting down; try again."}"#;
    say::answer(StatusCode::SERVICE_UNAVAILABLE, body)
}

/// Tests an endpoint for management, with the data plane's own means.
#[derive(Debug)]
struct Probe {
    shared: Arc<Shared>,
    upstream: Arc<Upstream>,
}

impl Prober for Probe {
    fn probe(&self, endpoint: Arc<Endpoint>) -> Pin<Box<dyn Future<Output = admin::Probe> + Send>> {
        let (shared, upstream) = (Arc::clone(&self.shared), Arc::clone(&self.upstream));
        Box::pin(async move {
            let probed = proxy::probe(&shared, &upstream, &endpoint).await;
            admin::Probe {
                status: probed.status,
                error: probed.error,
                ttft_ms: probed.first_byte_ms,
                usage: probed.usage,
            }
        })
    }
}
