//! Case tables: one line per step, the expected result at its end.
//!
//! ```text
//! == a sentence that states the promise
//! at 0      path leaf: me/req/m=3 ^root/tok/d=100@2+50    # [^ancestor's]owner/type/unit=threshold[@since][+opening]
//! at 0.5    ask leaf as a 10+20 -> ok                     # 10+20 declared, 10~20 guessed, observed; nothing: 0+0
//! at 0.5    ask leaf as a 10<20>5 -> ok                   # as much of 20 as fits, but 5
//! at 0.7    more a 10 -> ok 40                            # tokens held in all
//! at 0.5    ask leaf 10+20 -> no me/req/m 59.5            # or: never, hold
//! at 0.5    ask leaf 0+0 left -> ok 2/59.5                # remaining / reset of the caller's own limits, in order
//! at 0.5    ask leaf 5~900 holding -> ok 100              # tokens held
//! at 0.5    explain me/req/m=3 for 1+2 -> ok 3: 2 left 1 more 59.5 all 60 fits now    # used, left or owed, and when
//! at 0.5    read me/req/m -> 2                            # used, or used+pending, or none
//! at 0.5    path few: me/calls=2                      # calls in flight
//! at 1      settle a 25
//! at 1      spend leaf 0+20 -> ok                         # ask, and settle with all of it
//! at 1      price 2/5                                     # nano-dollars for a token of prompt and output, from now on
//! at 1      path lines: key/usd/1h=100 all/tok/1M!=9+3    # a line: name/meter/duration=threshold[+opening]; ! aligned
//! at 1      ask lines 1+2 holding -> ok 3/12              # tokens and nano-dollars
//! at 1      settle a 25 70                                # tokens and nano-dollars
//! at 1      read key/usd -> 70
//! at 1      reset key/usd -> 70                           # what was forgotten, or none
//! at 1      recycle key/usd 1d                            # the duration was edited, at the present epoch
//! ```
//!
//! Times are seconds since a start at midnight UTC, which is the 4th of October 2024; lines were made then. `epoch` sets
//! what later paths are bound at; `publish` announces it; `workspace_epoch` and `publish_workspace` do the same for what
//! trees share: the lines `all` and `user`. `tree` says to which root later paths belong.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use domain::{
    ConfigId, Cycle, Day, GroupId, LimitType, LineId, Meter, Now, ResetDuration, Tariff, Unit, Usd, Version,
    WorkspaceId,
};
use limits::{
    Ask, ConfigLine, CounterKey, CounterScope, Decision, Engine, Epoch, Fit, Home, LimitState, Measure, Need,
    Owner, Path, PathLimit, PathSpec, Reading, Reservation, Shown, Size, Source, TopUp, Verdict,
};

const WORKSPACE: WorkspaceId = WorkspaceId(7);

#[test]
fn windows_are_strict() {
    check(include_str!("cases/windows.txt"));
}

#[test]
fn days_reset_at_midnight_utc_and_holds_do_not() {
    check(include_str!("cases/days.txt"));
}

#[test]
fn settling_refunds_owes_and_gives_back() {
    check(include_str!("cases/settlement.txt"));
}

#[test]
fn refusals_name_the_limit_that_binds_and_when_to_come_back() {
    check(include_str!("cases/refusals.txt"));
}

#[test]
fn shared_and_own_counters_are_what_the_path_says() {
    check(include_str!("cases/shapes.txt"));
}

#[test]
fn explanations_say_what_would_happen_and_charge_nothing() {
    check(include_str!("cases/explanations.txt"));
}

#[test]
fn calls_in_flight_are_counted_while_they_last() {
    check(include_str!("cases/calls.txt"));
}

#[test]
fn a_call_takes_what_fits_and_asks_for_more() {
    check(include_str!("cases/growing.txt"));
}

#[test]
fn edits_keep_what_is_used() {
    check(include_str!("cases/edits.txt"));
}

#[test]
fn budgets_and_rate_limits_of_configs_run_in_periods() {
    check(include_str!("cases/periods.txt"));
}

#[test]
fn budgets_are_in_nano_dollars_and_nothing_passes_them() {
    check(include_str!("cases/budgets.txt"));
}

#[track_caller]
fn check(table: &str) {
    let mut case = "";
    let mut world = World::default();
    let mut wrong = String::new();
    for (number, line) in table.lines().enumerate() {
        let step = line.split('#').next().unwrap().trim();
        if let Some(title) = step.strip_prefix("== ") {
            (case, world) = (title, World::default());
        } else if !step.is_empty() {
            let (step, expected) = step.split_once("->").unwrap_or((step, ""));
            let found = world.step(step.trim());
            if found != expected.trim() {
                writeln!(wrong, "{case}, line {}: {step} -> {found}", number + 1).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[derive(Default)]
struct World {
    engine: Engine,
    root: u64,
    tariff: Tariff,
    epoch: Epoch,
    now: Now,
    paths: HashMap<String, Arc<Path>>,
    held: HashMap<String, Reservation>,
}

impl World {
    fn step(&mut self, step: &str) -> String {
        let rest = step.strip_prefix("at ").unwrap_or_else(|| panic!("no time in: {step}")).trim_start();
        let (time, rest) = rest.split_once(' ').unwrap();
        self.now = instant(time);
        let (verb, rest) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
        let words: Vec<&str> = rest.split_whitespace().collect();
        match (verb, words.as_slice()) {
            ("ask", [path, "as", name, need @ ..]) => return self.ask(path, name, need),
            ("ask", [path, need @ ..]) => return self.ask(path, "unnamed", need),
            ("spend", [path, need @ ..]) => return self.spend(path, need),
            ("explain", [limits @ .., "for", need]) => return self.explain(limits, need),
            ("read", [counter]) => return self.read(counter),
            ("touched", [counter]) => return self.touched(counter),
            ("sweep", []) => return self.engine.sweep(self.now).to_string(),
            ("path", [name, limits @ ..]) => self.bind(name.trim_end_matches(':'), limits),
            ("more", [name, tokens]) => return self.top_up(name, number(tokens)),
            ("settle", [name, used @ ..]) => {
                self.engine.settle(end(&mut self.held, name), size_of(used), self.now);
            }
            ("release", [name]) => self.engine.release(end(&mut self.held, name), self.now),
            ("cancel", [name]) => self.engine.cancel(end(&mut self.held, name), self.now),
            ("reset", [counter]) => return self.reset(counter),
            ("recycle", [counter, duration]) => self.recycle(counter, duration),
            ("price", [tariff]) => self.tariff = tariff_of(tariff),
            ("tree", [root]) => self.root = number(root),
            ("epoch", [epoch]) => self.epoch.tree = Version(number(epoch)),
            ("publish", []) => self.engine.publish(GroupId(self.root), self.epoch.tree),
            ("workspace_epoch", [epoch]) => self.epoch.workspace = Version(number(epoch)),
            ("publish_workspace", []) => self.engine.publish_workspace(WORKSPACE, self.epoch.workspace),
            ("lower_wall", []) => self.engine.lower_wall(self.now.wall_ms),
            _ => panic!("not a step: {step}"),
        }
        String::new()
    }

    fn bind(&mut self, name: &str, limits: &[&str]) {
        let path = self.engine.bind(self.spec(limits), self.now);
        self.paths.insert(name.to_owned(), path);
    }

    fn spec(&self, limits: &[&str]) -> PathSpec {
        let limits = limits.iter().map(|limit| path_limit(limit));
        let (shared, limits) = limits.partition(|limit| is_shared(&limit.counter));
        let Self { root, epoch, .. } = *self;
        PathSpec { root: GroupId(root), workspace: WORKSPACE, epoch, shown: Shown::Own, limits, shared }
    }

    fn asks(&self, need: &str) -> Ask {
        Ask { need: need_of(need), tariff: self.tariff }
    }

    fn ask(&mut self, path: &str, name: &str, need: &[&str]) -> String {
        let path = &self.paths[path];
        let asked = self.asks(need.first().copied().unwrap_or("0+0"));
        match self.engine.reserve(path, asked, self.now, None) {
            Decision::Stale => "stale".to_owned(),
            Decision::Refused(refusal) => refusal_text(path, refusal.limit, refusal.verdict),
            Decision::Admitted(admission) => {
                let mut answer = "ok".to_owned();
                if need.last() == Some(&"left") {
                    for standing in admission.standings.iter() {
                        write!(answer, " {}/{}", standing.remaining, seconds(standing.reset_nanos)).unwrap();
                    }
                } else if need.last() == Some(&"holding") {
                    write!(answer, " {}", size_text(admission.reservation.held())).unwrap();
                }
                self.held.insert(name.to_owned(), admission.reservation);
                answer
            }
        }
    }

    /// A call in flight asks for more.
    fn top_up(&mut self, name: &str, tokens: u64) -> String {
        let held = self.held.get_mut(name).unwrap_or_else(|| panic!("{name} is not held"));
        match self.engine.top_up(held, tokens, self.now) {
            TopUp::Granted => format!("ok {}", size_text(held.held())),
            TopUp::Refused { limit, verdict } => refusal_text(held.path(), limit, verdict),
        }
    }

    /// A call that settles at once, with what it asked for.
    fn spend(&mut self, path: &str, need: &[&str]) -> String {
        let answer = self.ask(path, "spent", need);
        if let Some(reservation) = self.held.remove("spent") {
            let held = reservation.held();
            self.engine.settle(reservation, held, self.now);
        }
        answer
    }

    fn explain(&self, limits: &[&str], need: &str) -> String {
        let spec = self.spec(limits);
        let Some(explained) = self.engine.explain(&spec, self.asks(need), self.now) else {
            return "stale".to_owned();
        };
        let mut answer = match explained.refusal {
            None => format!("ok {}:", size_text(explained.asked)),
            Some((limit, verdict)) => {
                let binding = spec.all_limits().nth(limit).unwrap();
                format!("no {} {}:", key_text(&binding.counter), verdict_text(verdict))
            }
        };
        let states: Vec<String> = explained.limits.iter().map(state_text).collect();
        write!(answer, " {}", states.join(" | ")).unwrap();
        answer
    }

    fn read(&self, counter: &str) -> String {
        match self.peek(counter) {
            None => "none".to_owned(),
            Some(reading) if reading.pending == 0 => reading.used.to_string(),
            Some(reading) => format!("{}+{}", reading.used, reading.pending),
        }
    }

    fn peek(&self, counter: &str) -> Option<Reading> {
        let key = counter_key(counter);
        self.engine.peek(self.home(&key), &key, Version(0), self.now)
    }

    fn reset(&self, counter: &str) -> String {
        let key = counter_key(counter);
        let forgotten = self.engine.reset(self.home(&key), &key, self.now);
        forgotten.map_or("none".to_owned(), |(used, _)| used.to_string())
    }

    fn recycle(&self, counter: &str, duration: &str) {
        let key = counter_key(counter);
        let epoch = if is_shared(&key) { self.epoch.workspace } else { self.epoch.tree };
        let (_, cycle) = cycle_of(duration);
        self.engine.recycle(self.home(&key), &key, cycle, epoch, self.now);
    }

    fn home(&self, key: &CounterKey) -> Home {
        if is_shared(key) { Home::Workspace(WORKSPACE) } else { Home::Tree(GroupId(self.root)) }
    }

    fn touched(&self, counter: &str) -> String {
        match self.peek(counter) {
            Some(reading) if reading.touched => "yes".to_owned(),
            _ => "no".to_owned(),
        }
    }
}

fn refusal_text(path: &Path, limit: usize, verdict: Verdict) -> String {
    format!("no {} {}", key_text(&path.limits()[limit].counter), verdict_text(verdict))
}

fn verdict_text(verdict: Verdict) -> String {
    match verdict {
        Verdict::NeverFits => "never".to_owned(),
        Verdict::Blocked => "blocked".to_owned(),
        Verdict::Wait { hold_may_end: true, nanos } => {
            assert_eq!(nanos, 1_000_000_000);
            "hold".to_owned()
        }
        Verdict::Wait { nanos, .. } => seconds(nanos),
    }
}

/// Tokens, and nano-dollars if there are any.
fn size_text(size: Size) -> String {
    if size.usd == Usd::ZERO { size.tokens.to_string() } else { format!("{}/{}", size.tokens, size.usd.0) }
}

fn size_of(words: &[&str]) -> Size {
    let [tokens, usd] = [0, 1].map(|nth| words.get(nth).map_or(0, |word| number(word)));
    Size { tokens, usd: Usd(usd) }
}

fn tariff_of(text: &str) -> Tariff {
    let (input, output) = text.split_once('/').unwrap();
    let [input, output] = [input, output].map(|nanos| Usd(number(nanos) * 1_000_000));
    Tariff { input, output }
}

/// Used and pending, what is left or owed, when there is more and when all of it, and when the call fits.
fn state_text(state: &LimitState) -> String {
    let Reading { used, pending, .. } = state.reading;
    let held = if pending > 0 { format!("{used}+{pending}") } else { used.to_string() };
    let left =
        if state.debt > 0 { format!("owes {}", state.debt) } else { format!("left {}", state.remaining) };
    let time = |nanos: Option<u64>| nanos.map_or("-".to_owned(), seconds);
    let fit = match state.fit {
        Fit::Fits => "now".to_owned(),
        Fit::Never => "never".to_owned(),
        Fit::After(nanos) => seconds(nanos),
    };
    format!("{held} {left} more {} all {} fits {fit}", time(state.eases_in), time(state.restored_in))
}

fn end(held: &mut HashMap<String, Reservation>, name: &str) -> Reservation {
    held.remove(name).unwrap_or_else(|| panic!("{name} is not held"))
}

fn need_of(text: &str) -> Need {
    if text == "observed" {
        Need::Observed
    } else if let Some((prompt, output)) = text.split_once('<') {
        let (output, least) = output.split_once('>').unwrap();
        Need::Fitting { prompt: number(prompt), output: number(output), least: number(least) }
    } else if let Some((prompt, output)) = text.split_once('~') {
        Need::Guessed { prompt: number(prompt), output: number(output) }
    } else if let Some((prompt, output)) = text.split_once('+') {
        Need::Declared { prompt: number(prompt), output: number(output) }
    } else {
        Need::Declared { prompt: 0, output: 0 }
    }
}

fn path_limit(text: &str) -> PathLimit {
    let above = text.starts_with('^');
    let (key, threshold) = text.trim_start_matches('^').split_once('=').unwrap();
    let (threshold, opening) = threshold.split_once('+').unwrap_or((threshold, "0"));
    let (threshold, since) = threshold.split_once('@').unwrap_or((threshold, "0"));
    let counter = counter_key(key);
    let (source, scope) = match &counter.owner {
        Owner::Model(group, _) if above => (Source::Group(*group), CounterScope::Ancestor),
        Owner::Model(group, _) => (Source::Group(*group), CounterScope::Group),
        Owner::Line(line) if *line == line_id(0) => (config_line(key, *line), CounterScope::OwnConfig),
        Owner::Line(line) => (config_line(key, *line), CounterScope::SharedConfig),
    };
    let (threshold, since, opening) = (number(threshold), Version(number(since)), number(opening));
    PathLimit { counter, threshold, source, scope, since, opening, recent: limits::Recent::default() }
}

const OWNERS: [&str; 4] = ["me", "mum", "root", "sib"];
/// That of a key, that of a group, and two that trees share.
const LINES: [&str; 4] = ["key", "team", "all", "user"];

fn is_shared(key: &CounterKey) -> bool {
    [line_id(2), line_id(3)].iter().any(|line| key.owner == Owner::Line(*line))
}

fn line_id(nth: u8) -> LineId {
    LineId::from_bytes([nth; 16])
}

/// The line of `name/meter/duration`.
fn config_line(text: &str, line: LineId) -> Source {
    let (name, duration) = text.rsplit_once('/').unwrap();
    let Measure::Spend(meter) = counter_key(name).measure else { panic!("{text} is no line") };
    let (reset, cycle) = cycle_of(duration);
    Source::Config(Arc::new(ConfigLine { config: ConfigId::from_bytes([9; 16]), line, meter, reset, cycle }))
}

fn cycle_of(text: &str) -> (ResetDuration, Cycle) {
    let reset: ResetDuration = text.trim_end_matches('!').parse().unwrap();
    let from_ms = instant("0").wall_ms;
    let cycle = if text.ends_with('!') { reset.calendar(from_ms) } else { reset.lattice(from_ms) };
    (reset, cycle)
}

fn counter_key(text: &str) -> CounterKey {
    let (owner, measure) = text.split_once('/').unwrap();
    let nth = |names: [&str; 4]| names.iter().position(|known| *known == owner);
    match (nth(OWNERS), nth(LINES)) {
        (Some(owner), _) => {
            let owner = GroupId(u64::try_from(owner).unwrap());
            CounterKey {
                owner: Owner::Model(owner, "acme/chat".parse().unwrap()),
                measure: measure_of(measure),
            }
        }
        (None, Some(line)) => {
            let owner = Owner::Line(line_id(u8::try_from(line).unwrap()));
            CounterKey { owner, measure: Measure::Spend(meter_of(measure)) }
        }
        (None, None) => panic!("nobody is called {owner}"),
    }
}

fn meter_of(text: &str) -> Meter {
    match text.split('/').next().unwrap() {
        "req" => Meter::Requests,
        "tok" => Meter::Tokens,
        "usd" => Meter::Usd,
        other => panic!("not a meter: {other}"),
    }
}

fn measure_of(text: &str) -> Measure {
    let Some((kind, unit)) = text.split_once('/') else {
        assert_eq!(text, "calls", "not a measure");
        return Measure::Concurrency;
    };
    let kind = match kind {
        "req" => LimitType::Request,
        "tok" => LimitType::Token,
        _ => panic!("not a type: {kind}"),
    };
    let unit = match unit {
        "s" => Unit::Second,
        "m" => Unit::Minute,
        "d" => Unit::Day,
        _ => panic!("not a unit: {unit}"),
    };
    Measure::Use(kind, unit)
}

fn key_text(key: &CounterKey) -> String {
    let owner = match &key.owner {
        Owner::Model(group, _) => OWNERS[usize::try_from(group.0).unwrap()],
        Owner::Line(line) => {
            let nth = (0..4).find(|nth| line_id(*nth) == *line).unwrap();
            LINES[usize::from(nth)]
        }
    };
    match key.measure {
        Measure::Concurrency => format!("{owner}/calls"),
        Measure::Use(kind, unit) => {
            let kind = if kind == LimitType::Request { "req" } else { "tok" };
            format!("{owner}/{kind}/{}", &unit.name().to_lowercase()[..1])
        }
        Measure::Spend(Meter::Requests) => format!("{owner}/req"),
        Measure::Spend(Meter::Tokens) => format!("{owner}/tok"),
        Measure::Spend(Meter::Usd) => format!("{owner}/usd"),
    }
}

fn number(text: &str) -> u64 {
    text.replace('_', "").parse().unwrap_or_else(|_| panic!("not a number: {text}"))
}

/// `60.5` is 60 s and a half after a start at midnight of day 20 000.
fn instant(text: &str) -> Now {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let mono_ns = number(whole) * 1_000_000_000 + number(&format!("{part:0<9}"));
    Now { mono_ns, wall_ms: Day(20_000).start_ms() + mono_ns / 1_000_000 }
}

fn seconds(nanos: u64) -> String {
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
