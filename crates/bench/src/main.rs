//! Benchmarks that print ratios.
//!
//! `bench` alone sends the same calls straight to a model server, through nginx and through tollgate with little and with
//! everything on, side by side in one run, and prints Markdown tables; `--write` puts them into `docs/performance.md`.
//! `bench abuse` sends callers of every bad kind at once and prints what an honest one notices of it.
//! `bench configs` prints what model configs, and how many there are, cost a call.
//! `bench ledger` prints how long one waits for what ten million calls have left.
//! `bench engine` prints what an admission costs without HTTP.
//!
//! Guarantees: what is measured are processes of their own; rounds are interleaved and medians
//! printed, so that a slow minute of the machine does not fall on one of them.
//! Knows nothing of: the gateway's insides. It is started and set up as a user would; only what
//! would take an hour that way is written into its store before it starts.
//! Begins at [`star::run`].

mod abuse;
mod answer;
mod callers;
mod clock;
mod configs;
mod customers;
mod exchange;
mod ledger;
mod load;
mod machine;
mod nginx;
mod options;
mod plot;
mod poller;
mod process;
mod say;
mod simulator;
mod star;
mod subject;
mod table;
mod tollgate;
mod upstream;

use std::process::Command;

use anyhow::{Context, bail, ensure};

const USAGE: &str = "\
usage: bench [star] [--rounds 5] [--seconds 1.2] [--quick] [--full] [--write] [--date YYYY-MM-DD]
                    [--only centre,c1,c128,c512,streamed,streams,prompt,groups]
                    [--tollgate BINARY] [--tollgate NAME=BINARY]...
       bench abuse [TOLLGATE BINARY]
       bench configs [TOLLGATE BINARY]
       bench ledger [--entries 10000000] [--seconds 3] [--rounds 5] [--tollgate BINARY]
       bench engine";

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1).peekable();
    // The comparison is what one gets without a name; `proxy` is what it was called.
    args.next_if(|first| first == "star" || first == "proxy");
    if args.peek().is_none_or(|first| first.starts_with('-')) {
        return star::run(&options::Options::read(args)?);
    }
    match args.next().as_deref() {
        Some("abuse") => abuse::run(args.next()),
        Some("configs") => configs::run(args.next()),
        Some("ledger") => ledger::run(&ledger::Plan::read(args)?),
        Some("engine") => engine(),
        // Not for users: model servers as processes of their own.
        Some("upstream") => upstream::serve(),
        Some("modelsim") => simulator::serve(args.next()),
        _ => bail!(USAGE),
    }
}

fn engine() -> anyhow::Result<()> {
    let example = ["run", "--release", "-p", "limits", "--example", "admission_cost"];
    let status = Command::new("cargo").args(example).status().context("cargo does not start")?;
    ensure!(status.success(), "the admission benchmark failed");
    Ok(())
}
