//! What model configs cost a call: three gateways that differ in nothing else, measured by turns in one run.
//!
//! Each has 100 000 keys, of which 1 000 call by turns, each of a tree of its own. Every call has a key, a user, a price
//! and three limits of its group; its line is written into the ledger. *none* has no model config. *others* has 10 000 of
//! other keys, users, groups and models. *matching* has four that every call has to fit, three lines each, and 9 996 others.
//!
//! The way from snapshot to path is a part of every call, so *others of none* says what it costs that there are many, and
//! *matching of others* what it costs to meet some. Begins at [`run`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::customers::{self, Numbers};
use crate::load::Load;
use crate::machine::Machine;
use crate::options::Answers;
use crate::say::{note, say};
use crate::subject::Subject;
use crate::table::{Figures, fraction};
use crate::{clock, simulator, tollgate};

const ROUNDS: usize = 12;
const TURN: Duration = Duration::from_secs(2);
/// Long enough that every path is bound and every connection open.
const WARM_UP: Duration = Duration::from_millis(500);
const CONNECTIONS: usize = 32;
const NAMES: [&str; 3] = ["none", "others", "matching"];
const NUMBERS: [Numbers; 3] = [
    Numbers { keys: 100_000, calling: 1_000, matching: 0, others: 0 },
    Numbers { keys: 100_000, calling: 1_000, matching: 0, others: 10_000 },
    Numbers { keys: 100_000, calling: 1_000, matching: 4, others: 9_996 },
];

/// One gateway and the calls to it.
struct Side {
    gateway: Subject,
    load: Load,
    rounds: Vec<Figures>,
}

pub(crate) fn run(binary: Option<String>) -> anyhow::Result<()> {
    let machine = Machine::look();
    let binary = match binary {
        Some(given) => PathBuf::from(given).canonicalize().context("there is no such binary")?,
        None => tollgate::build()?,
    };
    machine.place_load()?;
    let model = simulator::start(machine, simulator::SHORT)?;
    let mut sides = Vec::new();
    for (name, numbers) in NAMES.into_iter().zip(NUMBERS) {
        note(&format!("setting up {name}: {} keys", numbers.keys));
        sides.push(start(&binary, machine, model.addr, (name, numbers))?);
    }
    for round in 1..=ROUNDS {
        for side in &mut sides {
            note(&format!("round {round}, {}", side.gateway.name));
            let figures = turn(side)?;
            side.rounds.push(figures);
        }
    }
    report(machine, &sides)
}

fn start(
    binary: &Path,
    machine: Machine,
    model: SocketAddr,
    (name, numbers): (&'static str, Numbers),
) -> anyhow::Result<Side> {
    let files = tempfile::tempdir()?;
    let keys = customers::write(&files.path().join("data"), numbers)?;
    let gateway = tollgate::start_on(binary, machine, model, (name, files))?;
    let load = Load::by(gateway.addr, &keys)?;
    load.check(Answers::Whole).context(name)?;
    Ok(Side { gateway, load, rounds: Vec::new() })
}

fn turn(side: &Side) -> anyhow::Result<Figures> {
    side.load.run(CONNECTIONS, WARM_UP)?;
    let before = side.gateway.process.settled_consumption()?;
    let burst = side.load.run(CONNECTIONS, TURN)?;
    Ok(Figures::of(burst, before, side.gateway.process.settled_consumption()?))
}

fn report(machine: Machine, sides: &[Side]) -> anyhow::Result<()> {
    say(&format!(
        "{}; {}; c={CONNECTIONS}, {ROUNDS} rounds of {} s by turns, medians; in brackets the least and the most of any round.",
        clock::today()?,
        machine.describe(),
        TURN.as_secs()
    ));
    say("");
    say("| Gateway | calls/s | p50 ms | CPU µs a call | RSS MiB | errors |");
    say("| --- | --- | --- | --- | --- | --- |");
    for Side { gateway, rounds, .. } in sides {
        let Figures { calls_per_second, p50_nanos, cpu_centimicros, rss_kib, errors, .. } =
            Figures::median(rounds);
        say(&format!(
            "| {} | {calls_per_second} | {} | {} | {} | {errors} |",
            gateway.name,
            fraction(p50_nanos / 1000, 1000),
            fraction(cpu_centimicros / 10, 10),
            rss_kib / 1024,
        ));
    }
    say("");
    say("| Ratio | calls/s | CPU a call |");
    say("| --- | --- | --- |");
    let [none, others, matching] = sides else { return Ok(()) };
    for (one, other) in [(others, none), (matching, others), (matching, none)] {
        let ratio = |of: fn(&Figures) -> u64| ratio(&one.rounds, &other.rounds, of);
        say(&format!(
            "| {} of {} | {} | {} |",
            one.gateway.name,
            other.gateway.name,
            ratio(|figures| figures.calls_per_second),
            ratio(|figures| figures.cpu_centimicros),
        ));
    }
    Ok(())
}

/// Round by round: the median, the least and the most.
fn ratio(ones: &[Figures], others: &[Figures], of: fn(&Figures) -> u64) -> String {
    let mut ratios: Vec<u64> =
        ones.iter().zip(others).map(|(one, other)| of(one) * 100 / of(other).max(1)).collect();
    ratios.sort_unstable();
    let middle = ratios.get(ratios.len() / 2).copied().unwrap_or(0);
    let [least, most] = [ratios.first(), ratios.last()].map(|end| fraction(end.copied().unwrap_or(0), 100));
    format!("{}× ({least} to {most})", fraction(middle, 100))
}
