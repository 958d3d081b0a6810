//! The comparison: every subject up, then rounds in which each has its turn, then the table.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;

use crate::load::Load;
use crate::machine::Machine;
use crate::options::{Answers, Options, Through};
use crate::say::{note, say};
use crate::subject::Subject;
use crate::table::{Figures, Line, render};
use crate::{nginx, simulator, tollgate};

/// Caches, connections and pools settle before anything counts.
const WARM_UP: Duration = Duration::from_millis(500);

/// What a proxy needs that has to be there before anything is pinned to a core.
#[derive(Debug)]
struct Binaries {
    nginx: Option<PathBuf>,
    tollgate: Option<PathBuf>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let machine = Machine::look();
    let binaries = binaries(options)?;
    machine.place_load()?;

    let model = simulator::start(machine, simulator::SHORT)?;
    let proxies = proxies(options, &binaries, machine, model.addr)?;
    let direct = options.through.contains(&Through::Direct).then_some(&model);
    let subjects: Vec<&Subject> = direct.into_iter().chain(&proxies).collect();

    let answer_len = check(options.answers, &subjects)?;
    let mut lines = measure(options, &subjects)?;
    if options.through.contains(&Through::Nginx) && binaries.nginx.is_none() {
        lines.push(Line::Skipped { name: "nginx", why: "nginx is not installed" });
    }
    say(&title(options, machine, answer_len));
    say("");
    render(&lines).iter().for_each(|line| say(line));
    Ok(())
}

fn binaries(options: &Options) -> anyhow::Result<Binaries> {
    let tollgate = match (&options.tollgate, options.through.contains(&Through::Tollgate)) {
        (_, false) => None,
        (Some(given), true) => Some(given.canonicalize().context("--tollgate names no file")?),
        (None, true) => Some(tollgate::build()?),
    };
    Ok(Binaries { nginx: nginx::find(), tollgate })
}

fn proxies(
    options: &Options,
    binaries: &Binaries,
    machine: Machine,
    model: SocketAddr,
) -> anyhow::Result<Vec<Subject>> {
    let mut proxies = Vec::new();
    if let (Some(binary), true) = (&binaries.nginx, options.through.contains(&Through::Nginx)) {
        proxies.push(nginx::start(binary, machine, model, options.answers)?);
    }
    if let Some(binary) = &binaries.tollgate {
        proxies.push(tollgate::start(binary, machine, model)?);
    }
    Ok(proxies)
}

/// Each gives the right answer. Returns how long the longest is.
fn check(answers: Answers, subjects: &[&Subject]) -> anyhow::Result<usize> {
    let mut longest = 0;
    for subject in subjects {
        let len = Load::on(subject, answers)?.check(answers).with_context(|| subject.name)?;
        longest = longest.max(len);
    }
    Ok(longest)
}

/// Rounds go around the subjects, so that none has all the quiet minutes.
fn measure(options: &Options, subjects: &[&Subject]) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for &connections in &options.connections {
        let mut rounds = vec![Vec::new(); subjects.len()];
        for round in 1..=options.rounds {
            for (subject, figures) in subjects.iter().zip(&mut rounds) {
                note(&format!("c={connections}, round {round}, through {}", subject.name));
                figures.push(turn(options, subject, connections)?);
            }
        }
        lines.extend(subjects.iter().zip(rounds).map(|(subject, rounds)| Line::Measured {
            name: subject.name,
            doing: subject.doing,
            connections,
            figures: Figures::median(&rounds),
        }));
    }
    Ok(lines)
}

fn turn(options: &Options, subject: &Subject, connections: usize) -> anyhow::Result<Figures> {
    let load = Load::on(subject, options.answers)?;
    load.run(connections, WARM_UP)?;
    let before = subject.process.settled_consumption()?;
    let burst = load.run(connections, options.seconds)?;
    Ok(Figures::of(burst, before, subject.process.settled_consumption()?))
}

fn title(options: &Options, machine: Machine, answer_len: usize) -> String {
    let answers = match options.answers {
        Answers::Whole => format!("250 bytes in, {answer_len} bytes out, not streamed"),
        Answers::Streamed => format!("250 bytes in, streams of 20 chunks ({answer_len} bytes) out"),
    };
    let Options { seconds, rounds, date, .. } = options;
    let seconds = seconds.as_secs();
    let machine = machine.describe();
    format!(
        "{date}; {machine}; {answers}; medians of {rounds} rounds of {seconds} s. \
         CPU includes what is finished after the last answer. Where load generator and model server share a core, \
         calls/s can't pass what goes straight through; CPU a call is the figure to compare."
    )
}
