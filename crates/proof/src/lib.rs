//! Proves from outside that no limit is ever passed.
//!
//! A whole gateway runs on real sockets, with a model server that behaves well, slowly, wrongly or not at all. Many
//! callers send random calls and leave when they like, while thresholds change and the wall clock is stepped. From
//! what the callers saw (the time in each request id), and the model server's own count of each call, every window of
//! every counter is then added up again, by rules written down here a second time.
//!
//! What is proved, by mode: no call is ever let into a window that would be over its cap with it. Where outputs are
//! declared and the model server tells the truth, in `estimate` and `hard`, no window is over its cap at all; else
//! what is charged late is debt, which is measured and must keep the next call out. Where the model server lies, its
//! word is what counts, since it is what a bill would say. Refused calls never reach the model server; in the end
//! nothing is pending, and counters, ledger and calls agree.
//!
//! Knows nothing of: the engine and the data plane. Begins at [`run::run`].

pub mod bills;
pub mod books;
pub mod budgets;
pub mod chance;
pub mod clerk;
pub mod clock;
pub mod configs;
pub mod crash;
pub mod edits;
pub mod history;
pub mod http;
pub mod judge;
pub mod load;
pub mod plan;
pub mod prices;
pub mod report;
pub mod run;
pub mod stage;
pub mod subject;
pub mod windows;
pub mod witness;
pub mod world;
