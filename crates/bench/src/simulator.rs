//! The simulated model server as a process of its own: this program again, with a hidden command.

use std::io::Read;
use std::process::Stdio;

use anyhow::Context;
use modelsim::{ModelServer, Script};

use crate::machine::{Machine, Part};
use crate::process::Running;
use crate::say::say;
use crate::subject::Subject;

/// Words of an answer in a comparison: whole answers are about 400 bytes.
pub(crate) const SHORT: u64 = 20;

/// Streams have one chunk per word, between the role and the reason.
fn script(words: u64) -> Script {
    Script { completion_tokens: words, remember: 0, ..Script::default() }
}

/// The hidden command: says its address, serves until standard input ends, so that it never outlives its parent.
pub(crate) fn serve(words: Option<String>) -> anyhow::Result<()> {
    let words = words.context("how many words has an answer?")?.parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = ModelServer::start(script(words)).await?;
        say(&server.addr().to_string());
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        Ok(())
    })
}

pub(crate) fn start(machine: Machine, words: u64) -> anyhow::Result<Subject> {
    let this = std::env::current_exe()?;
    let mut command = machine.command(Part::ModelServer, &this);
    command.arg("modelsim").arg(words.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let (process, addr) = Running::that_says_its_address(command)?;
    Ok(Subject { name: "nothing".to_owned(), addr, key: None, process })
}
