//! One point: rounds in which each side has its turn, forward and backward by turns.
//!
//! First in a closed loop, which gives calls a second and what a call costs; then at a rate that is the same for all, half of
//! what the slowest could do in the first round, which gives latencies. Streams in time have a rate of their own.
//! Begins at [`Measured::of`].

use std::time::Duration;

use anyhow::Context;

use super::point::Point;
use super::sides::{Role, Side, Sides};
use super::spread::Spread;
use crate::callers::{Callers, Outcome, Pace};
use crate::options::Options;
use crate::process::own_cpu_micros;
use crate::say::note;
use crate::table::percentile;

/// Caches, connections and pools settle before anything counts.
const WARM_UP: Duration = Duration::from_millis(300);
/// Fewer say nothing about the slowest of a thousand.
const TAIL_SAMPLES: usize = 10_000;
/// Where memory under load is looked at.
const LOADED_AT: usize = 512;

/// After so long without a call a gateway writes the sums that it has put off. Those of two keys are nothing; those of a
/// thousand trees would be written in the next side's turn.
const SUMS_WAIT: Duration = Duration::from_millis(2_300);

/// All rounds of a point.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) point: Point,
    /// Calls a second where latencies were measured.
    pub(super) rate: u64,
    pub(super) rows: Vec<Row>,
}

/// All rounds of one side.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) closed: Vec<Closed>,
    pub(super) timed: Vec<Timed>,
    pub(super) closed_errors: u64,
    pub(super) timed_errors: u64,
}

/// A turn in a closed loop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    pub(super) calls_per_second: u64,
    /// Time on a processor a call, in hundredths of a microsecond, with what is finished after the last answer.
    pub(super) cpu_centimicros: u64,
    /// Of the time of the turn, how much the side was on a processor, in percent.
    pub(super) busy: u64,
    /// The same of the load, together with the model server where they share a core.
    pub(super) load_busy: u64,
}

/// A turn at a rate. Nanoseconds since each call was due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    pub(super) p50: u64,
    pub(super) p99: u64,
    /// None of too few calls.
    pub(super) p999: Option<u64>,
    /// How late calls were sent, at the 99th percentile.
    pub(super) late_p99: u64,
}

/// A side with its calls, and what came of them.
struct Turn<'a> {
    side: &'a Side,
    calls: Callers,
    row: Row,
    loaded_kib: u64,
}

impl Measured {
    pub(super) fn of(options: &Options, point: &Point, sides: &mut Sides) -> anyhow::Result<Measured> {
        let mut turns = sides
            .at(point)
            .into_iter()
            .map(|side| Turn::new(side, point))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let shares_core = sides.machine.shares_core();
        let mut rate = point.streams_per_second();
        for round in 0..options.rounds {
            note(&format!("{}: round {} of {}", point.name, round + 1, options.rounds));
            if point.gap_ms == 0 {
                run(&mut turns, round, |turn, model| {
                    turn.closed(point, model.filter(|_| shares_core), options.turn)
                })?;
            }
            let rate = *rate.get_or_insert_with(|| half_of_the_slowest(&turns));
            // Streams in time have no closed loop, so there is time for more of them.
            let time = options.turn * if point.gap_ms == 0 { 1 } else { 2 };
            run(&mut turns, round, |turn, _| turn.timed(point, rate, time))?;
        }
        let (rows, loaded): (Vec<Row>, Vec<_>) =
            turns.into_iter().map(|turn| (turn.row, turn.loaded_kib)).unzip();
        if point.connections == LOADED_AT {
            for (row, kib) in rows.iter().zip(loaded) {
                sides.loaded(&row.name, kib);
            }
        }
        Ok(Measured { point: point.clone(), rate: rate.unwrap_or_default(), rows })
    }

    pub(super) fn row(&self, role: Role) -> Option<&Row> {
        self.rows.iter().find(|row| row.role == role)
    }

    /// What a side adds to the time of a call: less what it takes straight in the same round. 0 where it was no slower, which
    /// the noise of the machine can make of it.
    pub(super) fn added(&self, row: &Row, of: fn(&Timed) -> Option<u64>) -> Vec<u64> {
        let straight = self.row(Role::Straight).map_or(&[][..], |straight| &straight.timed);
        let pairs = row.timed.iter().zip(straight);
        pairs.filter_map(|(one, straight)| Some(of(one)?.saturating_sub(of(straight)?))).collect()
    }

    /// What two sides add, one to the other, in hundredths. None if in any round either added nothing, for then there is
    /// no ratio; nor where calls failed.
    pub(super) fn added_ratio(&self, roles: [Role; 2], of: fn(&Timed) -> Option<u64>) -> Option<Spread> {
        let [one, other] = [self.row(roles[0])?, self.row(roles[1])?];
        let (ones, others) = (self.added(one, of), self.added(other, of));
        if ones.contains(&0) || others.contains(&0) || one.timed_errors + other.timed_errors > 0 {
            return None;
        }
        Spread::of_ratios(ones.into_iter().zip(others))
    }

    /// One side to the other in closed loops, in hundredths; none where calls failed.
    pub(super) fn closed_ratio(&self, roles: [Role; 2], of: fn(&Closed) -> u64) -> Option<Spread> {
        let [one, other] = [self.row(roles[0])?, self.row(roles[1])?];
        if one.closed_errors + other.closed_errors > 0 {
            return None;
        }
        Spread::of_ratios(one.closed.iter().map(of).zip(other.closed.iter().map(of)))
    }
}

/// Each has its turn; in every second round the last comes first.
fn run(
    turns: &mut [Turn<'_>],
    round: usize,
    mut turn: impl FnMut(&mut Turn<'_>, Option<&Side>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let model = turns.iter().map(|turn| turn.side).find(|side| side.role == Role::Straight);
    let mut order: Vec<_> = turns.iter_mut().collect();
    if round % 2 == 1 {
        order.reverse();
    }
    for one in order {
        turn(one, model).with_context(|| format!("through {}", one.row.name))?;
    }
    Ok(())
}

/// The model server is no proxy, and its rate none of theirs.
fn half_of_the_slowest(turns: &[Turn<'_>]) -> u64 {
    let proxies = turns.iter().filter(|turn| turn.side.role != Role::Straight);
    let rates = proxies.filter_map(|turn| Some(turn.row.closed.first()?.calls_per_second));
    (rates.min().unwrap_or_default() / 2).max(1)
}

impl<'a> Turn<'a> {
    fn new(side: &'a Side, point: &Point) -> anyhow::Result<Turn<'a>> {
        let row = Row {
            name: side.name.clone(),
            role: side.role,
            closed: Vec::new(),
            timed: Vec::new(),
            closed_errors: 0,
            timed_errors: 0,
        };
        Ok(Turn { side, calls: side.calls(point)?, row, loaded_kib: 0 })
    }

    fn closed(&mut self, point: &Point, model: Option<&Side>, time: Duration) -> anyhow::Result<()> {
        let mut session = self.calls.connect(point.connections)?;
        session.run(Pace::Closed, WARM_UP)?;
        let process = &self.side.process;
        let before = process.settled_consumption()?.cpu_micros;
        let load_cpu = || -> anyhow::Result<u64> {
            let model = model.map_or(Ok(0), |model| model.process.consumption().map(|used| used.cpu_micros));
            Ok(model? + own_cpu_micros())
        };
        let load_before = load_cpu()?;
        let outcome = session.run(Pace::Closed, time)?;
        let (load_after, during) = (load_cpu()?, process.consumption()?);
        let after = self.settled_cpu_micros()?;

        let (calls, micros) = (outcome.nanos.len() as u64, micros(outcome.elapsed));
        self.loaded_kib = self.loaded_kib.max(during.rss_kib);
        self.row.closed_errors += outcome.errors;
        self.row.closed.push(Closed {
            calls_per_second: calls * 1_000_000 / micros,
            cpu_centimicros: (after - before) * 100 / calls.max(1),
            busy: (during.cpu_micros - before) * 100 / micros,
            load_busy: (load_after - load_before) * 100 / micros,
        });
        Ok(())
    }

    fn timed(&mut self, point: &Point, rate: u64, time: Duration) -> anyhow::Result<()> {
        let mut session = self.calls.connect(point.connections)?;
        session.run(Pace::PerSecond(rate), WARM_UP)?;
        let outcome = session.run(Pace::PerSecond(rate), time)?;
        self.settled_cpu_micros()?;
        self.row.timed_errors += outcome.errors;
        self.row.timed.push(Timed::of(outcome));
        Ok(())
    }
}

impl Turn<'_> {
    /// What the side has used when everything that it put off is done.
    fn settled_cpu_micros(&self) -> anyhow::Result<u64> {
        if matches!(self.side.role, Role::Many(_)) {
            std::thread::sleep(SUMS_WAIT);
        }
        Ok(self.side.process.settled_consumption()?.cpu_micros)
    }
}

impl Timed {
    fn of(outcome: Outcome) -> Timed {
        let Outcome { mut nanos, mut late_nanos, .. } = outcome;
        nanos.sort_unstable();
        late_nanos.sort_unstable();
        Timed {
            p50: percentile(&nanos, 50),
            p99: percentile(&nanos, 99),
            p999: (nanos.len() >= TAIL_SAMPLES).then(|| per_mille(&nanos, 999)),
            late_p99: percentile(&late_nanos, 99),
        }
    }
}

fn per_mille(sorted: &[u64], share: usize) -> u64 {
    let rank = (sorted.len() * share).div_ceil(1_000);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// At least one, since it divides.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::point::points;
    use super::*;

    fn timed(p50: u64) -> Timed {
        Timed { p50, p99: p50 * 2, p999: None, late_p99: 0 }
    }

    fn row(role: Role, p50s: &[u64]) -> Row {
        let timed = p50s.iter().copied().map(timed).collect();
        Row { name: format!("{role:?}"), role, closed: Vec::new(), timed, closed_errors: 0, timed_errors: 0 }
    }

    #[test]
    fn what_is_added_is_less_what_it_takes_straight_in_the_same_round() {
        let point = points(&Options::read(std::iter::empty()).unwrap()).remove(0);
        let rows = vec![
            row(Role::Straight, &[10, 20, 30]),
            row(Role::Nginx, &[30, 40, 50]),
            row(Role::Full, &[35, 50, 60]),
        ];
        let measured = Measured { point, rate: 1, rows };
        let full = measured.row(Role::Full).unwrap();
        assert_eq!(measured.added(full, |timed| Some(timed.p50)), [25, 30, 30]);
        assert!(measured.added(full, |timed| timed.p999).is_empty());
        let ratio = measured.added_ratio([Role::Full, Role::Nginx], |timed| Some(timed.p50)).unwrap();
        assert_eq!(ratio.ratio(), "1.50× (1.25 to 1.50)");
    }

    #[test]
    fn there_is_no_ratio_where_a_round_added_nothing_or_calls_failed() {
        let point = points(&Options::read(std::iter::empty()).unwrap()).remove(0);
        let rows = |full: &[u64], errors| {
            let mut full = row(Role::Full, full);
            full.timed_errors = errors;
            vec![row(Role::Straight, &[10, 20]), row(Role::Nginx, &[30, 40]), full]
        };
        let ratio = |full: &[u64], errors| {
            let measured = Measured { point: point.clone(), rate: 1, rows: rows(full, errors) };
            measured.added_ratio([Role::Full, Role::Nginx], |timed| Some(timed.p50)).is_some()
        };
        assert_eq!((ratio(&[30, 40], 0), ratio(&[30, 19], 0), ratio(&[30, 40], 1)), (true, false, false));
    }
}
