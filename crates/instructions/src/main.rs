//! Does one thing on the path of a call again and again, so that its instructions can be counted.
//!
//! Started by `cargo xtask instructions` under callgrind, which counts what happens in [`tally`] and nothing else. Without
//! an argument it prints the names of the tasks; with a name it does that task and prints how many times it was counted.
//!
//! Guarantees: a task does the same in every run. Time is made up, nothing is random but the seeds of maps, which no
//! counted instruction looks at; no input or output, one thread.
//! Knows nothing of: how instructions are counted, what is too many.

mod admission;
mod paths;
mod request;
mod stream;
mod tally;

use std::process::ExitCode;

use crate::tally::{Tally, Task};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stdout, reason = "this is how it answers")]
fn main() -> ExitCode {
    let tasks: Vec<Task> = [admission::TASKS, request::TASKS, stream::TASKS].concat();
    let Some(wanted) = std::env::args().nth(1) else {
        tasks.iter().for_each(|task| println!("{}", task.name));
        return ExitCode::SUCCESS;
    };
    let Some(task) = tasks.iter().find(|task| task.name == wanted) else { return ExitCode::from(2) };
    let mut tally = Tally::new(task.rounds);
    (task.run)(&mut tally);
    println!("{}", tally.counted());
    ExitCode::SUCCESS
}
