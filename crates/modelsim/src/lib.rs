//! A simulated model server, for the demo, tests and benchmarks.
//!
//! It answers `chat/completions`, `completions`, `embeddings` and `responses` as OpenAI would, `messages` and
//! `messages/count_tokens` as Anthropic would, whole or streamed, and behaves as its [`Script`] says: well,
//! slowly, wrongly, or not at all. It keeps count of what it served, so that a bill can be compared with the
//! other side's own count (`GET /stats`, or [`ModelServer::served`]).
//!
//! Guarantees: real sockets, each event of a stream written by itself, no Nagle delay; what is counted
//! was handed to the connection. Nothing in a request steers it: only [`ModelServer::set`] does, and the [`Director`] that
//! it was started with.
//! Knows nothing of: the gateway, clocks, the environment, real tokenizers (a token is one word of the script).
//! Begins at [`ModelServer::start`], then `answer::answer`.

mod answer;
mod ask;
mod completion;
mod direct;
mod fault;
mod gzip;
mod intake;
mod render;
mod reply;
mod route;
mod script;
mod server;
mod stream;
mod tally;

pub use direct::{Director, Ending, Receipt, Role};
pub use script::{Act, Encoding, End, Script, Tools, UsageReport};
pub use server::ModelServer;
pub use tally::{SeenRequest, Served};
