//! One run: a gateway, a world, its load, and the judgement.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use domain::{Clock as _, Now};
use tokio::task::JoinSet;

use crate::bills::Known;
use crate::chance::Chance;
use crate::clerk::{Clerk, Record};
use crate::edits::{self, Edited};
use crate::history::{Call, Mode};
use crate::judge::{Judgement, judge};
use crate::load::{Scene, Told, call};
use crate::report::Report;
use crate::subject::{Stamps, Subject};
use crate::world::World;
use crate::{bills, books, budgets};

/// What a run is made of.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Everything random follows from it, but for what the machine adds.
    pub seed: u64,
    /// How long calls are made.
    pub load: Duration,
    /// How calls are admitted.
    pub mode: Mode,
    /// Callers at once.
    pub callers: usize,
}

/// Admitted calls that a run keeps at most, some hundred bytes each; the load ends when there are as many.
const CALLS_MAX: usize = 8_000_000;
/// Runs it, on a gateway in this process, or on this program.
///
/// # Errors
/// A gateway that cannot be started or does not answer. What it does wrong is in the report.
pub async fn run(plan: Plan, program: Option<&Path>) -> anyhow::Result<Report> {
    let mut chance = Chance::new(plan.seed);
    let mut world = World::draw(&mut chance);
    let subject = match program {
        None => Subject::start(plan.mode).await?,
        Some(binary) => Subject::start_program(binary, plan.mode).await?,
    };
    let endpoints = subject.set_up(&mut world).await?;
    let clerk = Clerk::open(&world, subject.office(), subject.desk(), endpoints).await?;
    let length_us = u64::try_from(plan.load.as_micros()).unwrap_or(u64::MAX);
    let scene = Arc::new(Scene {
        world,
        stage: Arc::clone(&subject.stage),
        clock: Arc::clone(&subject.clock),
        addr: subject.addr,
        stamps: subject.stamps(),
        until_us: subject.clock.us().saturating_add(length_us),
        calls_max: CALLS_MAX / plan.callers.max(1),
    });
    let Loaded { told, edited, record, debt_shown } =
        load(&scene, &subject, clerk, plan, &mut chance).await?;
    let mut report = Report::new(plan, &told, (&edited, &record), debt_shown, subject.clock.steps());
    subject.quiet().await?;
    let calls = closed(&scene, told, &mut report);
    report.strays(subject.stage.strays());
    report.charged(&calls);
    for (at, tree) in scene.world.trees.iter().enumerate() {
        let timeline = &edited.timelines[at];
        let judgement: Judgement = judge((at, tree), timeline, &calls, &scene.clock, plan.mode);
        report.judged((at, tree), judgement, &calls);
    }
    close_books(&scene, subject, (&edited, &record), &calls, &mut report).await?;
    Ok(report)
}

/// What came of the load.
struct Loaded {
    told: Vec<Told>,
    edited: Edited,
    record: Record,
    debt_shown: u64,
}

/// Everything at once, until the time is over.
async fn load(
    scene: &Arc<Scene>,
    subject: &Subject,
    clerk: Clerk,
    plan: Plan,
    chance: &mut Chance,
) -> anyhow::Result<Loaded> {
    let mut callers = JoinSet::new();
    for _ in 0..plan.callers {
        callers.spawn(call(Arc::clone(scene), chance.fork()));
    }
    let steps = match scene.stamps {
        Stamps::Exact => Some(tokio::spawn(edits::step_clock(Arc::clone(scene), chance.fork()))),
        Stamps::Foreign => None,
    };
    let edits = tokio::spawn(edits::edit(Arc::clone(scene), subject.desk(), chance.fork()));
    let spending = tokio::spawn(clerk.work(Arc::clone(scene), chance.fork()));
    let asked = tokio::spawn(edits::ask(Arc::clone(scene), subject.desk(), chance.fork()));
    edits::break_down(Arc::clone(scene), &subject.model, chance.fork()).await;
    let told = callers.join_all().await;
    if let Some(steps) = steps {
        steps.await?;
    }
    Ok(Loaded { told, edited: edits.await?, record: spending.await?, debt_shown: asked.await?? })
}

fn closed(scene: &Scene, told: Vec<Told>, report: &mut Report) -> Vec<Call> {
    let mut calls = Vec::new();
    for mut told in told {
        told.close(scene);
        report.told(&told);
        calls.append(&mut told.calls);
    }
    calls
}

async fn close_books(
    scene: &Scene,
    subject: Subject,
    (edited, record): (&Edited, &Record),
    calls: &[Call],
    report: &mut Report,
) -> anyhow::Result<()> {
    let bounds = books::bounds(&scene.world, calls, &scene.clock);
    let (shown, wrong) = books::counters(&scene.world, edited, &bounds, subject.desk()).await?;
    report.wrong(wrong);
    // The latest time that any counter can have seen, so that none has a period that lies ahead.
    let now = Now { wall_ms: scene.clock.latest_ms(u64::MAX), ..scene.clock.now() };
    let lines_shown = subject.lines(&scene.world, now);
    let (day, stamps) = (scene.clock.now().day(), subject.stamps());
    let ledger = subject.into_ledger().await?;
    report.wrong(books::ledger(&scene.world, &ledger.store, day, (&bounds, &shown)));
    let known = Known { world: &scene.world, calls, record, clock: &scene.clock, stamps };
    let (booked, wrong) = bills::read(&ledger.store, known).await?;
    report.wrong(wrong);
    report.spent(booked.len(), budgets::judge(known, &booked, report.mode()));
    report.wrong(budgets::compare(known, &booked, &ledger.store, (&lines_shown, now)).await?);
    Ok(())
}
