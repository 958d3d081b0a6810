//! What varies: points of the star, or of the grid.

use anyhow::Context;

use crate::options::{Answers, Options};
use crate::upstream::WORDS;

/// Between two events of a stream that is written in time: a hundred tokens a second.
const GAP_MS: u64 = 10;
/// Streams in time that are open at once.
const STREAMS: usize = 128;

/// One part of the star. [`Axis::Centre`] is where all axes meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Axis {
    Centre,
    One,
    Many,
    Most,
    Streamed,
    InTime,
    Prompt,
    Groups,
}

/// One set of circumstances.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) name: String,
    /// None in the grid.
    pub(super) axis: Option<Axis>,
    pub(super) answers: Answers,
    pub(super) connections: usize,
    pub(super) prompt: Prompt,
    /// Milliseconds between the events of a stream, where they come in time. Then there is no closed loop.
    pub(super) gap_ms: u64,
    /// Whether gateways with many groups take part.
    pub(super) with_stores: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prompt {
    /// A body of 250 bytes.
    Small,
    /// One of 100 KB.
    Long,
}

impl Axis {
    pub(crate) const ALL: [Axis; 8] = [
        Axis::Centre,
        Axis::One,
        Axis::Many,
        Axis::Most,
        Axis::Streamed,
        Axis::InTime,
        Axis::Prompt,
        Axis::Groups,
    ];

    pub(crate) fn read(name: &str) -> anyhow::Result<Axis> {
        let names = Axis::ALL.map(Axis::name).join(", ");
        let axis = Axis::ALL.into_iter().find(|axis| axis.name() == name);
        axis.with_context(|| format!("{name} is none of {names}"))
    }

    fn name(self) -> &'static str {
        match self {
            Axis::Centre => "centre",
            Axis::One => "c1",
            Axis::Many => "c128",
            Axis::Most => "c512",
            Axis::Streamed => "streamed",
            Axis::InTime => "streams",
            Axis::Prompt => "prompt",
            Axis::Groups => "groups",
        }
    }
}

impl Point {
    fn centre() -> Point {
        Point {
            name: "32 connections".to_owned(),
            axis: Some(Axis::Centre),
            answers: Answers::Whole,
            connections: 32,
            prompt: Prompt::Small,
            gap_ms: 0,
            with_stores: false,
        }
    }

    /// The number of groups is no circumstance of a call but another gateway, so it is measured at the centre.
    fn on(axis: Axis) -> Point {
        let centre = Point::centre();
        let named = |name: &str, point: Point| Point { name: name.to_owned(), axis: Some(axis), ..point };
        match axis {
            Axis::Centre | Axis::Groups => centre,
            Axis::One => named("1 connection", Point { connections: 1, ..centre }),
            Axis::Many => named("128 connections", Point { connections: 128, ..centre }),
            Axis::Most => named("512 connections", Point { connections: 512, ..centre }),
            Axis::Streamed => named("streamed at once", Point { answers: Answers::Streamed, ..centre }),
            Axis::Prompt => named("100 KB prompt", Point { prompt: Prompt::Long, ..centre }),
            Axis::InTime => {
                let streamed = Point { answers: Answers::Streamed, gap_ms: GAP_MS, ..centre };
                named("128 streams in time", Point { connections: 2 * STREAMS, ..streamed })
            }
        }
    }

    /// How many streams begin each second so that as many are open as should be; none for other points.
    pub(super) fn streams_per_second(&self) -> Option<u64> {
        let stream_ms = self.gap_ms.checked_mul(u64::try_from(WORDS).ok()? - 1).filter(|ms| *ms > 0)?;
        Some(u64::try_from(STREAMS).ok()? * 1_000 / stream_ms)
    }
}

/// What is to be measured, in this order.
pub(super) fn points(options: &Options) -> Vec<Point> {
    if options.full {
        return grid();
    }
    let asked = |axis: &Axis| options.axes.contains(axis);
    let with_stores = asked(&Axis::Groups);
    let mut points = Vec::new();
    if with_stores || asked(&Axis::Centre) {
        points.push(Point { with_stores, ..Point::centre() });
    }
    let others = Axis::ALL.into_iter().filter(|axis| !matches!(axis, Axis::Centre | Axis::Groups));
    points.extend(others.filter(asked).map(Point::on));
    points
}

/// Every combination, and the streams in time.
fn grid() -> Vec<Point> {
    let mut points = Vec::new();
    for answers in [Answers::Whole, Answers::Streamed] {
        for prompt in [Prompt::Small, Prompt::Long] {
            for connections in [1, 32, 128, 512] {
                let name = format!("{}, {}, c={connections}", answers.name(), prompt.name());
                let point = Point { name, axis: None, answers, prompt, connections, ..Point::centre() };
                points.push(Point { with_stores: true, ..point });
            }
        }
    }
    points.push(Point { with_stores: true, ..Point::on(Axis::InTime) });
    points
}

impl Answers {
    fn name(self) -> &'static str {
        match self {
            Answers::Whole => "whole",
            Answers::Streamed => "streamed",
        }
    }
}

impl Prompt {
    fn name(self) -> &'static str {
        match self {
            Prompt::Small => "250 bytes",
            Prompt::Long => "100 KB",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Options {
        Options::read(args.iter().map(|arg| (*arg).to_owned())).unwrap()
    }

    #[test]
    fn each_axis_is_the_centre_but_for_one_thing() {
        let points = points(&options(&[]));
        assert_eq!(points.len(), 7, "groups are measured at the centre");
        assert!(points[0].with_stores);
        for point in &points[1..] {
            let centre = Point::centre();
            let differences = [
                point.answers != centre.answers,
                point.connections != centre.connections && point.gap_ms == 0,
                point.prompt != centre.prompt,
            ];
            assert_eq!(differences.into_iter().filter(|differs| *differs).count(), 1, "{point:?}");
        }
    }

    #[test]
    fn as_many_streams_are_open_as_is_said() {
        let point = Point::on(Axis::InTime);
        let rate = point.streams_per_second().unwrap();
        let open = rate * GAP_MS * u64::try_from(WORDS - 1).unwrap() / 1_000;
        assert!((127..=128).contains(&open), "{open}");
        assert_eq!(Point::centre().streams_per_second(), None);
    }

    #[test]
    fn the_grid_has_every_combination() {
        let points = points(&options(&["--full"]));
        assert_eq!(points.len(), 17);
        assert!(points.iter().all(|point| point.with_stores));
    }
}
