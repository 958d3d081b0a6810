//! An answer that comes as a stream of events: passed on as it comes, watched for its usage.
//!
//! Bytes go in as the network cuts them; whole events come out, and comments at once. In each JSON object `model`
//! becomes the slug; the chunk that tells only usage is withheld from a caller who did not ask for it; nothing else
//! changes, and where nothing changes nothing is copied.
//!
//! Begins at [`ChatStream::feed`].

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use domain::Usage;

use crate::answer::{Answer, Report, read_answer};
use crate::splice::quoted;
use crate::sse::{Splitter, Unit, data};

/// The longest event that is held until its end has come, in bytes.
pub const EVENT_LEN_MAX: usize = 4 * 1024 * 1024;

/// Whether the caller gets the chunk that tells only usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageChunk {
    /// The caller asked for it.
    Forward,
    /// We asked for it, the caller did not.
    Withhold,
}

/// The stream has an event longer than [`EVENT_LEN_MAX`]; there is no sense in reading on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTooLong;

/// One streamed answer on its way through.
pub struct ChatStream {
    /// Quoted, as it stands in JSON.
    slug: String,
    usage_chunk: UsageChunk,
    splitter: Splitter,
    /// The beginning of an event whose end has not come.
    pending: Vec<u8>,
    /// What became of the last unit: a line feed that comes late goes with it.
    last: Fate,
    usage: Option<Usage>,
    text_bytes: usize,
    done: bool,
    failed: bool,
}

/// What becomes of a unit.
#[derive(Debug, Clone)]
enum Fate {
    Forward,
    /// With the slug in this place.
    Rename(Range<usize>),
    Withhold,
}

impl ChatStream {
    /// A stream that is to be seen as this slug's.
    #[must_use]
    pub fn new(slug: &str, usage_chunk: UsageChunk) -> Self {
        Self {
            slug: quoted(slug),
            usage_chunk,
            splitter: Splitter::default(),
            pending: Vec::new(),
            last: Fate::Forward,
            usage: None,
            text_bytes: 0,
            done: false,
            failed: false,
        }
    }

    /// Takes in what came from upstream and returns what may go on: whole events, or nothing.
    pub fn feed(&mut self, piece: &Bytes) -> Result<Bytes, EventTooLong> {
        let mut out = Out { piece, kept: 0..0, copied: Vec::new() };
        let mut start = 0;
        while let Some((len, unit)) = self.splitter.next(&piece[start..]) {
            let here = start..start + len;
            start = here.end;
            self.check_len(len)?;
            if self.pending.is_empty() {
                let fate = self.judge(&piece[here.clone()], unit);
                out.put(here, &fate, &self.slug);
            } else {
                self.pending.extend_from_slice(&piece[here]);
                let mut event = std::mem::take(&mut self.pending);
                let fate = self.judge(&event, unit);
                out.put_copy(&event, &fate, &self.slug);
                event.clear();
                self.pending = event;
            }
        }
        self.check_len(piece.len() - start)?;
        self.pending.extend_from_slice(&piece[start..]);
        Ok(out.finish())
    }

    /// What is left when the upstream has closed. A last event that lacks only its empty line is given one and goes
    /// on, so that whatever is sent after it stands for itself. Half an event is dropped, as every client would.
    pub fn finish(&mut self) -> Bytes {
        let event = std::mem::take(&mut self.pending);
        self.splitter = Splitter::default();
        let Some(message) = self.message(&event) else { return Bytes::new() };
        let fate = self.take_in(message);
        let piece = Bytes::new();
        let mut out = Out { piece: &piece, kept: 0..0, copied: Vec::new() };
        out.put_copy(&event, &fate, &self.slug);
        if !matches!(fate, Fate::Withhold) {
            // After a CR, the first LF belongs to it.
            let missing = if event.ends_with(b"\n") { "\n" } else { "\n\n" };
            out.copied.extend_from_slice(missing.as_bytes());
        }
        out.finish()
    }

    /// Whether `[DONE]` has come.
    #[must_use]
    pub fn done(&self) -> bool {
        self.done
    }

    /// The last usage that the stream told; `None` if it told none, or none that can be believed.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Tokens of everything the model wrote so far, estimated.
    #[must_use]
    pub fn output_guess(&self) -> u64 {
        tokens::text(self.text_bytes)
    }

    /// Whether an event told of an error.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed
    }

    fn check_len(&self, more: usize) -> Result<(), EventTooLong> {
        if self.pending.len() + more > EVENT_LEN_MAX { Err(EventTooLong) } else { Ok(()) }
    }

    /// Decides what becomes of a unit, and takes in what it says.
    fn judge(&mut self, bytes: &[u8], unit: Unit) -> Fate {
        let fate = match unit {
            Unit::Event => self.message(bytes).map_or(Fate::Forward, |message| self.take_in(message)),
            Unit::Aside => Fate::Forward,
            Unit::Tail if matches!(self.last, Fate::Withhold) => Fate::Withhold,
            Unit::Tail => Fate::Forward,
        };
        self.last = fate.clone();
        fate
    }

    /// What an event says, if we understand it. Where it says it: in the event.
    fn message(&self, event: &[u8]) -> Option<Message> {
        let data = data(event)?;
        let text = std::str::from_utf8(&data.bytes).ok()?;
        if text.trim() == "[DONE]" {
            return Some(Message::Done);
        }
        let mut answer = read_answer(text, &self.slug)?;
        answer.foreign_model =
            answer.foreign_model.map(|model| data.offset + model.start..data.offset + model.end);
        Some(Message::Chunk(answer))
    }

    fn take_in(&mut self, message: Message) -> Fate {
        let answer = match message {
            Message::Done => {
                self.done = true;
                return Fate::Forward;
            }
            Message::Chunk(answer) => answer,
        };
        self.failed |= answer.failed;
        self.text_bytes += answer.text_bytes;
        if let Report::Told(usage) = answer.usage {
            self.usage = usage;
        }
        match (self.usage_chunk, answer.foreign_model) {
            (UsageChunk::Withhold, _) if answer.only_usage => Fate::Withhold,
            (_, Some(model)) => Fate::Rename(model),
            (_, None) => Fate::Forward,
        }
    }
}

/// An event that we understand.
#[derive(Debug)]
enum Message {
    Done,
    Chunk(Answer),
}

/// Shows nothing of the answer.
impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream")
            .field("slug", &self.slug)
            .field("usage", &self.usage)
            .field("done", &self.done)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for EventTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an event of the stream is longer than {EVENT_LEN_MAX} bytes")
    }
}

impl std::error::Error for EventTooLong {}

/// What goes on of one piece. A run of units that go on as they are stays a part of the piece, uncopied, until
/// something else comes before or after it.
struct Out<'p> {
    piece: &'p Bytes,
    /// The run that is not copied yet; it comes after `copied`.
    kept: Range<usize>,
    copied: Vec<u8>,
}

impl Out<'_> {
    /// Adds a unit that stands in the piece.
    fn put(&mut self, unit: Range<usize>, fate: &Fate, slug: &str) {
        match fate {
            Fate::Withhold => {}
            Fate::Forward if self.kept.end == unit.start => self.kept.end = unit.end,
            Fate::Forward => {
                self.copy_kept();
                self.kept = unit;
            }
            Fate::Rename(_) => {
                let piece = self.piece;
                self.put_copy(&piece[unit], fate, slug);
            }
        }
    }

    /// Adds a unit that does not.
    fn put_copy(&mut self, unit: &[u8], fate: &Fate, slug: &str) {
        self.copy_kept();
        match fate {
            Fate::Withhold => {}
            Fate::Forward => self.copied.extend_from_slice(unit),
            Fate::Rename(model) => {
                self.copied.extend_from_slice(&unit[..model.start]);
                self.copied.extend_from_slice(slug.as_bytes());
                self.copied.extend_from_slice(&unit[model.end..]);
            }
        }
    }

    fn copy_kept(&mut self) {
        self.copied.extend_from_slice(&self.piece[self.kept.clone()]);
        self.kept = self.kept.end..self.kept.end;
    }

    fn finish(mut self) -> Bytes {
        if self.copied.is_empty() {
            return self.piece.slice(self.kept);
        }
        self.copy_kept();
        self.copied.into()
    }
}

#[cfg(test)]
mod tests;
