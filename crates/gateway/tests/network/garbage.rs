//! What is almost a request, what is none at all, and paths that mean something else than they say.

use std::sync::Arc;

use http::Method;
use testkit::Gateway;

use crate::support::*;

const REQUESTS: usize = 10_000;
const AT_ONCE: usize = 20;

/// Deterministic noise (xorshift64*); a failing request can be made again from its seed.
struct Noise(u64);

impl Noise {
    fn new(seed: usize) -> Self {
        Self(0x9e37_79b9_7f4a_7c15 ^ (u64::try_from(seed).unwrap() + 1).wrapping_mul(0xbf58_476d_1ce4_e5b9))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap() % bound
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }
}

/// A call with a few bytes changed, dropped, doubled or moved; every tenth is noise from end to end.
fn spoiled(seed: usize, call: &str) -> Vec<u8> {
    let mut noise = Noise::new(seed);
    if seed.is_multiple_of(10) {
        return (0..noise.below(500)).map(|_| noise.byte()).collect();
    }
    let mut bytes = call.as_bytes().to_vec();
    for _ in 0..=noise.below(4) {
        let at = noise.below(bytes.len());
        match noise.below(5) {
            0 => bytes[at] = noise.byte(),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, noise.byte()),
            3 => bytes.insert(at, b"\r\n:,; \t\0"[noise.below(8)]),
            _ => {
                let other = noise.below(bytes.len());
                bytes.swap(at, other);
            }
        }
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_spoiled_requests_are_answered_or_closed_and_nothing_is_charged_that_was_not_served() {
    let gw = Arc::new(Gateway::start().await);
    let customer = counted(&gw).await;
    let call = Arc::new(call(&customer.key, &chat()));
    let mut under_way = tokio::task::JoinSet::new();
    for lane in 0..AT_ONCE {
        let (gw, call) = (Arc::clone(&gw), Arc::clone(&call));
        under_way.spawn(async move {
            for seed in (lane..REQUESTS).step_by(AT_ONCE) {
                let mut raw = Raw::open(gw.addr()).await;
                raw.try_send(spoiled(seed, &call)).await;
                // What waits for more learns that nothing comes.
                let first = tokio::time::timeout(SHORT, raw.answer()).await.ok().flatten();
                raw.half_close().await;
                for answer in first.into_iter().chain(raw.answers().await) {
                    let expected =
                        [200, 400, 401, 403, 404, 405, 408, 413, 415, 431].contains(&answer.status);
                    assert!(expected, "seed {seed}: {answer:?}");
                    assert!(answer.json().is_object(), "seed {seed}: {answer:?}");
                }
            }
        });
    }
    under_way.join_all().await;
    gw.quiet().await;
    gw.chat(&customer.key, M1).await.expect(200);
    let served = gw.model.served();
    assert!(served.started > 1, "some are spoiled where it does not matter");
    assert_eq!(gw.used(&customer.id, M1, "REQUEST").await, served.started);
}

#[tokio::test]
async fn a_path_is_what_it_says_and_nothing_else() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    for path in [
        "/",
        "//",
        "/v1",
        "/v1/chat/completions/",
        "//v1/chat/completions",
        "/v1//chat/completions",
        "/v1/chat%2Fcompletions",
        "/v1/chat/%63ompletions",
        "/V1/CHAT/COMPLETIONS",
        "/v1/../v1/chat/completions",
        "/v1/./chat/completions",
        "/v1/chat/completions;x=y",
        "/v1/chat/completions%00",
        "/v1/chat/completions%0d%0a",
        "/healthz/../v1/chat/completions",
        "/healthz/ready/",
        "/v1/gatewayed",
        "/%76%31/gateway/groups",
        "//v1/gateway/groups",
        "/v1/nowhere",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            let request =
                gw.request(method.clone(), path).header("authorization", format!("Bearer {}", customer.key));
            let reply = request.body(chat()).send().await.expect(404);
            assert_eq!(reply.body["error"]["code"], "unknown_route", "{method} {path}");
        }
    }
    for path in [
        "/v1/gateway/../chat/completions",
        "/v1/gateway/groups/../../chat/completions",
        "/v1/gateway//groups",
    ] {
        let request =
            gw.request(Method::POST, path).header("authorization", format!("Bearer {}", customer.key));
        request.body(chat()).send().await.expect(403);
    }
    assert_eq!(gw.model.served().started, 0);
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_405() {
    let gw = Gateway::start().await;
    let customer = counted(&gw).await;
    for (method, path, allowed) in [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/v1/chat/completions", "POST"),
        ("OPTIONS", "/v1/chat/completions", "POST"),
        ("post", "/v1/chat/completions", "POST"),
        ("NONSENSE", "/v1/chat/completions", "POST"),
        ("POST", "/v1/models", "GET"),
        ("DELETE", "/v1/models/acme/m1", "GET"),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = gw.request(method, path).header("authorization", format!("Bearer {}", customer.key));
        assert_eq!(request.send().await.expect(405).header("allow"), allowed, "{path}");
    }
    assert_eq!(gw.model.served().started, 0);
}
