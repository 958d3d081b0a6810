//! Proves from outside that the ledger survives: the gateway is killed again and again while calls run, and everything
//! that was seen of each call is held against what the next start finds.
//!
//! The gateway is a process of its own; the model server lives here and survives it. Callers of a tree in both modes, with
//! limits per minute and day and a budget in dollars, go on through every crash, with whole answers and streams, some of
//! which take seconds; some leave. Meanwhile groups are edited, and events read as a customer reads them. Then comes
//! `kill -9`: at a random moment, now and then while the gateway is still starting. Between kill and start the files are
//! copied, and now and then the journal's end is torn off.
//!
//! What is held against what: `reconcile` (ledger, callers, model server), `chronicle` (events), `counters`, `editor`,
//! and the program's own `audit`. These judge plain values and have tests of their own.
//!
//! Begins at [`run`].

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use http::Method;
use modelsim::ModelServer;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::callers::{Gate, Scene};
use self::chronicle::{Chronicle, Event};
use self::editor::Edits;
use self::house::House;
use self::ledger::Ledger;
use self::town::Town;
use self::verdict::{Promise, Verdict};
use crate::chance::Chance;
use crate::clock::SteppedClock;
use crate::http::Desk;
use crate::stage::Stage;

pub mod callers;
pub mod chronicle;
pub mod counters;
pub mod editor;
pub mod full;
pub mod house;
pub mod ledger;
pub mod options;
pub mod reconcile;
pub mod torn;
pub mod town;
pub mod verdict;

pub use self::options::Plan;

/// Events on one page.
const PAGE: usize = 1_000;
/// The ledger's sums and the counters are read moments apart: near midnight they may be of two days.
const MIDNIGHT_MS: u64 = 30_000;
/// So many in a hundred starts are killed before they are ready.
const EARLY_PERCENT: u64 = 10;
/// Longest time until such a kill.
const EARLY_MS: u64 = 400;
/// How often somebody reads events.
const READ_PAUSE: Duration = Duration::from_millis(40);

/// A run, from its set-up to its verdict.
pub struct Run {
    house: House,
    scene: Arc<Scene>,
    edits: Arc<Edits>,
    chronicle: Chronicle,
    passing: Arc<Mutex<Vec<Page>>>,
    verdict: Verdict,
    /// Calls whose records may have been torn off.
    torn: HashSet<u64>,
    chance: Chance,
    people: JoinSet<()>,
    /// It survives every gateway.
    _model: ModelServer,
}

/// What was read behind a place.
type Page = (u64, Vec<Event>);

/// What a run did.
#[derive(Debug, Default)]
struct Done {
    kills: u64,
    early: u64,
    tears: u64,
}

/// Kills it as often as planned, and judges.
///
/// # Errors
/// A gateway that does not come up again, or not answer.
pub async fn run(plan: &Plan) -> anyhow::Result<Verdict> {
    let mut run = Run::begin(plan, PROMISES).await?;
    let mut done = Done::default();
    while done.kills < plan.kills {
        if let Err(error) = run.once(plan, &mut done).await {
            return Err(error
                .context(format!("after {} kills, with this verdict so far:\n{}", done.kills, run.verdict)));
        }
    }
    if plan.torn_percent > 0 && done.tears == 0 {
        run.verdict.broken(Promise::Torn, "none", "there never was a journal to tear");
    }
    let Done { kills, early, tears } = done;
    Ok(run.end(&format!(
        "seed {}: {kills} kills, {early} more before it was ready, {tears} journals torn",
        plan.seed
    )))
}

/// What a run with kills checks.
const PROMISES: &[Promise] = &[
    Promise::Acknowledged,
    Promise::Served,
    Promise::Own,
    Promise::Refused,
    Promise::Recovered,
    Promise::Events,
    Promise::Billed,
    Promise::Counters,
    Promise::Edits,
    Promise::Audit,
];

impl Run {
    /// Starts the gateway, builds the town, and sends everybody to wait at the gate.
    ///
    /// # Errors
    /// A gateway that does not come up.
    pub async fn begin(plan: &Plan, promises: &[Promise]) -> anyhow::Result<Self> {
        let mut chance = Chance::new(plan.seed);
        let binary = plan.binary.clone().map_or_else(house::build, Ok)?;
        let clock = Arc::new(SteppedClock::start_at(gateway::clock::raw_now().wall_ms));
        let stage = Arc::new(Stage::new(Arc::clone(&clock)));
        let model = ModelServer::directed(Arc::<Stage>::clone(&stage)).await?;
        let mut house = House::new(binary, plan.place.as_deref(), &mut chance)?;
        house.start()?;
        house.ready().await?;
        let town = Town::build(&mut house.desk(), &model.base_url()).await?;
        let edits = Arc::new(Edits::of(town.groups.len()));
        let scene = Arc::new(Scene {
            town,
            stage,
            clock,
            addr: house.addr(),
            gate: watch::Sender::new(Gate::Shut),
            busy: AtomicUsize::new(0),
            told: Mutex::default(),
            turned: Mutex::default(),
        });
        let passing = Arc::<Mutex<Vec<Page>>>::default();
        let mut people = JoinSet::new();
        for _ in 0..plan.callers {
            people.spawn(callers::call(Arc::clone(&scene), chance.fork()));
        }
        people.spawn(editor::edit(Arc::clone(&scene), Arc::clone(&edits), house.desk(), chance.fork()));
        people.spawn(follow(Arc::clone(&scene), Arc::clone(&passing), house.desk()));
        let verdict = Verdict::of(promises);
        Ok(Self {
            house,
            scene,
            edits,
            chronicle: Chronicle::default(),
            passing,
            verdict,
            torn: HashSet::new(),
            chance,
            people,
            _model: model,
        })
    }

    /// Lets calls run, kills the gateway, looks at what it left, and starts it again.
    async fn once(&mut self, plan: &Plan, done: &mut Done) -> anyhow::Result<()> {
        self.work(plan).await;
        self.house.kill()?;
        done.kills += 1;
        self.scene.rest().await?;
        let tear = self.chance.percent(plan.torn_percent);
        done.tears += u64::from(tear && self.tear().await?);
        let ledger = self.reconcile().await?;
        done.early += u64::from(self.restart().await?);
        self.look(&ledger).await
    }

    /// Lets calls run for a random time.
    async fn work(&mut self, plan: &Plan) {
        self.scene.turn(Gate::Open);
        let most = u64::try_from(plan.between.as_millis()).unwrap_or(u64::MAX);
        // As often within milliseconds as within seconds.
        let time = if self.chance.percent(50) {
            self.chance.log_between(1, most)
        } else {
            self.chance.between(1, most)
        };
        tokio::time::sleep(Duration::from_millis(time)).await;
    }

    /// Tears the journal's end off. Whether there was one.
    async fn tear(&mut self) -> anyhow::Result<bool> {
        if !self.house.data().join("journal").is_dir() {
            return Ok(false);
        }
        let whole = self.house.copy()?;
        let bytes = torn::tear(self.house.data(), &mut self.chance)?;
        if bytes == 0 {
            return Ok(false);
        }
        let left = self.house.copy()?;
        let whole = Ledger::read(whole.path(), &self.scene.clock).await?.booked();
        let left = Ledger::read(left.path(), &self.scene.clock).await.context("a torn journal")?.booked();
        self.torn.extend(torn::compare(&whole, &left, bytes, &mut self.verdict));
        Ok(true)
    }

    /// Holds what the next start finds against what was seen.
    async fn reconcile(&mut self) -> anyhow::Result<Ledger> {
        let copy = self.house.copy()?;
        let ledger = Ledger::read(copy.path(), &self.scene.clock).await?;
        let calls = self.scene.calls();
        let facts: Vec<_> = calls.iter().map(|call| call.fact(&self.torn)).collect();
        reconcile::reconcile(&facts, &ledger.booked(), &mut self.verdict);
        Ok(ledger)
    }

    /// Starts it again; now and then it is killed before it is ready. Whether it was.
    async fn restart(&mut self) -> anyhow::Result<bool> {
        let early = self.chance.percent(EARLY_PERCENT);
        if early {
            self.house.start()?;
            tokio::time::sleep(Duration::from_millis(self.chance.log_between(1, EARLY_MS))).await;
            self.house.kill()?;
        }
        self.house.start()?;
        self.house.ready().await?;
        Ok(early)
    }

    /// Looks at what the gateway says, before anybody calls again.
    async fn look(&mut self, ledger: &Ledger) -> anyhow::Result<()> {
        let mut desk = self.house.desk();
        self.look_at_counters(&mut desk, ledger).await?;
        self.look_at_events(&mut desk, ledger).await?;
        editor::look(&self.scene, &self.edits, &mut desk, &mut self.verdict).await?;
        self.verdict.checked(Promise::Audit, 1);
        if let Some(said) = self.house.audit()? {
            self.verdict.broken(Promise::Audit, said.clone(), said);
        }
        Ok(())
    }

    async fn look_at_counters(&mut self, desk: &mut Desk, ledger: &Ledger) -> anyhow::Result<()> {
        let Self { scene, torn, verdict, .. } = self;
        let asked_us = scene.clock.us();
        let shown = scene.town.shown(desk).await?;
        let asked = (asked_us, scene.clock.us());
        let calls = scene.calls();
        let charges: Vec<_> = calls.iter().map(|call| call.charge(&scene.town, torn)).collect();
        // Where a day has just begun, what was acknowledged before it is not in it.
        let now = domain::Clock::now(&*scene.clock);
        if now.wall_ms.saturating_sub(now.day().start_ms()) > MIDNIGHT_MS.saturating_add(asked.1 / 1_000) {
            let sums = ledger.sums(&scene.town, &scene.clock);
            counters::judge(&shown, &charges, asked, Some(&sums), verdict);
        }
        Ok(())
    }

    /// Reads all events once more: they must be what was read in passing, and in all restarts before.
    async fn look_at_events(&mut self, desk: &mut Desk, ledger: &Ledger) -> anyhow::Result<()> {
        let Self { chronicle, passing, verdict, .. } = self;
        for (after, events) in std::mem::take(&mut *passing.lock().unwrap_or_else(PoisonError::into_inner)) {
            chronicle.read(after, &events, verdict);
        }
        let mut after = 0;
        loop {
            let events = match page(desk, after).await? {
                Ok(events) => events,
                Err(wrong) => {
                    verdict.broken(Promise::Events, wrong.clone(), wrong);
                    return Ok(());
                }
            };
            chronicle.read(after, &events, verdict);
            after += u64::try_from(events.len())?;
            if events.is_empty() {
                chronicle.reaches(after, verdict);
                chronicle.bills(&ledger.billed(), verdict);
                return Ok(());
            }
        }
    }

    /// Sends everybody home.
    fn end(mut self, title: &str) -> Verdict {
        self.scene.turn(Gate::Over);
        self.people.abort_all();
        let calls = self.scene.calls().len();
        self.verdict.title(format!("{title}; {calls} calls"));
        self.verdict
    }
}

/// Reads events as they come, as a customer's billing would; what is read before a crash must be there after it.
async fn follow(scene: Arc<Scene>, passing: Arc<Mutex<Vec<Page>>>, mut desk: Desk) {
    let mut gate = scene.gate.subscribe();
    let mut after = 0;
    while gate.wait_for(|gate| *gate != Gate::Shut).await.is_ok_and(|gate| *gate == Gate::Open) {
        scene.busy.fetch_add(1, SeqCst);
        // Who is killed does not answer.
        if let Ok(Ok(events)) = page(&mut desk, after).await {
            let read_from = after;
            after = events.last().map_or(after, |last| last.sequence);
            passing.lock().unwrap_or_else(PoisonError::into_inner).push((read_from, events));
        }
        scene.busy.fetch_sub(1, SeqCst);
        tokio::time::sleep(READ_PAUSE).await;
    }
}

/// The events behind this place; or what came instead, in words.
async fn page(desk: &mut Desk, after: u64) -> anyhow::Result<Result<Vec<Event>, String>> {
    let path = format!("/v1/gateway/events?after_sequence={after}&limit={PAGE}");
    let (status, answer) = desk.ask(Method::GET, &path, &Value::Null).await?;
    if status != 200 {
        return Ok(Err(format!("events are answered {status} {answer}")));
    }
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(items.iter().map(Event::of).collect::<Result<_, _>>())
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Run").field("house", &self.house).finish_non_exhaustive()
    }
}
