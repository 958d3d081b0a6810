//! Traces of calls, as a collector gets them. Needs `--features otel`.

#![cfg(test)]
#![cfg(feature = "otel")]

use std::net::SocketAddr;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use modelsim::{End, Script};
use serde_json::{Value, json};
use testkit::{Gateway, Reply};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

/// A collector that answers every request with one status.
struct Collector {
    addr: SocketAddr,
    requests: mpsc::Receiver<Value>,
}

impl Collector {
    async fn answering(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::channel(64);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                let service = service_fn(move |request| take(request, sender.clone(), status));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { addr, requests }
    }

    /// A gateway that tells this collector of all calls that its callers do not trace.
    async fn gateway(&self) -> Gateway {
        let endpoint = format!("http://{}", self.addr);
        Gateway::with(|config| config.telemetry.otlp_endpoint = endpoint).await
    }

    /// Every span that came until the gateway ended.
    async fn spans(&mut self, mut gw: Gateway) -> Vec<Value> {
        gw.stop().await;
        let mut spans = Vec::new();
        while let Ok(request) = self.requests.try_recv() {
            let resource = &request["resourceSpans"][0];
            assert_eq!(attribute(&resource["resource"], "service.name"), json!("tollgate"));
            spans.extend(resource["scopeSpans"][0]["spans"].as_array().unwrap().clone());
        }
        spans
    }
}

async fn take(
    request: Request<Incoming>,
    sender: mpsc::Sender<Value>,
    status: u16,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    assert_eq!((request.method(), request.uri().path()), (&Method::POST, "/v1/traces"));
    assert_eq!(request.headers()["content-type"], "application/json");
    let body = request.into_body().collect().await?.to_bytes();
    sender.send(serde_json::from_slice(&body).unwrap()).await.unwrap();
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    Ok(answer)
}

/// The value of an attribute, whatever its type; null where there is none.
fn attribute(of: &Value, key: &str) -> Value {
    let all = of["attributes"].as_array().unwrap();
    let found = all.iter().find(|attribute| attribute["key"] == key);
    found.and_then(|found| found["value"].as_object()?.values().next().cloned()).unwrap_or_default()
}

async fn traced(gw: &Gateway, key: &str, model: &str, flags: &str) -> Reply {
    let messages = json!([{ "role": "user", "content": "A secret about Smaug." }]);
    let request = gw.chat_request(key).header("traceparent", format!("00-{TRACE}-{SPAN}-{flags}"));
    request.json(&json!({ "model": model, "max_tokens": 9, "messages": messages })).send().await
}

#[tokio::test]
async fn an_admitted_call_is_a_span_of_its_callers_trace_without_prompt_and_answer() {
    let mut collector = Collector::answering(200).await;
    let gw = collector.gateway().await;
    let customer = gw.customer("somebody", json!([{ "slug": "acme/m1" }])).await;
    let answer = traced(&gw, &customer.key, "acme/m1", "01").await.expect(200);
    let spans = collector.spans(gw).await;
    assert_eq!(spans.len(), 1);
    let span = &spans[0];
    assert_eq!(span["traceId"], TRACE);
    assert_eq!(span["parentSpanId"], SPAN);
    assert_eq!(span["spanId"].as_str().unwrap().len(), 16);
    assert_eq!(
        (&span["name"], &span["kind"], &span["status"]["code"]),
        (&json!("chat simulated"), &json!(3), &json!(0))
    );
    let began: u64 = span["startTimeUnixNano"].as_str().unwrap().parse().unwrap();
    let ended: u64 = span["endTimeUnixNano"].as_str().unwrap().parse().unwrap();
    assert!(began > 1_700_000_000_000_000_000 && ended >= began);
    for (key, value) in [
        ("gen_ai.operation.name", json!("chat")),
        ("gen_ai.provider.name", json!("openai_compatible")),
        ("gen_ai.request.model", json!("simulated")),
        ("gen_ai.usage.input_tokens", json!("10")),
        ("gen_ai.usage.output_tokens", json!("9")),
        ("http.response.status_code", json!("200")),
        ("tollgate.slug", json!("acme/m1")),
        ("tollgate.outcome", json!("completed")),
        ("tollgate.request_id", json!(answer.header("x-request-id"))),
        ("error.type", Value::Null),
    ] {
        assert_eq!(attribute(span, key), value, "{key}");
    }
    let text = span.to_string();
    for secret in ["Smaug", "word", &customer.key] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn calls_that_nobody_wants_traced_and_calls_that_are_not_admitted_are_no_spans() {
    let mut collector = Collector::answering(200).await;
    let gw = collector.gateway().await;
    let customer = gw.customer("somebody", json!([{ "slug": "acme/m1" }])).await;
    traced(&gw, &customer.key, "acme/m1", "00").await.expect(200);
    traced(&gw, &customer.key, "acme/m2", "01").await.expect(403);
    gw.chat(&customer.key, "acme/m1").await.expect(200);
    let spans = collector.spans(gw).await;
    assert_eq!(spans.len(), 1, "the one whose caller traces nothing");
    assert_eq!(spans[0]["parentSpanId"], Value::Null);
    assert_ne!(spans[0]["traceId"], TRACE);
}

#[tokio::test]
async fn a_call_that_breaks_is_a_span_with_its_error() {
    let mut collector = Collector::answering(200).await;
    let gw = collector.gateway().await;
    let customer = gw.customer("somebody", json!([{ "slug": "acme/m1" }])).await;
    gw.model.set(Script::failing(529, "{}"));
    gw.chat(&customer.key, "acme/m1").await.expect(529);
    gw.model.set(Script::ending(End::CutAfter(1)));
    gw.chat(&customer.key, "acme/m1").await.expect(502);
    let mut errors: Vec<_> =
        collector.spans(gw).await.iter().map(|span| attribute(span, "error.type")).collect();
    errors.sort_by_key(Value::to_string);
    assert_eq!(errors, [json!("529"), json!("upstream_error")]);
}

#[tokio::test]
async fn a_collector_that_takes_nothing_costs_no_call_and_its_losses_are_counted() {
    let mut collector = Collector::answering(503).await;
    let gw = collector.gateway().await;
    let customer = gw.customer("somebody", json!([{ "slug": "acme/m1" }])).await;
    gw.chat(&customer.key, "acme/m1").await.expect(200);
    // The request has come, and its answer is on its way.
    collector.requests.recv().await.unwrap();
    loop {
        let page = gw.get("/metrics").await.expect(200).text;
        if page.contains("tollgate_spans_lost_total 1\n") {
            break;
        }
        assert!(page.contains("tollgate_spans_lost_total 0\n"), "{page}");
    }
    gw.chat(&customer.key, "acme/m1").await.expect(200);
}
