//! Processes under test: started, watched through `/proc`, ended.

use std::fs;
use std::io::{BufRead, BufReader};
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
/// Longer than a gateway gathers for its ledger, or a pause would be taken for the end.
const SETTLE_POLL: Duration = Duration::from_millis(160);
const POLL: Duration = Duration::from_millis(20);

/// A child process with its files; both end with this value.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    files: Option<TempDir>,
}

/// What a process and its children have used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Consumption {
    pub(crate) cpu_micros: u64,
    pub(crate) rss_kib: u64,
    /// The most memory each of them ever had, added up.
    pub(crate) peak_kib: u64,
}

impl Running {
    pub(crate) fn start(mut command: Command, files: Option<TempDir>) -> anyhow::Result<Running> {
        let child = command.spawn().with_context(|| format!("{command:?} does not start"))?;
        Ok(Running { child, files })
    }

    /// One whose first line, on a pipe, is where it serves.
    pub(crate) fn that_says_its_address(command: Command) -> anyhow::Result<(Running, SocketAddr)> {
        let mut process = Running::start(command, None)?;
        let stdout = process.child.stdout.take().context("its standard output is a pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let addr = line.trim().parse().context("the model server did not say its address")?;
        Ok((process, addr))
    }

    /// From here on they live as long as the process.
    pub(crate) fn keep(&mut self, files: TempDir) {
        self.files = Some(files);
    }

    /// Waits until `ready` says so; fails when the process ends before that.
    pub(crate) fn wait_until(&mut self, ready: impl Fn() -> bool) -> anyhow::Result<()> {
        self.wait_for(READY_MAX, POLL, ready)
    }

    /// The same with another patience, asking that often.
    pub(crate) fn wait_for(
        &mut self,
        most: Duration,
        poll: Duration,
        ready: impl Fn() -> bool,
    ) -> anyhow::Result<()> {
        let begun = clock::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended at once with {status}");
            }
            if begun.elapsed() > most {
                bail!("it was not ready after {} s", most.as_secs());
            }
            std::thread::sleep(poll);
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
                sum.peak_kib += one.peak_kib;
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

/// How long this process was on a processor, in microseconds.
pub(crate) fn own_cpu_micros() -> u64 {
    consumption_of(std::process::id()).map_or(0, |own| own.cpu_micros)
}

/// A port of the loopback address that was free a moment ago.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let [addr] = free_addresses()?;
    Ok(addr)
}

/// Several, no two the same.
pub(crate) fn free_addresses<const N: usize>() -> anyhow::Result<[SocketAddr; N]> {
    let mut addrs = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    let mut held = Vec::new();
    for addr in &mut addrs {
        let listener = TcpListener::bind(*addr)?;
        *addr = listener.local_addr()?;
        held.push(listener);
    }
    Ok(addrs)
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
    let kib = |name| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.split_whitespace().next()?.parse().ok()
    };
    Some(Consumption {
        cpu_micros: (ticks(11)? + ticks(12)?) * TICK_MICROS,
        rss_kib: kib("VmRSS:")?,
        peak_kib: kib("VmHWM:")?,
    })
}

/// The fields of `/proc/PID/stat` behind the name, which may hold anything: state, parent, …
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}
