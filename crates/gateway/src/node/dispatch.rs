//! Which of the three houses a request belongs to: the gateway itself, management, or the data plane.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use proxy::{Body, Shared, Worker};

use super::management::Management;
use super::own::{Own, nobody};
use super::scrape::METRICS;

/// How often a gateway that stops looks whether its calls have ended.
const CALLS_POLL: Duration = Duration::from_millis(5);

/// The dispatch of one listener.
#[derive(Debug, Clone)]
pub(super) struct Dispatch {
    worker: Option<Arc<Worker>>,
    management: Option<Management>,
    shared: Arc<Shared>,
}

impl Dispatch {
    /// A listener for callers, and for management unless that has a listener of its own.
    pub(super) fn new(worker: Arc<Worker>, management: Option<Management>, shared: Arc<Shared>) -> Self {
        Self { worker: Some(worker), management, shared }
    }

    /// A listener for management alone.
    pub(super) fn management_only(management: Management, shared: Arc<Shared>) -> Self {
        Self { worker: None, management: Some(management), shared }
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if let Some(own) = Own::at(path) {
            return own.answer(request.method(), &self.shared);
        }
        if path.starts_with("/healthz/") {
            return nobody();
        }
        match (&self.management, &self.worker) {
            (Some(management), _) if admin::Admin::serves(path) || path == METRICS => {
                management.answer(request).await
            }
            (_, Some(worker)) => worker.serve(request).await,
            (Some(management), None) => management.answer(request).await,
            (None, None) => nobody(),
        }
    }

    pub(super) fn worker(&self) -> Option<&Arc<Worker>> {
        self.worker.as_ref()
    }

    /// Whether further requests are to go elsewhere.
    pub(super) fn is_draining(&self) -> bool {
        self.shared.is_draining()
    }

    /// Waits until calls that outlived their connections have settled.
    pub(super) async fn calls_end(&self) {
        calls_end(&self.shared).await;
    }
}

/// Waits until no call is in flight.
pub(super) async fn calls_end(shared: &Shared) {
    while shared.in_flight() > 0 {
        tokio::time::sleep(CALLS_POLL).await;
    }
}
