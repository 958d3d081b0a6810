//! `GET /v1/models`: the slugs a key's group may call and that have an endpoint. Answered by us.

use bytes::Bytes;
use domain::{Endpoint, Snapshot};
use http::{HeaderValue, Response, header};
use serde_json::{Value, json};

use crate::authenticate::Caller;
use crate::barred::Barred;
use crate::body::Body;
use crate::error::Error;
use crate::route::shown;

/// Every model the caller can reach now.
pub(crate) fn list(snapshot: &Snapshot, caller: &Caller) -> Response<Body> {
    let reachable =
        caller.group.models.iter().filter_map(|model| snapshot.endpoint_of(&caller.group, &model.slug));
    let data: Vec<Value> = reachable.map(|endpoint| render(endpoint)).collect();
    answer(&json!({ "object": "list", "data": data }))
}

/// One model, if the caller can reach it. The slash of the slug comes raw or as `%2F`.
pub(crate) fn get(snapshot: &Snapshot, caller: &Caller, slug: &str) -> Result<Response<Body>, Error> {
    let slug = slug.replace("%2F", "/").replace("%2f", "/");
    let granted = caller.group.model(&slug);
    match granted.and_then(|model| snapshot.endpoint_of(&caller.group, &model.slug)) {
        Some(endpoint) => Ok(answer(&render(endpoint))),
        None => Err(Barred::NoEndpoint { slug: shown(&slug) }.into()),
    }
}

fn render(endpoint: &Endpoint) -> Value {
    json!({
        "id": endpoint.slug,
        "object": "model",
        "created": endpoint.created_s,
        "owned_by": endpoint.slug.prefix(),
    })
}

fn answer(value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(value.to_string())));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
