//! Random traces: a small CASCADING tree and a group in another one, their limits, the lines of model configs that they
//! share, and what happens to all of it.

use std::sync::Arc;

use domain::{
    ConfigId, Cycle, Day, GroupId, LimitType, LineId, Meter, Now, ResetDuration, Tariff, Usd, Version,
    WorkspaceId,
};
use limits::{
    Ask, ConfigLine, CounterKey, CounterScope, Decision, Engine, Epoch, Explanation, Home, LimitState,
    Measure, Need, Owner, Path, PathLimit, PathSpec, Reading, Refusal, Reservation, Seen, Shown, Size,
    Source, Standing, TopUp, Verdict,
};

const WORKSPACE: WorkspaceId = WorkspaceId(0);
/// Owners on the path of each caller, its own group first: two leaves, the group above them, and one of another tree.
pub(crate) const PATHS: [&[u64]; 4] = [&[2, 1, 0], &[3, 1, 0], &[1, 0], &[4]];
/// Groups, of both trees.
pub(crate) const GROUPS: u64 = 5;
/// The lines that are about the first tree, and those that are about the workspace.
pub(crate) const LINES: u8 = 4;
const SHARED: std::ops::Range<u8> = 2..LINES;
/// The 31st of October 2024: the next midnight ends a month as well.
pub(crate) const START: Day = Day(20_027);
/// Nano-dollars: 2 for a token of a prompt, 3 for one of an answer.
pub(crate) const TARIFF: Tariff = Tariff { input: Usd(2_000_000), output: Usd(3_000_000) };

/// A limit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Declared {
    pub(crate) key: CounterKey,
    pub(crate) threshold: u64,
    /// Where its periods begin, if it has any.
    pub(crate) cycle: Cycle,
}

impl Declared {
    /// A limit whose periods, if it has any, are days.
    pub(crate) fn new(key: CounterKey, threshold: u64) -> Self {
        Self { key, threshold, cycle: Cycle::DAYS }
    }

    pub(crate) fn is_line(&self) -> bool {
        matches!(self.key.owner, Owner::Line(_))
    }

    fn is_shared(&self) -> bool {
        SHARED.map(line_id).any(|line| self.key.owner == Owner::Line(line))
    }

    /// Whether a call on this path has to fit it.
    fn binds(&self, path: usize) -> bool {
        match &self.key.owner {
            Owner::Model(group, _) => PATHS[path].contains(&group.0),
            Owner::Line(_) => self.is_shared() || root(path) == GroupId(0),
        }
    }

    pub(crate) fn home(&self) -> Home {
        match &self.key.owner {
            Owner::Line(_) if self.is_shared() => Home::Workspace(WORKSPACE),
            Owner::Model(GroupId(4), _) => Home::Tree(GroupId(4)),
            Owner::Model(..) | Owner::Line(_) => Home::Tree(GroupId(0)),
        }
    }
}

fn root(path: usize) -> GroupId {
    GroupId(PATHS[path][PATHS[path].len() - 1])
}

pub(crate) fn line_id(nth: u8) -> LineId {
    LineId::from_bytes([nth; 16])
}

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Wait(u64),
    /// `lag`: the caller read its clock that long before.
    Ask {
        path: usize,
        need: Need,
        lag: u64,
    },
    TopUp {
        nth: usize,
        tokens: u64,
        lag: u64,
    },
    Settle {
        nth: usize,
        tokens: u64,
    },
    Release {
        nth: usize,
    },
    Cancel {
        nth: usize,
    },
    Edit {
        nth: usize,
        threshold: u64,
    },
    /// What is used on one of the lines is forgotten.
    Reset {
        nth: usize,
    },
    /// The duration of one of the lines is edited.
    Recycle {
        nth: usize,
        cycle: Cycle,
        told: By,
    },
    Sweep,
}

/// How a counter learns of an edited duration.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    Telling,
    Binding,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Nothing,
    Admitted { size: Size, standings: Vec<Standing>, seen: Vec<LimitState> },
    Refused { limit: usize, verdict: Verdict, standings: Vec<Standing>, states: Vec<LimitState>, at: Now },
    ToppedUp,
    NotToppedUp { limit: usize, verdict: Verdict },
}

/// An engine with a configuration and a clock, and the calls in flight.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) limits: Vec<Declared>,
    pub(crate) now: Now,
    pub(crate) held: Vec<Held>,
    /// How far the wall clock is ahead of what it should be.
    pub(crate) skew_ms: u64,
    epoch: u64,
    paths: [Option<Arc<Path>>; PATHS.len()],
}

pub(crate) struct Held {
    pub(crate) reservation: Reservation,
    /// The limits it was admitted on.
    pub(crate) path: Vec<Declared>,
}

impl World {
    pub(crate) fn new(limits: &[Declared]) -> Self {
        let mut world = Self {
            engine: Engine::new(),
            limits: limits.to_vec(),
            now: Now::default(),
            held: Vec::new(),
            skew_ms: 0,
            epoch: 0,
            paths: [const { None }; PATHS.len()],
        };
        // An hour before midnight, and not at a round number of anything.
        world.wait(82_800_123_456_789);
        world
    }

    /// The world after `steps`.
    pub(crate) fn after(limits: &[Declared], steps: &[Step]) -> Self {
        let mut world = Self::new(limits);
        for step in steps {
            world.step(step);
        }
        world
    }

    pub(crate) fn step(&mut self, step: &Step) -> Outcome {
        match *step {
            Step::Wait(nanos) => self.wait(nanos),
            Step::Ask { path, need, lag } => return self.ask(path, need, lag),
            Step::TopUp { nth, tokens, lag } => return self.top_up(nth, tokens, lag),
            Step::Settle { nth, tokens } => {
                self.end(nth, |engine, held, now| {
                    engine.settle(held, used(tokens), now);
                });
            }
            Step::Release { nth } => self.end(nth, |engine, held, now| engine.release(held, now)),
            Step::Cancel { nth } => self.end(nth, |engine, held, now| engine.cancel(held, now)),
            Step::Edit { nth, threshold } => {
                if let Some(nth) = nth.checked_rem(self.limits.len()) {
                    self.limits[nth].threshold = threshold;
                    self.publish(nth);
                }
            }
            Step::Reset { nth } => {
                if let Some(nth) = self.line(nth) {
                    self.engine.reset(self.limits[nth].home(), &self.limits[nth].key, self.now);
                    // What is charged at the very moment of a reset is taken for something that came before it.
                    self.wait(1);
                }
            }
            Step::Recycle { nth, cycle, told } => {
                if let Some(nth) = self.line(nth) {
                    self.limits[nth].cycle = cycle;
                    self.publish(nth);
                    self.tell(nth, told);
                }
            }
            Step::Sweep => {
                self.engine.sweep(self.now);
            }
        }
        Outcome::Nothing
    }

    /// One of the lines, by its place among the limits.
    pub(crate) fn line(&self, nth: usize) -> Option<usize> {
        let lines = || (0..self.limits.len()).filter(|at| self.limits[*at].is_line());
        lines().nth(nth.checked_rem(lines().count())?)
    }

    fn publish(&mut self, nth: usize) {
        self.epoch += 1;
        match self.limits[nth].home() {
            Home::Tree(root) => self.engine.publish(root, Version(self.epoch)),
            Home::Workspace(workspace) => self.engine.publish_workspace(workspace, Version(self.epoch)),
        }
    }

    fn tell(&self, nth: usize, told: By) {
        let Declared { key, cycle, .. } = &self.limits[nth];
        match told {
            By::Telling => {
                let epoch = Version(self.epoch);
                self.engine.recycle(self.limits[nth].home(), key, *cycle, epoch, self.now);
            }
            By::Binding => drop(self.bind(0)),
        }
    }

    pub(crate) fn wait(&mut self, nanos: u64) {
        let mono_ns = self.now.mono_ns + nanos;
        let wall_ms = START.start_ms() + mono_ns / 1_000_000 + self.skew_ms;
        self.now = Now { mono_ns, wall_ms };
        // Something happens in the trees at this time, so that a caller with an older reading really is late.
        for path in 0..PATHS.len() {
            let _bound = self
                .engine
                .bind(PathSpec { limits: Vec::new(), shared: Vec::new(), ..self.spec(path) }, self.now);
        }
    }

    pub(crate) fn ask(&mut self, path: usize, need: Need, lag: u64) -> Outcome {
        let late = self.late(lag);
        let mut seen = Seen::default();
        for _ in 0..2 {
            let bound = self.paths[path].take().unwrap_or_else(|| self.bind(path));
            match self.engine.reserve(&bound, priced(need), late, Some(&mut seen)) {
                Decision::Stale => assert!(seen.is_empty()),
                Decision::Admitted(admission) => {
                    let bound_limits = bound.shared_limits();
                    self.paths[path] = Some(bound);
                    let size = admission.reservation.held();
                    let standings = admission.standings.iter().collect();
                    let at = admission.reservation.admitted_at();
                    assert_eq!(at, self.now, "the time of the tree");
                    let seen = seen.states(&bound_limits, at);
                    self.held.push(Held { reservation: admission.reservation, path: self.on_path(path) });
                    return Outcome::Admitted { size, standings, seen };
                }
                Decision::Refused(refusal) => {
                    self.paths[path] = Some(bound);
                    assert!(seen.is_empty());
                    let Refusal { limit, verdict, at, .. } = refusal;
                    let (standings, states) = (refusal.standings.iter().collect(), refusal.states.to_vec());
                    return Outcome::Refused { limit, verdict, standings, states, at };
                }
            }
        }
        panic!("a path that was just bound is stale");
    }

    fn top_up(&mut self, nth: usize, tokens: u64, lag: u64) -> Outcome {
        let late = self.late(lag);
        let Some(nth) = nth.checked_rem(self.held.len()) else { return Outcome::Nothing };
        let held = &mut self.held[nth].reservation;
        let before = held.held();
        let answer = self.engine.top_up(held, tokens, late);
        let granted = if answer == TopUp::Granted { output(tokens) } else { Size::ZERO };
        assert_eq!(held.held(), plus(before, granted));
        match answer {
            TopUp::Granted => Outcome::ToppedUp,
            TopUp::Refused { limit, verdict } => Outcome::NotToppedUp { limit, verdict },
        }
    }

    /// What a caller reads whose clock lags.
    fn late(&self, lag: u64) -> Now {
        Now {
            mono_ns: self.now.mono_ns.saturating_sub(lag),
            wall_ms: self.now.wall_ms.saturating_sub(lag / 1_000_000),
        }
    }

    fn end(&mut self, nth: usize, end: impl FnOnce(&Engine, Reservation, Now)) {
        if let Some(nth) = nth.checked_rem(self.held.len()) {
            end(&self.engine, self.held.remove(nth).reservation, self.now);
        }
    }

    pub(crate) fn bind(&self, path: usize) -> Arc<Path> {
        self.engine.bind(self.spec(path), self.now)
    }

    /// What the same call by a caller whose clock is right would meet.
    pub(crate) fn explain(&self, path: usize, need: Need) -> Explanation {
        self.engine.explain(&self.spec(path), priced(need), self.now).expect("the limits are the latest")
    }

    fn spec(&self, path: usize) -> PathSpec {
        let (shared, own): (Vec<_>, Vec<_>) = self.on_path(path).into_iter().partition(Declared::is_shared);
        let limits =
            |declared: Vec<Declared>| declared.into_iter().map(|limit| limit_of(limit, path)).collect();
        let epoch = Epoch { tree: Version(self.epoch), workspace: Version(self.epoch) };
        let (limits, shared) = (limits(own), limits(shared));
        PathSpec { root: root(path), workspace: WORKSPACE, epoch, shown: Shown::Own, limits, shared }
    }

    /// The limits of a path, in its order.
    pub(crate) fn on_path(&self, path: usize) -> Vec<Declared> {
        let of = |owner: u64| self.limits.iter().filter(move |limit| group_of(&limit.key) == Some(owner));
        let groups = PATHS[path].iter().copied().flat_map(of);
        let lines = |place| {
            let placed =
                self.limits.iter().filter(move |limit| limit.is_line() && limit.is_shared() == place);
            placed.filter(|limit| limit.binds(path))
        };
        groups.chain(lines(false)).chain(lines(true)).cloned().collect()
    }

    /// What a counter holds; one that is not open holds nothing.
    pub(crate) fn read(&self, key: &CounterKey) -> Reading {
        let nothing = Reading { used: 0, pending: 0, touched: false };
        let home = Declared::new(key.clone(), 0).home();
        self.engine.peek(home, key, Version(0), self.now).unwrap_or(nothing)
    }

    /// What every open counter holds.
    pub(crate) fn peek_all(&self) -> Vec<Option<Reading>> {
        let peek = |limit: &Declared| self.engine.peek(limit.home(), &limit.key, Version(0), self.now);
        self.limits.iter().map(peek).collect()
    }

    /// What every counter holds.
    pub(crate) fn read_all(&self) -> Vec<(u64, u64)> {
        let held = |limit: &Declared| {
            let reading = self.read(&limit.key);
            (reading.used, reading.pending)
        };
        self.limits.iter().map(held).collect()
    }
}

fn limit_of(declared: Declared, path: usize) -> PathLimit {
    let Declared { key: counter, threshold, cycle } = declared;
    let (source, scope) = match &counter.owner {
        Owner::Model(group, _) if group.0 == PATHS[path][0] => (Source::Group(*group), CounterScope::Group),
        Owner::Model(group, _) => (Source::Group(*group), CounterScope::Ancestor),
        Owner::Line(line) => (config_line(*line, counter.measure, cycle), CounterScope::SharedConfig),
    };
    PathLimit {
        counter,
        threshold,
        source,
        scope,
        since: Version(0),
        opening: 0,
        recent: limits::Recent::default(),
    }
}

fn config_line(line: LineId, measure: Measure, cycle: Cycle) -> Source {
    let Measure::Spend(meter) = measure else { panic!("{measure:?} is not what lines count") };
    // What was written is only told; the cycle says where periods begin.
    let reset: ResetDuration = "1d".parse().unwrap();
    Source::Config(Arc::new(ConfigLine { config: ConfigId::from_bytes([0; 16]), line, meter, reset, cycle }))
}

fn priced(need: Need) -> Ask {
    Ask { need, tariff: TARIFF }
}

pub(crate) fn key(group: u64, measure: Measure) -> CounterKey {
    CounterKey { owner: Owner::Model(GroupId(group), "acme/chat".parse().unwrap()), measure }
}

pub(crate) fn line_key(nth: u8, meter: Meter) -> CounterKey {
    CounterKey { owner: Owner::Line(line_id(nth)), measure: Measure::Spend(meter) }
}

/// None has those of lines.
pub(crate) fn group_of(key: &CounterKey) -> Option<u64> {
    match key.owner {
        Owner::Model(group, _) => Some(group.0),
        Owner::Line(_) => None,
    }
}

/// What so many tokens weigh.
pub(crate) fn call(prompt: u64, output: u64) -> Size {
    Size { tokens: prompt + output, usd: TARIFF.cost(prompt, output) }
}

pub(crate) fn output(tokens: u64) -> Size {
    call(0, tokens)
}

/// What a call that is said to have used so many tokens has used, and it was dearer than anybody thought.
pub(crate) fn used(tokens: u64) -> Size {
    Size { tokens, usd: Usd(tokens.saturating_mul(4)) }
}

pub(crate) fn plus(size: Size, more: Size) -> Size {
    Size { tokens: size.tokens + more.tokens, usd: size.usd.plus(more.usd) }
}

/// What an admitted call is charged on a counter.
pub(crate) fn amount(key: &CounterKey, size: Size) -> u64 {
    match key.measure {
        Measure::Use(LimitType::Token, _) | Measure::Spend(Meter::Tokens) => size.tokens,
        Measure::Spend(Meter::Usd) => size.usd.0,
        Measure::Use(LimitType::Request, _) | Measure::Spend(Meter::Requests) | Measure::Concurrency => 1,
    }
}

/// What a call asks for at least.
pub(crate) fn least(path: &[Declared], need: Need) -> Size {
    match need {
        Need::Declared { prompt, output } => call(prompt, output),
        Need::Guessed { prompt, output } => {
            let most = output_within(prompt, room(path, |_| 0));
            call(prompt, output.min(most))
        }
        Need::Fitting { prompt, output, least } => call(prompt, least.min(output)),
        Need::Observed => Size::ZERO,
    }
}

/// What has to fit.
pub(crate) fn demand(path: &[Declared], limit: &Declared, need: Need) -> u64 {
    amount(&limit.key, least(path, need)).max(1)
}

/// What every limit on tokens of a path has left, and every one on dollars.
pub(crate) fn room(path: &[Declared], level: impl Fn(&CounterKey) -> u64) -> (u64, Usd) {
    let smallest = |counts: &dyn Fn(Measure) -> bool| {
        let those = path.iter().filter(|limit| counts(limit.key.measure));
        those.map(|limit| limit.threshold.saturating_sub(level(&limit.key))).min().unwrap_or(u64::MAX)
    };
    (smallest(&Measure::counts_tokens), Usd(smallest(&Measure::counts_usd)))
}

/// The most output that fits beside the prompt.
pub(crate) fn output_within(prompt: u64, (tokens, usd): (u64, Usd)) -> u64 {
    // A token at a time would do, and take long.
    tokens.saturating_sub(prompt).min((usd.0.saturating_sub(2 * prompt)) / 3)
}
