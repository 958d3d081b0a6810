//! Processes under test: started, watched through `/proc`, ended.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;

use crate::clock;

/// Ticks of `/proc/PID/stat` are hundredths of a second on every Linux that matters.
const TICK_MICROS: u64 = 10_000;
const READY_MAX: Duration = Duration::from_secs(30);
const STOP_MAX: Duration = Duration::from_secs(10);
const SETTLE_MAX: Duration = Duration::from_secs(5);
const SETTLE_POLL: Duration = Duration::from_millis(100);
const POLL: Duration = Duration::from_millis(20);

/// A child process with its files; both end with this value.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    _files: Option<TempDir>,
}

/// What a process and its children have used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Consumption {
    pub(crate) cpu_micros: u64,
    pub(crate) rss_kib: u64,
}

impl Running {
    pub(crate) fn start(mut command: Command, files: Option<TempDir>) -> anyhow::Result<Running> {
        let child = command.spawn().with_context(|| format!("{command:?} does not start"))?;
        Ok(Running { child, _files: files })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until `ready` says so; fails when the process ends before that.
    pub(crate) fn wait_until(&mut self, ready: impl Fn() -> bool) -> anyhow::Result<()> {
        let begun = clock::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended at once with {status}");
            }
            if begun.elapsed() > READY_MAX {
                bail!("it was not ready after {} s", READY_MAX.as_secs());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Waits until the process has nothing left to do, so that work which was put off is not given away.
    pub(crate) fn settled_consumption(&self) -> anyhow::Result<Consumption> {
        let begun = clock::now();
        let mut last = self.consumption()?;
        while begun.elapsed() < SETTLE_MAX {
            std::thread::sleep(SETTLE_POLL);
            let next = self.consumption()?;
            if next.cpu_micros.saturating_sub(last.cpu_micros) <= TICK_MICROS {
                return Ok(next);
            }
            last = next;
        }
        Ok(last)
    }

    /// The most memory the process itself ever had, in MiB, rounded up.
    pub(crate) fn peak_mib(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: u64 = peak.split_whitespace().next().context("VmHWM without a number")?.parse()?;
        Ok(kib.div_ceil(1024))
    }

    /// What it has used so far, whatever it may have put off.
    pub(crate) fn consumption(&self) -> anyhow::Result<Consumption> {
        let pid = self.child.id();
        let mut sum = Consumption::default();
        for (process, parent) in processes()? {
            if process == pid || parent == pid {
                // One that has just ended has nothing to add.
                let Some(one) = consumption_of(process) else { continue };
                sum.cpu_micros += one.cpu_micros;
                sum.rss_kib += one.rss_kib;
            }
        }
        Ok(sum)
    }
}

impl Drop for Running {
    /// Asks first: nginx takes its workers along only when it is asked.
    fn drop(&mut self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        let begun = clock::now();
        while asked.is_ok() && begun.elapsed() < STOP_MAX {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(POLL);
        }
        // Nothing is left to do if even this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of the loopback address that was free a moment ago.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Every process with its parent.
fn processes() -> anyhow::Result<Vec<(u32, u32)>> {
    let entries = fs::read_dir("/proc").context("CPU time is read from /proc")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.filter_map(|pid| Some((pid, stat_fields(pid)?.get(1)?.parse().ok()?))).collect())
}

fn consumption_of(pid: u32) -> Option<Consumption> {
    let stat = stat_fields(pid)?;
    let ticks = |at: usize| stat.get(at)?.parse::<u64>().ok();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(Consumption {
        cpu_micros: (ticks(11)? + ticks(12)?) * TICK_MICROS,
        rss_kib: rss.split_whitespace().next()?.parse().ok()?,
    })
}

/// The fields of `/proc/PID/stat` behind the name, which may hold anything: state, parent, …
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}
