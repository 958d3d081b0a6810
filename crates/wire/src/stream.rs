//! An answer that comes as a stream of events: passed on as it comes, watched for its usage.
//!
//! Bytes go in as the network cuts them; whole events come out, and comments at once. In each JSON object `model`
//! becomes the slug; the chunk that tells only usage is withheld from a caller who did not ask for it; nothing else
//! changes, and where nothing changes nothing is copied.
//!
//! A stream can be ended early as if its model had reached its bound, if that was asked for when it was made
//! ([`AnswerStream::cuttable`]).
//!
//! Begins at [`AnswerStream::feed`].

mod cut;
mod out;

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use domain::Usage;

pub use self::cut::Cut;
use self::cut::Progress;
use self::out::Out;
use crate::answer::{Answer, Report, Role, read_event};
use crate::operation::Operation;
use crate::splice::quoted;
use crate::sse::{Splitter, Unit, data};
use crate::usage::{Counts, ReportedInput};

/// The longest event that is held until its end has come, in bytes: what a stream may take of memory, and as much
/// again while the event goes on its way.
pub const EVENT_LEN_MAX: usize = 4 * 1024 * 1024;

/// The same for responses. Their events hold whole images, and the last one holds every image of the answer.
pub const RESPONSE_EVENT_LEN_MAX: usize = 16 * 1024 * 1024;

/// How much of the room for an event is kept for the next one. Few events are longer.
const ROOM_KEPT_MAX: usize = 64 * 1024;

/// Whether the caller gets the chunk that tells only usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageChunk {
    /// The caller asked for it.
    Forward,
    /// We asked for it, the caller did not.
    Withhold,
}

/// The stream has an event longer than [`EVENT_LEN_MAX`] or [`RESPONSE_EVENT_LEN_MAX`]; there is no sense in reading on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTooLong;

/// One streamed answer on its way through.
pub struct AnswerStream {
    operation: Operation,
    /// Quoted, as it stands in JSON.
    slug: String,
    usage_chunk: UsageChunk,
    splitter: Splitter,
    /// The beginning of an event whose end has not come.
    pending: Vec<u8>,
    /// What became of the last unit: a line feed that comes late goes with it.
    last: Fate,
    usage: Option<Usage>,
    /// What is told of the usage where it is told bit by bit.
    counts: Counts,
    text_bytes: usize,
    /// Events in which the model wrote something, in a form that is known or not.
    written_events: u64,
    cutting: Cutting,
    done: bool,
    failed: bool,
}

/// Whether the stream can be ended in the middle.
enum Cutting {
    Unprepared,
    Prepared(Box<Progress>),
    /// It is. Nothing more goes on.
    Cut,
}

/// What becomes of a unit.
#[derive(Debug, Clone)]
enum Fate {
    Forward,
    /// With the slug in this place.
    Rename(Range<usize>),
    Withhold,
}

impl AnswerStream {
    /// A stream that is to be seen as this slug's. `usage_chunk` matters to chat and completions alone.
    #[must_use]
    pub fn new(operation: Operation, slug: &str, usage_chunk: UsageChunk) -> Self {
        Self {
            operation,
            slug: quoted(slug),
            usage_chunk,
            splitter: Splitter::default(),
            pending: Vec::new(),
            last: Fate::Forward,
            usage: None,
            counts: Counts::default(),
            text_bytes: 0,
            written_events: 0,
            cutting: Cutting::Unprepared,
            done: false,
            failed: false,
        }
    }

    /// The same stream, ready for [`Self::cut`]: from now on it keeps what an early end needs. That costs a second
    /// look at each event; for a response also what the model writes, up to 256 KiB, and 64 KiB of the request's
    /// instructions and tools.
    #[must_use]
    pub fn cuttable(mut self) -> Self {
        if let Some(progress) = Progress::new(self.operation, self.usage_chunk) {
            self.cutting = Cutting::Prepared(Box::new(progress));
        }
        self
    }

    /// Takes in what came from upstream and returns what may go on: whole events, or nothing.
    pub fn feed(&mut self, piece: &Bytes) -> Result<Bytes, EventTooLong> {
        if matches!(self.cutting, Cutting::Cut) {
            return Ok(Bytes::new());
        }
        let mut out = Out::new(piece);
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
                if event.capacity() <= ROOM_KEPT_MAX {
                    event.clear();
                    self.pending = event;
                }
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
        let Some(fate) = self.message(&event) else { return Bytes::new() };
        let piece = Bytes::new();
        let mut out = Out::new(&piece);
        out.put_copy(&event, &fate, &self.slug);
        if !matches!(fate, Fate::Withhold) {
            // After a CR, the first LF belongs to it.
            let missing = if event.ends_with(b"\n") { "\n" } else { "\n\n" };
            out.put_bytes(missing.as_bytes());
        }
        out.finish()
    }

    /// Ends the answer here, as if its model had reached its bound: returns the events that say so to the caller, up to
    /// the one that ends a stream of this operation. From then on the stream is [`Self::done`], and nothing more of it
    /// goes on. Half an event is dropped. Returns nothing if the stream has ended already, or was not made
    /// [`Self::cuttable`].
    ///
    /// What [`Self::feed`] returned before has to go on before it: the end fits no other place. Whoever may have to cut
    /// in the middle of a long piece feeds it in slices.
    ///
    /// An answer that has not begun is begun under a name made of the request's id, and has nothing in it.
    #[must_use]
    pub fn cut(&mut self, cut: &Cut<'_>) -> Bytes {
        let cutting = std::mem::replace(&mut self.cutting, Cutting::Cut);
        self.pending = Vec::new();
        if std::mem::replace(&mut self.done, true) {
            return Bytes::new();
        }
        match cutting {
            Cutting::Prepared(progress) => progress.end(cut, &self.slug),
            Cutting::Unprepared | Cutting::Cut => Bytes::new(),
        }
    }

    /// Whether the event has come that ends a stream of this operation: `[DONE]`, `response.completed` and its like,
    /// `message_stop`.
    #[must_use]
    pub fn done(&self) -> bool {
        self.done
    }

    /// The last usage that the stream told; `None` if it told none, or none that can be believed. A stream of
    /// messages tells its input first: until it has told its output too, there is only [`Self::reported_input`].
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// The prompt as the stream told it: for a stream that broke off before it told its output, which has to be guessed
    /// then.
    #[must_use]
    pub fn reported_input(&self) -> Option<ReportedInput> {
        self.usage.map(ReportedInput::from).or_else(|| self.counts.input())
    }

    /// Tokens of everything the model wrote so far, estimated. Made for the bill of a stream that told no usage and was not
    /// cut by a limit: it counts what was written and not how it was sent, so that a server that sends small events makes
    /// no call dearer.
    #[must_use]
    pub fn output_guess(&self) -> u64 {
        tokens::text(self.text_bytes)
    }

    /// Tokens of everything the model wrote so far, rather too many than too few: made for holding room in limits, where
    /// too many are given back in the end and too few would let a limit be passed. The largest of what the bytes come
    /// to, the number of events in which the model wrote (servers send a token or more in each, and random characters
    /// have fewer bytes a token than the ratio says), and what the stream itself told.
    #[must_use]
    pub fn written_at_most(&self) -> u64 {
        let told = self.usage.map_or(0, |usage| usage.output);
        self.output_guess().max(self.written_events).max(told)
    }

    /// Tokens of everything the model wrote so far, rather too few than too many (but for a few events that only begin or
    /// end an answer): made for noticing a model that writes more than it was allowed. The number of events in which it wrote, or a token for each 36 bytes, which is more
    /// than even long words and indented code come to, or what the stream itself told.
    #[must_use]
    pub fn written_at_least(&self) -> u64 {
        let told = self.usage.map_or(0, |usage| usage.output);
        (self.output_guess() / 12).max(self.written_events).max(told)
    }

    /// Whether an event told of an error.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed
    }

    fn check_len(&self, more: usize) -> Result<(), EventTooLong> {
        let most = match self.operation {
            Operation::Responses => RESPONSE_EVENT_LEN_MAX,
            Operation::ChatCompletions
            | Operation::Completions
            | Operation::Embeddings
            | Operation::Messages
            | Operation::CountTokens => EVENT_LEN_MAX,
        };
        if self.pending.len() + more > most { Err(EventTooLong) } else { Ok(()) }
    }

    /// Decides what becomes of a unit, and takes in what it says.
    fn judge(&mut self, bytes: &[u8], unit: Unit) -> Fate {
        let fate = match unit {
            Unit::Event => self.message(bytes).unwrap_or(Fate::Forward),
            Unit::Aside => Fate::Forward,
            Unit::Tail if matches!(self.last, Fate::Withhold) => Fate::Withhold,
            Unit::Tail => Fate::Forward,
        };
        self.last = fate.clone();
        fate
    }

    /// Takes in what an event says, if we understand it. Where it says it: in the event.
    fn message(&mut self, event: &[u8]) -> Option<Fate> {
        let data = data(event)?;
        let text = std::str::from_utf8(&data.bytes).ok()?;
        if text.trim() == "[DONE]" && self.ends_in_a_word() {
            return Some(self.take_in(Answer { role: Role::Last, ..Answer::default() }));
        }
        let mut answer = read_event(self.operation, text, &self.slug)?;
        if let Cutting::Prepared(progress) = &mut self.cutting {
            progress.note(text);
        }
        answer.foreign_model =
            answer.foreign_model.map(|model| data.offset + model.start..data.offset + model.end);
        Some(self.take_in(answer))
    }

    /// Whether the stream ends in `[DONE]`, not in an event of its own.
    fn ends_in_a_word(&self) -> bool {
        !matches!(self.operation, Operation::Responses | Operation::Messages)
    }

    fn take_in(&mut self, answer: Answer<'_>) -> Fate {
        self.text_bytes += answer.written.bytes();
        self.written_events += u64::from(answer.writes);
        self.take_in_usage(answer.usage);
        match answer.role {
            Role::Piece => {}
            Role::UsageAlone if self.usage_chunk == UsageChunk::Withhold => return Fate::Withhold,
            Role::UsageAlone => {}
            Role::Last => self.done = true,
            Role::Error => self.failed = true,
            Role::LastError => (self.done, self.failed) = (true, true),
        }
        answer.foreign_model.map_or(Fate::Forward, Fate::Rename)
    }

    fn take_in_usage(&mut self, report: Report) {
        match report {
            Report::Silent => {}
            Report::Told(usage) => self.usage = usage,
            Report::Counted(counts) => {
                self.counts.update(&counts);
                self.usage = self.counts.usage();
            }
        }
    }
}

/// Shows nothing of the answer.
impl fmt::Debug for AnswerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerStream")
            .field("operation", &self.operation)
            .field("slug", &self.slug)
            .field("usage", &self.usage)
            .field("done", &self.done)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for EventTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event of the stream is longer than any that makes sense")
    }
}

impl std::error::Error for EventTooLong {}

#[cfg(test)]
mod tests;
