//! `GET /metrics`: the gateway's numbers, for who may read them.
//!
//! Where management has a listener of its own, whoever reaches that may read; where it shares the callers', a management
//! key is asked for. Served by management's thread, so that writing a page never stands in a call's way.
//! Begins at [`Scrape::router`].

use std::sync::Arc;

use admin::may_watch;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::Clock;
use http::{HeaderMap, StatusCode, header};
use storage::Store;

use crate::metrics::{CONTENT_TYPE, Metrics};

/// Where it is.
pub(crate) const METRICS: &str = "/metrics";

/// What a scrape needs.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) metrics: Metrics,
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) readers: Readers,
}

/// Who may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Whoever reaches the listener.
    All,
    /// Who has a management key with the scope `view` or more.
    WithKey,
}

impl Scrape {
    /// The route.
    pub(super) fn router(self) -> axum::Router {
        axum::Router::new().route(METRICS, get(metrics).fallback(no_such_method)).with_state(Arc::new(self))
    }

    fn admit(&self, headers: &HeaderMap) -> Result<(), admin::Error> {
        match self.readers {
            Readers::All => Ok(()),
            Readers::WithKey => may_watch(&self.store, headers, self.clock.now()),
        }
    }
}

async fn metrics(State(scrape): State<Arc<Scrape>>, request: Request) -> Response {
    if let Err(refused) = scrape.admit(request.headers()) {
        return refused.into_response();
    }
    // A disk that does not answer is told by the other numbers.
    let outbox = scrape.store.outbox_numbers().await.unwrap_or_default();
    match scrape.metrics.text(outbox) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn no_such_method() -> Response {
    ([(header::ALLOW, "GET,HEAD")], admin::Error::MethodNotAllowed).into_response()
}
