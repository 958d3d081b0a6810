//! What is read from and written to OpenAI's chat dialect.
//!
//! Bodies stay bytes. A request is read for the few fields that decide where it goes and what it may cost
//! ([`read_chat`]); what must change is spliced into a copy and everything else stays as it was, byte for byte
//! ([`ChatCall::upstream_body`]). Answers pass the same way, whole ([`read_whole`]) or as a stream of events
//! ([`ChatStream`]): their `model` becomes the slug, their usage is read, nothing else changes. What we say
//! ourselves is an [`ErrorBody`].
//!
//! Guarantees: never panics on any bytes; what comes from a client can be refused, what comes from a model server
//! never fails but for size; no error carries text of a prompt or a completion.
//! Knows nothing of: HTTP, sockets, groups, limits. Never asks whether a field that it does not need is valid.
//! Begins at [`read_chat`].

mod answer;
mod depth;
mod error;
mod members;
mod request;
mod splice;
mod sse;
mod stream;
mod text;
mod usage;
mod whole;

pub use depth::{DEPTH_MAX, nests_too_deep};
pub use error::{ErrorBody, LimitNote};
pub use request::{ChatCall, METADATA_LEN_MAX, Malformed, read_chat};
pub use stream::{ChatStream, EVENT_LEN_MAX, EventTooLong, UsageChunk};
pub use whole::{WholeAnswer, read_whole};
