//! Streams of events: whatever the bytes and however the network cuts them, the same comes out and the same is
//! counted. The first byte says where to cut.

use bytes::Bytes;
use wire::{AnswerStream, EventTooLong, Operation, UsageChunk};

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
