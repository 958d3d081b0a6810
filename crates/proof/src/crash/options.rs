//! What a crash run is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// How it is called.
pub const USAGE: &str = "\
usage: proof crash [--kills 200] [--seed N] [--seconds-between 3] [--callers 24] [--torn 20] [--binary TOLLGATE]
       proof full-disk [--seed N] [--callers 24] [--binary TOLLGATE]
--seconds-between: the longest time from ready to kill; --torn: in so many of a hundred kills the journal's end is torn off.
Exits with 1 if anything is not as promised.";

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What all choices follow from; what the machine does meanwhile does not.
    pub seed: u64,
    /// How often the gateway is killed while calls run.
    pub kills: u64,
    /// The longest time from ready to kill.
    pub between: Duration,
    /// Callers at once.
    pub callers: usize,
    /// In so many of a hundred kills the journal's end is torn off.
    pub torn_percent: u64,
    /// A binary to use as it is; otherwise the workspace's is built.
    pub binary: Option<PathBuf>,
    /// Where its data lie, if that matters.
    pub place: Option<PathBuf>,
    /// Whether this program was started by itself, where it may mount.
    pub in_namespace: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            kills: 200,
            between: Duration::from_secs(3),
            callers: 24,
            torn_percent: 20,
            binary: None,
            place: None,
            in_namespace: false,
        }
    }
}

impl Plan {
    /// From the command line.
    ///
    /// # Errors
    /// An option that there is not, or that has no value.
    pub fn read(mut args: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut plan = Self::default();
        while let Some(name) = args.next() {
            let value = args.next().with_context(|| format!("{name} needs a value\n{USAGE}"))?;
            match name.as_str() {
                "--seed" => plan.seed = value.parse()?,
                "--kills" => plan.kills = value.parse()?,
                "--seconds-between" => plan.between = Duration::from_secs(value.parse()?),
                "--callers" => plan.callers = value.parse()?,
                "--torn" => plan.torn_percent = value.parse()?,
                super::full::IN_NAMESPACE => plan.in_namespace = true,
                // The program starts in a folder of its own.
                "--binary" => plan.binary = Some(std::path::absolute(value)?),
                _ => bail!("{name} is no option\n{USAGE}"),
            }
        }
        Ok(plan)
    }
}
