//! However the network cuts an answer, it is the same; and what both hyper and we take, both read alike.

use http_body_util::{BodyExt as _, Empty};
use proptest::prelude::*;
use tokio::io::AsyncWriteExt as _;

use super::*;

fn chunk() -> impl Strategy<Value = String> {
    let extension = prop::sample::select(vec!["", ";x", ";a=b", " ", " ;q=\"1\""]);
    ("[a-z\r\n]{1,40}", extension)
        .prop_map(|(data, extension)| format!("{:X}{extension}\r\n{data}\r\n", data.len()))
}

/// The rest of an answer after its status: headers, and a body that fits them.
fn rest() -> impl Strategy<Value = String> {
    let sized = "[a-z\r\n]{0,200}".prop_map(|body| format!("content-LENGTH: {}\r\n\r\n{body}", body.len()));
    let trailers = prop::sample::select(vec!["", "T: 1\r\n", "T: 1\r\nU: 2\r\n"]);
    let chunked = (prop::collection::vec(chunk(), 0..6), trailers).prop_map(|(chunks, trailers)| {
        format!("Transfer-Encoding: Chunked\r\n\r\n{}0\r\n{trailers}\r\n", chunks.concat())
    });
    let to_the_end = "[a-z\r\n]{0,200}".prop_map(|body| format!("X: y\r\n\r\n{body}"));
    prop_oneof![sized, chunked, to_the_end]
}

fn answer() -> impl Strategy<Value = String> {
    let before =
        prop::sample::select(vec!["", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 x\r\nA: b\r\n\r\n"]);
    let begin = prop::sample::select(vec![
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 529\r\n",
        "HTTP/1.1 200 OK\r\nconnection: close\r\n",
        "HTTP/1.1 404 Not Found\r\ncontent-type:  application/json\r\n",
    ]);
    (before, begin, rest()).prop_map(|(before, begin, rest)| format!("{before}{begin}{rest}"))
}

/// Valid answers, and such as have a byte changed, lost or doubled.
fn nearly_an_answer() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0..4_u8, prop::sample::select(b"\r\n :;,05afG\0\t".to_vec()));
    (answer(), prop::option::of(change)).prop_map(|(answer, change)| {
        let mut bytes = answer.into_bytes();
        let Some((at, kind, byte)) = change else { return bytes };
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            2 => drop(bytes.remove(at)),
            _ => bytes.insert(at, bytes[at]),
        }
        bytes
    })
}

fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).filter(|piece| !piece.is_empty()).collect()
}

/// What hyper makes of an answer; none where it refuses it.
fn with_hyper(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let io = hyper_util::rt::TokioIo::new(ours);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let asked = sender.send_request(http::Request::post("/").body(Empty::<Bytes>::new()).unwrap());
        let answered = async {
            // It takes nothing for an answer that comes before its request.
            tokio::io::AsyncReadExt::read(&mut theirs, &mut [0; 1024]).await.unwrap();
            theirs.write_all(answer).await.unwrap();
            drop(theirs);
        };
        let (answer, ()) = tokio::join!(asked, answered);
        let answer = answer.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.into_body().collect().await.ok()?.to_bytes().to_vec()))
    })
}

proptest! {
    #[test]
    fn an_answer_is_the_same_however_the_network_cuts_it(
        answer in nearly_an_answer(),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let whole = exchange(&[&answer], Then::Closes);
        let single: Vec<&[u8]> = answer.chunks(1).collect();
        for pieces in [cut(&answer, &places), single] {
            let seen = exchange(&pieces, Then::Closes);
            prop_assert_eq!((seen.status, &seen.content_type, &seen.body), (whole.status, &whole.content_type, &whole.body));
            // What follows an answer may still be on its way when it has ended; then it shows later.
            let ended = |end: &End| matches!(end, End::Reusable | End::Spent);
            prop_assert!(seen.end == whole.end || (ended(&seen.end) && ended(&whole.end)), "{:?} {:?}", seen.end, whole.end);
        }
    }

    #[test]
    fn every_answer_in_order_is_taken_to_its_end(answer in answer()) {
        let seen = exchange(&[answer.as_bytes()], Then::Closes);
        prop_assert!(matches!(seen.end, End::Reusable | End::Spent), "{seen:?}");
    }

    #[test]
    fn what_we_and_hyper_both_take_is_the_same_to_both(answer in nearly_an_answer()) {
        let ours = exchange(&[&answer], Then::Closes);
        let is_taken = matches!(ours.end, End::Reusable | End::Spent);
        if let (true, Some((status, body))) = (is_taken, with_hyper(&answer)) {
            prop_assert_eq!((ours.status, ours.body), (status, body));
        }
    }
}
