//! A server that is told for each request how to behave.

use std::sync::{Arc, Mutex};

use http::request::Parts;
use modelsim::{Act, Director, End, Ending, ModelServer, Receipt, Role, Script, UsageReport};
use serde_json::{Value, json};

use crate::support::{connect, post, send, text, until, whole};

/// Roles by the value of `x-part`; each is given once.
#[derive(Debug, Default)]
struct Cast(Mutex<Vec<(&'static str, Script, Arc<Receipt>)>>);

impl Cast {
    fn add(&self, part: &'static str, script: Script) -> Arc<Receipt> {
        let receipt = Arc::<Receipt>::default();
        self.0.lock().unwrap().push((part, script, Arc::clone(&receipt)));
        receipt
    }
}

impl Director for Cast {
    fn cast(&self, head: &Parts) -> Option<Role> {
        let part = head.headers.get("x-part")?.to_str().ok()?;
        let mut roles = self.0.lock().unwrap();
        let at = roles.iter().position(|(name, ..)| *name == part)?;
        let (_, script, receipt) = roles.swap_remove(at);
        Some(Role { script, receipt })
    }
}

async fn ask(server: &ModelServer, part: &'static str, body: Value) -> Result<String, ()> {
    let mut request = post("/v1/chat/completions", body.to_string());
    request.headers_mut().insert("x-part", part.parse().unwrap());
    let answer = connect(server).await.send_request(request).await.map_err(|_| ())?;
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.map_err(|_| ())?;
    String::from_utf8(body.to_bytes().to_vec()).map_err(|_| ())
}

#[tokio::test]
async fn each_request_follows_its_own_script_and_others_the_servers() {
    let cast = Arc::<Cast>::default();
    let server = ModelServer::directed(Arc::clone(&cast) as Arc<dyn Director>).await.unwrap();
    cast.add("long", Script { completion_tokens: 40, ..Script::default() });
    cast.add("gone", Script { act: Act::Refuse, ..Script::default() });
    assert!(
        ask(&server, "long", json!({ "model": "m" })).await.unwrap().contains(r#""completion_tokens":40"#)
    );
    assert_eq!(ask(&server, "gone", json!({ "model": "m" })).await, Err(()));
    let own = whole(&server, "/v1/chat/completions", json!({ "model": "m" })).await;
    assert_eq!(own["usage"]["completion_tokens"], 9);
}

#[tokio::test]
async fn a_receipt_says_what_was_served_whatever_the_answer_says() {
    let cast = Arc::<Cast>::default();
    let server = ModelServer::directed(Arc::clone(&cast) as Arc<dyn Director>).await.unwrap();
    let lie = UsageReport::Lying { prompt: 1, completion: 1 };
    let liar = cast.add("liar", Script { prompt_tokens: 70, usage: lie, ..Script::default() });
    let cut = cast.add("cut", Script::ending(End::CutAfter(4)));
    assert!(ask(&server, "liar", json!({ "model": "m" })).await.unwrap().contains(r#""total_tokens":2"#));
    assert_eq!(ask(&server, "cut", json!({ "model": "m", "stream": true })).await, Err(()));
    until(&server, |served| served.cut == 1).await;
    assert_eq!(
        (liar.prompt_tokens(), liar.completion_tokens(), liar.ending()),
        (70, 9, Some(Ending::Finished))
    );
    assert_eq!((cut.prompt_tokens(), cut.completion_tokens(), cut.ending()), (10, 3, Some(Ending::Cut)));
}

#[tokio::test]
async fn a_receipt_of_a_call_that_its_client_gave_up_says_so() {
    let cast = Arc::<Cast>::default();
    let server = ModelServer::directed(Arc::clone(&cast) as Arc<dyn Director>).await.unwrap();
    let hangs = cast.add("hangs", Script { act: Act::Hang, ..Script::default() });
    tokio::select! {
        _ = ask(&server, "hangs", json!({ "model": "m" })) => panic!("it hangs"),
        _ = until(&server, |served| served.started == 1) => {}
    }
    until(&server, |served| served.aborted == 1).await;
    assert_eq!((hangs.completion_tokens(), hangs.ending()), (0, Some(Ending::Aborted)));
    let after = send(&server, "/v1/chat/completions", json!({ "model": "m" })).await;
    assert!(text(after).await.contains("word"));
}
