//! Automation, in Rust so that a machine with only Rust can run it: `cargo xtask test | clients | proof | bench |
//! instructions | tidy`.

mod bench;
mod clients;
mod instructions;
mod promises;
mod proof;
mod steps;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test         format, lints, tidiness, every test, the official SDKs against the real program
cargo xtask clients      the official SDKs and the contract test alone
cargo xtask proof [...]  random load on a whole gateway: no window over its cap; --minutes 10 --seed N --mode estimate
cargo xtask proof crash  kills the real program again and again under load: nothing is lost; --kills 200 --seed N
cargo xtask proof full-disk  the same where its disk fills up
cargo xtask bench [...]  side by side with nginx; arguments go to the benchmark (see crates/bench)
cargo xtask instructions [--renew]  what a call costs in instructions, against what is stored; or stores it
cargo xtask tidy         the rules of the house alone: floors, sizes, module docs, promises";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        Some(("test", [])) => test::everything(),
        Some(("clients", [])) => clients::everything(),
        Some(("bench", rest)) => bench::run(rest),
        Some(("instructions", rest)) => instructions::run(rest),
        Some(("proof", rest)) => proof::run(rest),
        Some(("tidy", [])) => tidy::run(),
        _ => {
            steps::say(USAGE);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            steps::say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
