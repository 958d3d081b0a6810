//! What the command line of the comparison asks for.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::clock;
use crate::star::Axis;

const ROUNDS: usize = 5;
const TURN: Duration = Duration::from_millis(1_200);
const QUICK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    /// Of one turn in a closed loop, and of one at a rate.
    pub(crate) turn: Duration,
    pub(crate) axes: Vec<Axis>,
    /// Every combination instead of one axis at a time.
    pub(crate) full: bool,
    /// Whether the report goes into `docs`.
    pub(crate) write: bool,
    /// A binary to use as it is; otherwise the workspace's is built.
    pub(crate) tollgate: Option<PathBuf>,
    /// More of them, to compare with it.
    pub(crate) others: Vec<(String, PathBuf)>,
    pub(crate) date: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    Whole,
    Streamed,
}

impl Options {
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> anyhow::Result<Options> {
        let mut options = Options {
            rounds: ROUNDS,
            turn: TURN,
            axes: Axis::ALL.to_vec(),
            full: false,
            write: false,
            tollgate: None,
            others: Vec::new(),
            date: clock::today()?,
        };
        while let Some(name) = args.next() {
            match name.as_str() {
                "--quick" => (options.rounds, options.turn) = (1, QUICK),
                "--full" => options.full = true,
                "--write" => options.write = true,
                _ => {
                    let value = args.next().with_context(|| format!("{name} needs a value"))?;
                    options.set(&name, value).with_context(|| format!("{name} is not understood"))?;
                }
            }
        }
        ensure!(options.rounds > 0 && !options.turn.is_zero(), "nothing to measure");
        let partly = options.axes.len() < Axis::ALL.len() || !options.others.is_empty();
        ensure!(
            !(options.write && (partly || options.full)),
            "--write replaces the whole report, so it goes with neither --only nor --full nor another binary"
        );
        Ok(options)
    }

    fn set(&mut self, name: &str, value: String) -> anyhow::Result<()> {
        match name {
            "--rounds" => self.rounds = value.parse()?,
            "--seconds" => self.turn = seconds(&value)?,
            "--only" => self.axes = value.split(',').map(Axis::read).collect::<anyhow::Result<_>>()?,
            "--date" => self.date = value,
            "--tollgate" => {
                let (name, path) = value.split_once('=').unwrap_or(("", &value));
                let path = PathBuf::from(path);
                let path = path.canonicalize().with_context(|| format!("{}", path.display()))?;
                match (name, &self.tollgate) {
                    ("", None) => self.tollgate = Some(path),
                    ("", Some(_)) => bail!("a second binary needs a name: --tollgate NAME=BINARY"),
                    (name, _) => self.others.push((name.to_owned(), path)),
                }
            }
            _ => bail!("there is no such option"),
        }
        Ok(())
    }
}

/// `2` or `1.5`.
fn seconds(text: &str) -> anyhow::Result<Duration> {
    let (whole, tenths) = text.split_once('.').unwrap_or((text, "0"));
    ensure!(tenths.len() == 1, "seconds have one digit after the point at most");
    Ok(Duration::from_secs(whole.parse()?) + Duration::from_millis(tenths.parse::<u64>()? * 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> anyhow::Result<Options> {
        Options::read(args.iter().map(|arg| (*arg).to_owned()))
    }

    #[test]
    fn binaries_are_compared_by_their_names() {
        let options = read(&["--tollgate", "/bin/sh", "--tollgate", "old=/bin/true"]).unwrap();
        assert!(options.tollgate.is_some());
        assert_eq!(options.others[0].0, "old");
        assert!(read(&["--tollgate", "/bin/sh", "--tollgate", "/bin/true"]).is_err());
        assert!(read(&["--tollgate", "/there/is/none"]).is_err());
    }

    #[test]
    fn a_turn_is_as_long_as_was_said() {
        assert_eq!(read(&["--seconds", "1.5"]).unwrap().turn, Duration::from_millis(1_500));
        assert_eq!(read(&["--seconds", "2"]).unwrap().turn, Duration::from_secs(2));
        assert!(read(&["--seconds", "0"]).is_err());
        assert!(read(&["--seconds", "0.25"]).is_err());
    }

    #[test]
    fn a_part_is_not_written_over_the_whole() {
        assert!(read(&["--write"]).unwrap().write);
        assert!(read(&["--write", "--only", "centre"]).is_err());
        assert!(read(&["--write", "--full"]).is_err());
        assert_eq!(read(&["--only", "centre,c1"]).unwrap().axes, [Axis::Centre, Axis::One]);
    }
}
