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
//! ```
//!
//! Times are seconds since a start at midnight UTC. `epoch` sets what later paths are bound at; `publish` announces it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use domain::{Day, GroupId, LimitType, Now, Unit, Version};
use limits::{
    CounterKey, CounterScope, Decision, Engine, Fit, LimitState, Measure, Need, Path, PathLimit, PathSpec,
    Reading, Reservation, Shown, TopUp, Verdict,
};

const ROOT: GroupId = GroupId(1);

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
    epoch: Version,
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
            ("settle", [name, tokens]) => {
                self.engine.settle(end(&mut self.held, name), number(tokens), self.now);
            }
            ("release", [name]) => self.engine.release(end(&mut self.held, name), self.now),
            ("cancel", [name]) => self.engine.cancel(end(&mut self.held, name), self.now),
            ("epoch", [epoch]) => self.epoch = Version(number(epoch)),
            ("publish", []) => self.engine.publish(ROOT, self.epoch),
            ("lower_wall", []) => self.engine.lower_wall(self.now.wall_ms),
            _ => panic!("not a step: {step}"),
        }
        String::new()
    }

    fn bind(&mut self, name: &str, limits: &[&str]) {
        let limits = limits.iter().map(|limit| path_limit(limit)).collect();
        let path =
            self.engine.bind(PathSpec { root: ROOT, epoch: self.epoch, shown: Shown::Own, limits }, self.now);
        self.paths.insert(name.to_owned(), path);
    }

    fn ask(&mut self, path: &str, name: &str, need: &[&str]) -> String {
        let path = &self.paths[path];
        match self.engine.reserve(path, need_of(need.first().copied().unwrap_or("0+0")), self.now, None) {
            Decision::Stale => "stale".to_owned(),
            Decision::Refused(refusal) => refusal_text(path, refusal.limit, refusal.verdict),
            Decision::Admitted(admission) => {
                let mut answer = "ok".to_owned();
                if need.last() == Some(&"left") {
                    for standing in admission.standings.iter() {
                        write!(answer, " {}/{}", standing.remaining, seconds(standing.reset_nanos)).unwrap();
                    }
                } else if need.last() == Some(&"holding") {
                    write!(answer, " {}", admission.reservation.tokens()).unwrap();
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
            TopUp::Granted => format!("ok {}", held.tokens()),
            TopUp::Refused { limit, verdict } => refusal_text(held.path(), limit, verdict),
        }
    }

    /// A call that settles at once, with what it asked for.
    fn spend(&mut self, path: &str, need: &[&str]) -> String {
        let answer = self.ask(path, "spent", need);
        if let Some(reservation) = self.held.remove("spent") {
            let tokens = reservation.tokens();
            self.engine.settle(reservation, tokens, self.now);
        }
        answer
    }

    fn explain(&self, limits: &[&str], need: &str) -> String {
        let limits = limits.iter().map(|limit| path_limit(limit)).collect();
        let spec = PathSpec { root: ROOT, epoch: self.epoch, shown: Shown::Own, limits };
        let Some(explained) = self.engine.explain(&spec, need_of(need), self.now) else {
            return "stale".to_owned();
        };
        let mut answer = match explained.refusal {
            None => format!("ok {}:", explained.tokens),
            Some((limit, Verdict::NeverFits)) => {
                format!("no {} never:", key_text(&spec.limits[limit].counter))
            }
            Some((limit, Verdict::Wait { hold_may_end: true, .. })) => {
                format!("no {} hold:", key_text(&spec.limits[limit].counter))
            }
            Some((limit, Verdict::Wait { nanos, .. })) => {
                format!("no {} {}:", key_text(&spec.limits[limit].counter), seconds(nanos))
            }
        };
        let states: Vec<String> = explained.limits.iter().map(state_text).collect();
        write!(answer, " {}", states.join(" | ")).unwrap();
        answer
    }

    fn read(&self, counter: &str) -> String {
        match self.engine.peek(ROOT, &counter_key(counter), Version(0), self.now) {
            None => "none".to_owned(),
            Some(reading) if reading.pending == 0 => reading.used.to_string(),
            Some(reading) => format!("{}+{}", reading.used, reading.pending),
        }
    }

    fn touched(&self, counter: &str) -> String {
        match self.engine.peek(ROOT, &counter_key(counter), Version(0), self.now) {
            Some(reading) if reading.touched => "yes".to_owned(),
            _ => "no".to_owned(),
        }
    }
}

fn refusal_text(path: &Path, limit: usize, verdict: Verdict) -> String {
    let wait = match verdict {
        Verdict::NeverFits => "never".to_owned(),
        Verdict::Wait { hold_may_end: true, nanos } => {
            assert_eq!(nanos, 1_000_000_000);
            "hold".to_owned()
        }
        Verdict::Wait { nanos, .. } => seconds(nanos),
    };
    format!("no {} {wait}", key_text(&path.limits()[limit].counter))
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
    let scope = if text.starts_with('^') { CounterScope::Ancestor } else { CounterScope::Group };
    let (key, threshold) = text.trim_start_matches('^').split_once('=').unwrap();
    let (threshold, opening) = threshold.split_once('+').unwrap_or((threshold, "0"));
    let (threshold, since) = threshold.split_once('@').unwrap_or((threshold, "0"));
    let counter = counter_key(key);
    PathLimit {
        threshold: number(threshold),
        source: counter.owner,
        scope,
        since: Version(number(since)),
        opening: number(opening),
        counter,
    }
}

const OWNERS: [&str; 4] = ["me", "mum", "root", "sib"];

fn counter_key(text: &str) -> CounterKey {
    let (owner, measure) = text.split_once('/').unwrap();
    let owner = OWNERS.iter().position(|known| *known == owner).unwrap();
    CounterKey {
        owner: GroupId(u64::try_from(owner).unwrap()),
        slug: "acme/chat".parse().unwrap(),
        measure: measure_of(measure),
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
    let owner = OWNERS[usize::try_from(key.owner.0).unwrap()];
    match key.measure {
        Measure::Concurrency => format!("{owner}/calls"),
        Measure::Use(kind, unit) => {
            let kind = if kind == LimitType::Request { "req" } else { "tok" };
            format!("{owner}/{kind}/{}", &unit.name().to_lowercase()[..1])
        }
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
