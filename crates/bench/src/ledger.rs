//! A big ledger: how long one waits for what ten million calls have left, and what reading it costs those who call.
//!
//! The store is written by the store's own writer, batch by batch, before its gateway starts: 40 days of calls by 2 000
//! groups below one root. Ten of the groups make half of the calls; one key makes a hundred of all. Then the gateway is
//! started as a user would, and asked: events from the beginning, in the middle, at the end, of the rare key, as CSV; the
//! month of one group, and of everything below the root. Last, calls alone and while all that is read in a loop, by turns,
//! since only ratios of one run can be compared; and then while the ledger is audited, which cannot be stopped between.
//!
//! Begins at [`run`].

mod ask;
mod fill;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::exchange::Server;
use crate::load::Load;
use crate::machine::Machine;
use crate::options::Answers;
use crate::say::{note, say};
use crate::subject::Subject;
use crate::table::{Figures, fraction};
use crate::tollgate::MANAGEMENT_KEY;
use crate::{clock, simulator, tollgate};

use ask::Question;

const CONNECTIONS: usize = 8;
const WARM_UP: Duration = Duration::from_millis(500);

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Plan {
    entries: u64,
    /// Of one turn of calls.
    turn: Duration,
    rounds: usize,
    /// A binary to use as it is; otherwise the workspace's is built.
    binary: Option<PathBuf>,
}

/// What goes on beside the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    Nothing,
    Reads,
    Audit,
}

impl Plan {
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> anyhow::Result<Plan> {
        let turn = Duration::from_secs(3);
        let mut plan = Plan { entries: 10_000_000, turn, rounds: 5, binary: None };
        while let Some(name) = args.next() {
            let value = args.next().with_context(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--entries" => plan.entries = value.parse()?,
                "--seconds" => plan.turn = Duration::from_secs(value.parse()?),
                "--rounds" => plan.rounds = value.parse()?,
                "--tollgate" => plan.binary = Some(PathBuf::from(value).canonicalize()?),
                _ => bail!("{name} is no option of this benchmark"),
            }
        }
        ensure!(plan.entries >= 1_000 && plan.rounds > 0 && !plan.turn.is_zero(), "nothing to measure");
        Ok(plan)
    }
}

pub(crate) fn run(plan: &Plan) -> anyhow::Result<()> {
    let machine = Machine::look();
    let binary = plan.binary.clone().map_or_else(tollgate::build, Ok)?;
    let files = tempfile::tempdir()?;
    let data = files.path().join("data");
    note(&format!("writing {} calls into {}", plan.entries, data.display()));
    let filled = fill::fill(&data, plan.entries)?;
    machine.place_load()?;
    let model = simulator::start(machine, simulator::SHORT)?;
    let begun = clock::now();
    let gateway = tollgate::start_on(&binary, machine, model.addr, ("tollgate", files))?;
    let ready = begun.elapsed();
    let server = Server { addr: gateway.addr, key: MANAGEMENT_KEY };
    let questions = Question::all(&server, &filled)?;
    let mut answers = Vec::new();
    for question in &questions {
        note(question.name);
        answers.push(question.measure(&server)?);
    }
    let audited = audit(&gateway, &binary, &data);
    let calls = calls(plan, &gateway, (&binary, &data), (&filled, &questions))?;
    report(plan, machine, &filled, (ready, &gateway));
    ask::report(&questions, &answers);
    say("");
    say(&audited.unwrap_or_else(|error| format!("Audit: {error:#}")));
    report_calls(&calls)
}

/// Everything once, beside the running gateway.
fn audit(gateway: &Subject, binary: &Path, data: &Path) -> anyhow::Result<String> {
    note("audit");
    let begun = clock::now();
    let output = Command::new(binary).arg("audit").arg("--data-dir").arg(data).output()?;
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
    ensure!(output.status.success(), "{}: {said}", output.status);
    let mib = gateway.process.peak_mib()?;
    Ok(format!(
        "Audit: no difference, in {} ms; the gateway has had {mib} MiB at most.",
        begun.elapsed().as_millis()
    ))
}

type Rounds = Vec<(Beside, Vec<Figures>)>;

fn calls(
    plan: &Plan,
    gateway: &Subject,
    (binary, data): (&Path, &Path),
    (filled, questions): (&fill::Filled, &[Question]),
) -> anyhow::Result<Rounds> {
    let load = Load::by(gateway.addr, &filled.calling)?;
    load.check(Answers::Whole)?;
    let mut rounds: Rounds =
        [Beside::Nothing, Beside::Reads, Beside::Audit].map(|beside| (beside, Vec::new())).into();
    let (audits, by_turns) = rounds.split_last_mut().context("there are rounds")?;
    for round in 1..=plan.rounds {
        for (beside, figures) in by_turns.iter_mut() {
            note(&format!("round {round}, calls beside {beside:?}"));
            let one = || Ok(vec![turn(plan, gateway, &load)?]);
            figures.extend(meanwhile(*beside, (gateway, binary, data), questions, one)?);
        }
    }
    note("calls beside audits");
    let all = || (0..plan.rounds).map(|_| turn(plan, gateway, &load)).collect();
    audits.1 = meanwhile(Beside::Audit, (gateway, binary, data), questions, all)?;
    Ok(rounds)
}

/// Measures while this goes on, and waits until that has ended.
fn meanwhile(
    beside: Beside,
    there: (&Subject, &Path, &Path),
    questions: &[Question],
    measure: impl FnOnce() -> anyhow::Result<Vec<Figures>>,
) -> anyhow::Result<Vec<Figures>> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| go_on(beside, &over, there, questions));
        let measured = measure();
        over.store(true, Ordering::SeqCst);
        measured
    })
}

fn turn(plan: &Plan, gateway: &Subject, load: &Load) -> anyhow::Result<Figures> {
    load.run(CONNECTIONS, WARM_UP)?;
    let before = gateway.process.consumption()?;
    let burst = load.run(CONNECTIONS, plan.turn)?;
    Ok(Figures::of(burst, before, gateway.process.consumption()?))
}

/// What goes on until it is over.
fn go_on(
    beside: Beside,
    over: &AtomicBool,
    (gateway, binary, data): (&Subject, &Path, &Path),
    questions: &[Question],
) {
    let server = Server { addr: gateway.addr, key: MANAGEMENT_KEY };
    while !over.load(Ordering::SeqCst) {
        let done = match beside {
            Beside::Nothing => return,
            Beside::Reads => questions.iter().try_for_each(|question| question.ask(&server).map(drop)),
            Beside::Audit => audit_once(binary, data),
        };
        if let Err(error) = done {
            note(&format!("beside the calls: {error:#}"));
            return;
        }
    }
}

/// One audit, to its end: it would go on without the one who asked for it.
fn audit_once(binary: &Path, data: &Path) -> anyhow::Result<()> {
    let mut command = Command::new(binary);
    let status = command.arg("audit").arg("--data-dir").arg(data).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "the audit ended with {status}");
    Ok(())
}

fn report(plan: &Plan, machine: Machine, filled: &fill::Filled, (ready, gateway): (Duration, &Subject)) {
    let fill::Filled { groups, elapsed, bytes, .. } = filled;
    let seconds = elapsed.as_secs().max(1);
    let rss = gateway.process.peak_mib().unwrap_or(0);
    say(&format!("{}; {}.", clock::today().unwrap_or_default(), machine.describe()));
    say(&format!(
        "{} calls of {groups} groups in {} days: {} MiB on disk, written in {seconds} s ({} a second).",
        plan.entries,
        fill::DAYS,
        bytes >> 20,
        plan.entries / seconds,
    ));
    say(&format!("Ready after {} ms; {rss} MiB of memory at most.", ready.as_millis()));
    say("");
}

fn report_calls(rounds: &Rounds) -> anyhow::Result<()> {
    let all: Vec<(Beside, Figures)> =
        rounds.iter().map(|(beside, figures)| (*beside, Figures::median(figures))).collect();
    let (_, alone) = all.first().context("there is a round of calls alone")?;
    say("");
    say("| Calls beside | calls/s | p50 ms | p99 ms | errors | of alone: calls/s | p50 | p99 |");
    say("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (beside, figures) in &all {
        let ratio = |of: fn(&Figures) -> u64| fraction(of(figures) * 100 / of(alone).max(1), 100);
        say(&format!(
            "| {} | {} | {} | {} | {} | {}× | {}× | {}× |",
            beside.words(),
            figures.calls_per_second,
            fraction(figures.p50_nanos / 1_000, 1_000),
            fraction(figures.p99_nanos / 1_000, 1_000),
            figures.errors,
            ratio(|figures| figures.calls_per_second),
            ratio(|figures| figures.p50_nanos),
            ratio(|figures| figures.p99_nanos),
        ));
    }
    Ok(())
}

impl Beside {
    fn words(self) -> &'static str {
        match self {
            Beside::Nothing => "nothing",
            Beside::Reads => "all of the above, read in a loop",
            Beside::Audit => "an audit, again and again",
        }
    }
}
