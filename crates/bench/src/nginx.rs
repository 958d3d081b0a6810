//! nginx as a plain reverse proxy: what a proxy costs that does none of our work.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::machine::{Machine, Part};
use crate::options::Answers;
use crate::process::{Running, free_address};
use crate::subject::Subject;

const BINARIES: [&str; 4] =
    ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx"];

pub(crate) fn find() -> Option<PathBuf> {
    BINARIES.into_iter().map(PathBuf::from).find(|binary| binary.exists())
}

pub(crate) fn start(
    binary: &Path,
    machine: Machine,
    model: SocketAddr,
    answers: Answers,
) -> anyhow::Result<Subject> {
    let files = tempfile::tempdir()?;
    let addr = free_address()?;
    let workers = if machine.placed { 1 } else { machine.cores };
    let config = files.path().join("nginx.conf");
    std::fs::write(&config, configuration(files.path(), [addr, model], workers, answers))?;
    let mut command = machine.command(Part::Subject, binary);
    command.arg("-p").arg(files.path()).arg("-c").arg(&config);
    let mut process = Running::start(command, Some(files))?;
    process.wait_until(|| TcpStream::connect(addr).is_ok()).context("nginx")?;
    Ok(Subject { name: "nginx", doing: "plain reverse proxy, keep-alive upstream", addr, key: None, process })
}

fn configuration(files: &Path, [addr, model]: [SocketAddr; 2], workers: usize, answers: Answers) -> String {
    let files = files.display();
    // Buffering would hold the events of a stream back.
    let buffering = match answers {
        Answers::Whole => "on",
        Answers::Streamed => "off",
    };
    format!(
        "daemon off;
worker_processes {workers};
pid {files}/nginx.pid;
error_log {files}/error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
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
    server {{
        listen {addr};
        location / {{
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_request_buffering off;
            proxy_buffering {buffering};
        }}
    }}
}}
"
    )
}
