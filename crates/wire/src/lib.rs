//! What is read from and written to the dialects of OpenAI and Anthropic.
//!
//! Bodies stay bytes. A request is read for the few fields that decide where it goes and what it may cost
//! ([`read_call`]); what must change is spliced in and everything else stays as it was, byte for byte
//! ([`Call::upstream_body`]). Answers pass the same way, whole ([`read_whole`]) or as a stream of events
//! ([`AnswerStream`]): their `model` becomes the slug, their usage is read, nothing else changes. A bound can be
//! put on what is written, beforehand ([`OutputBound`]) and on the way ([`AnswerStream::cut`]). What we say ourselves
//! is an [`ErrorBody`]. Which of six forms all this takes is the [`Operation`].
//!
//! Guarantees: never panics on any bytes; what comes from a client can be refused, what comes from a model server
//! never fails but for size; no error carries text of a prompt or a completion.
//! Knows nothing of: HTTP, sockets, groups, limits. Never asks whether a field that it does not need is valid.
//! Begins at [`Operation`] and [`read_call`].

mod answer;
mod depth;
mod error;
mod members;
mod operation;
mod request;
mod splice;
mod sse;
mod stream;
mod text;
mod usage;
mod whole;

pub use depth::{DEPTH_MAX, nests_too_deep};
pub use error::{ErrorBody, LimitNote};
pub use operation::{Dialect, Operation};
pub use request::{Call, ChatSpelling, METADATA_LEN_MAX, Malformed, OutputBound, READ_TWICE_MAX, read_call};
pub use stream::{AnswerStream, Cut, EVENT_LEN_MAX, EventTooLong, RESPONSE_EVENT_LEN_MAX, UsageChunk};
pub use usage::ReportedInput;
pub use whole::{WholeAnswer, read_whole};
