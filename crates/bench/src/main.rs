//! Benchmarks that print ratios.
//!
//! `bench proxy` sends the same calls straight to the simulated model server, through nginx and
//! through tollgate with everything on, side by side in one run, and prints one Markdown table.
//! `bench abuse` sends callers of every bad kind at once and prints what an honest one notices of it.
//! `bench configs` prints what model configs, and how many there are, cost a call.
//! `bench ledger` prints how long one waits for what ten million calls have left.
//! `bench engine` prints what an admission costs without HTTP.
//!
//! Guarantees: what is measured are processes of their own; rounds are interleaved and medians
//! printed, so that a slow minute of the machine does not fall on one of them.
//! Knows nothing of: the gateway's insides. It is started and set up as a user would; only what
//! would take an hour that way is written into its store before it starts.
//! Begins at [`compare::run`].

mod abuse;
mod clock;
mod compare;
mod configs;
mod customers;
mod exchange;
mod ledger;
mod load;
mod machine;
mod nginx;
mod options;
mod process;
mod say;
mod simulator;
mod subject;
mod table;
mod tollgate;

use std::process::Command;

use anyhow::{Context, bail, ensure};

const USAGE: &str = "\
usage: bench proxy [--seconds 3] [--connections 1,32] [--rounds 3] [--stream]
                   [--through direct,nginx,tollgate] [--tollgate BINARY] [--date YYYY-MM-DD]
       bench abuse [TOLLGATE BINARY]
       bench configs [TOLLGATE BINARY]
       bench ledger [--entries 10000000] [--seconds 3] [--rounds 5] [--tollgate BINARY]
       bench engine";

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("proxy") => compare::run(&options::Options::read(args)?),
        Some("abuse") => abuse::run(args.next()),
        Some("configs") => configs::run(args.next()),
        Some("ledger") => ledger::run(&ledger::Plan::read(args)?),
        Some("engine") => engine(),
        // Not for users: the model server as a process of its own.
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
