//! Streams of events: whatever the bytes and however the network cuts them, the same comes out, the same is counted,
//! and they can be ended early. The first byte says where the network cuts.

use bytes::Bytes;
use domain::Usage;
use wire::{AnswerStream, Cut, EventTooLong, Operation, UsageChunk};

/// Input, output and cached tokens.
type Counts = (u64, u64, u64);
/// What came out, what was counted, what was guessed, whether it ended, whether it failed.
type Seen = (Vec<u8>, Option<Counts>, u64, bool, bool);

/// Fails if a promise is broken.
pub(crate) fn check(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let every = usize::from(*cut).max(1);
    for operation in Operation::ALL {
        for chunk in [UsageChunk::Forward, UsageChunk::Withhold] {
            let whole = run(operation, chunk, [stream].into_iter());
            let cut = run(operation, chunk, stream.chunks(every));
            assert_eq!(whole, cut, "{operation:?}, cut every {every}");
            let whole = run_short(operation, chunk, [stream].into_iter());
            let cut = run_short(operation, chunk, stream.chunks(every));
            assert_eq!(whole, cut, "{operation:?}, ended early, cut every {every}");
        }
    }
}

fn run<'a>(
    operation: Operation,
    chunk: UsageChunk,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<Seen, EventTooLong> {
    let mut stream = AnswerStream::new(operation, "acme/m1", chunk);
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&stream.feed(&Bytes::copy_from_slice(piece))?);
    }
    out.extend_from_slice(&stream.finish());
    let usage = stream.usage().map(|usage| (usage.input, usage.output, usage.cached));
    Ok((out, usage, stream.output_guess(), stream.done(), stream.failed()))
}

/// The end of a stream that is ended early: whole events, the last of which ends a stream of its operation.
fn run_short<'a>(
    operation: Operation,
    chunk: UsageChunk,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Result<String, EventTooLong> {
    let mut stream = AnswerStream::new(operation, "acme/m1", chunk).cuttable();
    for piece in pieces {
        stream.feed(&Bytes::copy_from_slice(piece))?;
    }
    let last = match operation {
        _ if stream.done() => "",
        Operation::ChatCompletions | Operation::Completions => "data: [DONE]\n\n",
        Operation::Responses => "}\n\n",
        Operation::Messages => "data: {\"type\":\"message_stop\"}\n\n",
        Operation::Embeddings | Operation::CountTokens => "",
    };
    let end = stream.cut(&Cut { usage: Usage::NONE, request_id: "r1", unix_s: 1 });
    let end = String::from_utf8(end.to_vec()).expect("what we write is text");
    assert_eq!((end.is_empty(), end.ends_with(last)), (last.is_empty(), true), "{operation:?}");
    Ok(end)
}
