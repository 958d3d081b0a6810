//! The simulated model server as a program of its own, for trying a gateway or an SDK against something.

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use modelsim::{ModelServer, Script, Tools};

const USAGE: &str = "\
modelsim [--listen ADDR] [--call-tools] [--chunk-delay-ms N] [--first-byte-ms N]
Prints its base URL and serves until it is killed.";

fn main() -> ExitCode {
    let Some((address, script)) = read(std::env::args().skip(1)) else {
        let _ = writeln!(std::io::stderr(), "{USAGE}");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve(address, script))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "modelsim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: SocketAddr, script: Script) -> std::io::Result<()> {
    let server = ModelServer::start_on(address, script).await?;
    writeln!(std::io::stdout(), "{}", server.base_url())?;
    std::io::stdout().flush()?;
    std::future::pending().await
}

/// The address and the script that the arguments ask for; `None` where they make no sense.
fn read(mut arguments: impl Iterator<Item = String>) -> Option<(SocketAddr, Script)> {
    let mut address = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut script = Script::default();
    while let Some(argument) = arguments.next() {
        let mut millis = || arguments.next()?.parse().ok().map(Duration::from_millis);
        match argument.as_str() {
            "--call-tools" => script.tools = Tools::Call,
            "--chunk-delay-ms" => script.between_chunks = millis()?,
            "--first-byte-ms" => script.first_byte = millis()?,
            "--listen" => address = arguments.next()?.parse().ok()?,
            _ => return None,
        }
    }
    Some((address, script))
}
