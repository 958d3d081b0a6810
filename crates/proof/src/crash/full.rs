//! A disk that fills up under the ledger, and has room again.
//!
//! Calls are refused by name, those under way are recorded, and then it serves again without a restart. Once more with a
//! kill while there is no room.
//!
//! The disk is a small one in memory, mounted for the run. Where this user may not mount one, the whole run is made in a
//! namespace in which it may ([`in_namespace`]); where that is not allowed either, it is skipped. Begins at [`run`].

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use super::callers::{Gate, Scene};
use super::verdict::{Promise, Verdict};
use super::{Plan, Run};

/// Room for segments, the store and its log, and some seconds of calls.
const SIZE: &str = "size=160m,mode=700";
/// How long calls run before the disk is full, and after it has room again.
const WORK: Duration = Duration::from_millis(1_500);
/// How long a gateway may live on what it has set aside.
const REFUSED_WITHIN: Duration = Duration::from_secs(180);
/// How long it may take to notice that there is room.
const SERVED_WITHIN: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);
/// The filler grows by these.
const PIECES: [usize; 3] = [1 << 20, 4_096, 1];

/// A disk of its own, gone with this value.
#[derive(Debug)]
struct Disk {
    dir: TempDir,
}

/// Runs it. `None`: this machine lets nobody mount a disk.
///
/// # Errors
/// A gateway that does not come up, or ends.
pub async fn run(plan: &Plan) -> anyhow::Result<Option<Verdict>> {
    let Some(disk) = Disk::mount()? else { return Ok(None) };
    let plan = Plan { place: Some(disk.dir.path().to_owned()), ..plan.clone() };
    let mut run = Run::begin(&plan, PROMISES).await?;
    let scene = Arc::clone(&run.scene);
    scene.turn(Gate::Open);
    tokio::time::sleep(WORK).await;
    disk.fill()?;
    run.step(refused(&scene).await, "it is refused within its patience, in words that name the ledger");
    disk.free()?;
    run.step(served(&scene).await, "it serves again when there is room");
    tokio::time::sleep(WORK).await;
    run.crash().await?;
    scene.turn(Gate::Open);
    tokio::time::sleep(WORK).await;
    disk.fill()?;
    run.step(refused(&scene).await, "it is refused once more");
    run.house.kill()?;
    scene.rest().await?;
    disk.free()?;
    let ledger = run.reconcile().await?;
    run.house.start()?;
    run.house.ready().await?;
    run.look(&ledger).await?;
    Ok(Some(run.end(&format!("seed {}: a full disk", plan.seed))))
}

/// What such a run checks.
const PROMISES: &[Promise] = &[
    Promise::Acknowledged,
    Promise::Served,
    Promise::Own,
    Promise::Recovered,
    Promise::Events,
    Promise::Billed,
    Promise::Counters,
    Promise::Edits,
    Promise::Audit,
    Promise::Disk,
];

impl Run {
    fn step(&mut self, came: Result<(), String>, what: &str) {
        self.verdict.checked(Promise::Disk, 1);
        if let Err(wrong) = came {
            self.verdict.broken(Promise::Disk, what, format!("{what}: {wrong}"));
        }
    }

    /// Kills it where there is room, judges, and starts it again.
    async fn crash(&mut self) -> anyhow::Result<()> {
        self.house.kill()?;
        self.scene.rest().await?;
        let ledger = self.reconcile().await?;
        self.house.start()?;
        self.house.ready().await?;
        self.look(&ledger).await
    }
}

/// Waits for a call that is refused since it cannot be recorded.
async fn refused(scene: &Scene) -> Result<(), String> {
    drop(scene.take_turned());
    let mut said = Vec::new();
    let waiting = async {
        loop {
            said = scene.take_turned();
            if !said.is_empty() {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    if tokio::time::timeout(REFUSED_WITHIN, waiting).await.is_err() {
        return Err("no call was refused".to_owned());
    }
    let names = |said: &String| said.contains("ledger") || said.contains("record");
    said.iter().all(names).then_some(()).ok_or_else(|| format!("{said:?}"))
}

/// Waits for a call that is made now and answered.
async fn served(scene: &Scene) -> Result<(), String> {
    let freed_us = scene.clock.us();
    let waiting = async {
        while !scene.calls().iter().any(|call| call.is_whole() && call.sent_us() > freed_us) {
            tokio::time::sleep(POLL).await;
        }
    };
    let in_time = tokio::time::timeout(SERVED_WITHIN, waiting).await;
    in_time.map_err(|_| format!("no call was answered within {} s", SERVED_WITHIN.as_secs()))
}

impl Disk {
    /// `None`: this user may not.
    fn mount() -> anyhow::Result<Option<Self>> {
        let dir = TempDir::new()?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", SIZE, "tollgate-proof"]).arg(dir.path()).stderr(Stdio::null());
        let mounted = mount.status().is_ok_and(|status| status.success());
        // Only what was mounted is unmounted.
        Ok(mounted.then(|| Self { dir }))
    }

    /// Until not a byte more fits.
    fn fill(&self) -> anyhow::Result<()> {
        let mut filler = OpenOptions::new().create(true).append(true).open(self.filler())?;
        for piece in PIECES {
            let piece = vec![1; piece];
            loop {
                match filler.write_all(&piece) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("filling the disk"),
                }
            }
        }
        Ok(())
    }

    fn free(&self) -> anyhow::Result<()> {
        std::fs::remove_file(self.filler()).context("emptying the disk")
    }

    fn filler(&self) -> std::path::PathBuf {
        self.dir.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A lazy one: what is still open goes when it is closed.
        let _ = Command::new("umount").arg("--lazy").arg(self.dir.path()).status();
    }
}

/// This very program once more, where it may mount; with a mark, so that it does not come here again. `None`: that is not
/// allowed either.
///
/// # Errors
/// A program that cannot find itself.
pub fn in_namespace() -> anyhow::Result<Option<bool>> {
    let allowed =
        |command: &mut Command| command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    let namespace = || {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount"]);
        command
    };
    if !allowed(namespace().arg("true")) {
        return Ok(None);
    }
    let mut again = namespace();
    again.arg(std::env::current_exe()?).args(std::env::args_os().skip(1)).arg(IN_NAMESPACE).arg("yes");
    Ok(Some(again.status()?.success()))
}

/// The mark.
pub const IN_NAMESPACE: &str = "--in-namespace";
