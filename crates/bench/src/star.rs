//! The comparison: straight to the model server, nginx, tollgate with little and with everything on, side by side.
//!
//! A star, not a grid: at the centre are whole answers to small prompts on 32 connections for 10 groups, and each axis
//! varies alone. Rounds are interleaved, forward and backward by turns, and ratios are of one round; a second nginx, the same as
//! the first, says what this machine cannot tell apart.
//!
//! Guarantees: every subject gets the same calls, by the same schedule, with the same core for itself.
//! Begins at [`run`].

mod calls;
mod measure;
mod plots;
mod point;
mod report;
mod sides;
mod spread;
mod stores;
mod targets;

use anyhow::{Context, ensure};

use crate::machine::Machine;
use crate::options::Options;
use crate::say::{note, say};
use crate::{clock, nginx, tollgate, upstream};

pub(crate) use point::Axis;

use measure::Measured;
use report::Report;
use sides::{Binaries, Sides};

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let begun = clock::now();
    let machine = Machine::look();
    Machine::raise_limit_on_files();
    let binaries = Binaries {
        nginx: nginx::find_or_install()?,
        tollgate: options.tollgate.clone().map_or_else(tollgate::build, Ok)?,
        others: options.others.clone(),
    };
    let stores = stores::fill(options, machine, &binaries.tollgate)?;
    machine.place_load()?;

    let model = upstream::start(machine)?;
    let mut sides = Sides::start(options, machine, (&binaries, &stores), model)?;
    let (mut points, mut failed) = (Vec::new(), Vec::new());
    for point in point::points(options) {
        // One that fails does not take the others along.
        match Measured::of(options, &point, &mut sides) {
            Ok(measured) => points.push(measured),
            Err(error) => failed.push(format!("{} could not be measured: {error:#}", point.name)),
        }
    }
    let report = Report { options, machine, points, sides: sides.finish()?, took: begun.elapsed() };
    report.lines().iter().for_each(|line| say(line));
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    if options.write {
        report.write().context("the report could not be written into docs")?;
        note("docs/performance.md and its plots are written");
    }
    Ok(())
}
