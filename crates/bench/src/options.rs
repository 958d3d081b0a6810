//! What the command line asks for.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::clock;

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) seconds: Duration,
    pub(crate) connections: Vec<usize>,
    pub(crate) rounds: usize,
    pub(crate) answers: Answers,
    pub(crate) through: Vec<Through>,
    /// A binary to use as it is; otherwise the workspace's is built.
    pub(crate) tollgate: Option<PathBuf>,
    pub(crate) date: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answers {
    Whole,
    Streamed,
}

/// What the calls go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Through {
    Direct,
    Nginx,
    Tollgate,
}

impl Options {
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> anyhow::Result<Options> {
        let mut options = Options {
            seconds: Duration::from_secs(3),
            connections: vec![1, 32],
            rounds: 3,
            answers: Answers::Whole,
            through: vec![Through::Direct, Through::Nginx, Through::Tollgate],
            tollgate: None,
            date: clock::today()?,
        };
        while let Some(name) = args.next() {
            if name == "--stream" {
                options.answers = Answers::Streamed;
                continue;
            }
            let value = args.next().with_context(|| format!("{name} needs a value"))?;
            options.set(&name, value).with_context(|| format!("{name} is not understood"))?;
        }
        let counts = [options.rounds, options.connections.len(), options.through.len()];
        ensure!(!counts.contains(&0) && !options.connections.contains(&0), "nothing to measure");
        ensure!(!options.seconds.is_zero(), "--seconds must be at least 1");
        Ok(options)
    }

    fn set(&mut self, name: &str, value: String) -> anyhow::Result<()> {
        match name {
            "--seconds" => self.seconds = Duration::from_secs(value.parse()?),
            "--connections" => self.connections = list(&value, |count| Ok(count.parse()?))?,
            "--rounds" => self.rounds = value.parse()?,
            "--through" => self.through = list(&value, Through::read)?,
            "--tollgate" => self.tollgate = Some(value.into()),
            "--date" => self.date = value,
            _ => bail!("there is no such option"),
        }
        Ok(())
    }
}

impl Through {
    fn read(name: &str) -> anyhow::Result<Through> {
        match name {
            "direct" => Ok(Through::Direct),
            "nginx" => Ok(Through::Nginx),
            "tollgate" => Ok(Through::Tollgate),
            _ => bail!("not one of direct, nginx, tollgate: {name}"),
        }
    }
}

fn list<T>(text: &str, read: impl Fn(&str) -> anyhow::Result<T>) -> anyhow::Result<Vec<T>> {
    text.split(',').map(read).collect()
}
