//! The machine: how many cores, and who gets which.

use std::process::{Command, Stdio};
use std::thread::available_parallelism;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Who runs where. Without `taskset`, or with one core, the scheduler decides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) placed: bool,
}

/// The parts of a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Load,
    ModelServer,
    Subject,
}

impl Machine {
    /// Looks around; to be called before this process is placed, since that hides the other cores.
    pub(crate) fn look() -> Machine {
        let cores = available_parallelism().map_or(1, usize::from);
        let taskset = Command::new("taskset").arg("--version").stdout(Stdio::null()).status();
        Machine { cores, placed: cores > 1 && taskset.is_ok_and(|status| status.success()) }
    }

    /// The subject is alone on the last core; model server and load share one only if they must.
    fn core_of(self, part: Part) -> usize {
        match part {
            Part::Load => 0,
            Part::ModelServer => usize::from(self.cores > 2),
            Part::Subject => self.cores - 1,
        }
    }

    /// A command for this program, on its core.
    pub(crate) fn command(self, part: Part, program: &std::path::Path) -> Command {
        if !self.placed {
            return Command::new(program);
        }
        let mut command = Command::new("taskset");
        command.args(["-c", &self.core_of(part).to_string()]).arg(program);
        command
    }

    /// Places this process, which makes the load.
    pub(crate) fn place_load(self) -> anyhow::Result<()> {
        if self.placed {
            let (core, pid) = (self.core_of(Part::Load).to_string(), std::process::id().to_string());
            let mut place = Command::new("taskset");
            place.args(["-a", "-c", "-p", &core, &pid]).stdout(Stdio::null());
            anyhow::ensure!(place.status()?.success(), "taskset can't place the load generator");
        }
        Ok(())
    }

    /// Whether load and model server are on one core.
    pub(crate) fn shares_core(self) -> bool {
        self.core_of(Part::Load) == self.core_of(Part::ModelServer)
    }

    /// As many open files as may be, for this process and those it starts: a model server has connections of all proxies.
    pub(crate) fn raise_limit_on_files() {
        let limit = getrlimit(Resource::Nofile);
        // With fewer it may still do; who runs out of them says so.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }

    /// What it is: its processor, as it calls itself.
    pub(crate) fn processor() -> String {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        model.map_or("unknown processor", |(_, name)| name.trim()).to_owned()
    }

    pub(crate) fn describe(self) -> String {
        let Machine { cores, placed } = self;
        if !placed {
            return format!("{cores} cores, nothing placed");
        }
        let [load, model, subject] =
            [Part::Load, Part::ModelServer, Part::Subject].map(|part| self.core_of(part));
        format!(
            "{cores} cores; pinned: load generator on {load}, model server on {model}, what is measured alone on {subject} with one worker"
        )
    }
}
