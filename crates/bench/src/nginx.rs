//! nginx as a plain reverse proxy: what a proxy costs that does none of our work.
//!
//! As a sensible user would have it: connections upstream are kept, bodies of requests pass through, are not written to files,
//! and answers are buffered unless they are streams, which have an address of their own.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::machine::{Machine, Part};
use crate::process::{Running, free_addresses};
use crate::say::note;
use crate::subject::Subject;

const BINARIES: [&str; 4] =
    ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"];
const MISSING: &str = "nginx is what everything is compared with: install it (on Debian `apt-get install nginx-light`) and start again";

/// Installs Debian's package where there is none; fails, and says what to do, where that cannot be.
pub(crate) fn find_or_install() -> anyhow::Result<PathBuf> {
    if let Some(binary) = find() {
        return Ok(binary);
    }
    note("nginx is missing; installing it, which may start it on port 80");
    // A fresh machine has no list of packages yet.
    let installed = install() || (apt_get(&["update"]) && install());
    ensure!(installed, MISSING);
    find().context(MISSING)
}

fn install() -> bool {
    apt_get(&["install", "--yes", "--no-install-recommends", "nginx-light"])
}

/// Whether it did.
fn apt_get(arguments: &[&str]) -> bool {
    let mut command = Command::new("apt-get");
    // Standard output is for the report.
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(std::io::stderr());
    command.status().is_ok_and(|status| status.success())
}

fn find() -> Option<PathBuf> {
    BINARIES.into_iter().map(PathBuf::from).find(|binary| binary.exists())
}

/// Also returns where it takes calls for streams.
pub(crate) fn start(
    name: &str,
    binary: &Path,
    machine: Machine,
    model: SocketAddr,
) -> anyhow::Result<(Subject, SocketAddr)> {
    let files = tempfile::tempdir()?;
    let [addr, streams] = free_addresses()?;
    let workers = if machine.placed { 1 } else { machine.cores };
    let config = files.path().join("nginx.conf");
    std::fs::write(&config, configuration(files.path(), workers, model, [addr, streams]))?;
    let mut command = machine.command(Part::Subject, binary);
    command.arg("-p").arg(files.path()).arg("-c").arg(&config);
    let mut process = Running::start(command, Some(files))?;
    process.wait_until(|| TcpStream::connect(addr).is_ok()).context("nginx")?;
    let subject = Subject { name: name.to_owned(), addr, key: None, process };
    Ok((subject, streams))
}

fn configuration(
    files: &Path,
    workers: usize,
    model: SocketAddr,
    [whole, streams]: [SocketAddr; 2],
) -> String {
    let files = files.display();
    // Buffering would hold the events of a stream back.
    let servers = [(whole, "on"), (streams, "off")].map(|(addr, buffering)| {
        format!(
            "    server {{
        listen {addr};
        location / {{
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_request_buffering off;
            proxy_buffering {buffering};
        }}
    }}
"
        )
    });
    let servers = servers.concat();
    format!(
        "daemon off;
worker_processes {workers};
worker_rlimit_nofile 8192;
pid {files}/nginx.pid;
error_log {files}/error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_buffer_size 1m;
    client_max_body_size 16m;
    keepalive_requests 1000000000;
    client_body_temp_path {files}/body;
    proxy_temp_path {files}/proxy;
    fastcgi_temp_path {files}/fastcgi;
    uwsgi_temp_path {files}/uwsgi;
    scgi_temp_path {files}/scgi;
    upstream model {{
        server {model};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
{servers}}}
"
    )
}
