//! Running the real binary in a test.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code: this is how a test fails")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A program that does not say what is expected within this has failed. A bound, never a pause.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let ours = std::env::vars().filter(|(name, _)| name.starts_with("TOLLGATE_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    command.args(arguments).envs(environment.iter().copied()).current_dir(std::env::temp_dir());
    command
}

/// Runs a command to its end.
pub(crate) fn tollgate(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    command(arguments, environment).stdin(Stdio::null()).output().unwrap()
}

/// A program that goes on running. It is killed with the test.
pub(crate) struct Program {
    child: Child,
    said: Arc<(Mutex<String>, Condvar)>,
}

impl Program {
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::spawn(command(arguments, environment))
    }

    /// `tollgate serve` under a shell that does this first, once it serves.
    pub(crate) fn serve_after(shell: &str, data_dir: &Path) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{shell}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_tollgate")]);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir);
        let program = Self::spawn(command);
        program.line_with("\"serving\"");
        program
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new((Mutex::new(String::new()), Condvar::new()));
        listen(child.stdout.take().unwrap(), Arc::clone(&said));
        listen(child.stderr.take().unwrap(), Arc::clone(&said));
        Self { child, said }
    }

    /// `tollgate serve` on a free port, once it serves.
    pub(crate) fn serve(data_dir: &Path, environment: &[(&str, &str)]) -> Self {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data-dir", data_dir.to_str().unwrap()];
        let program = Self::start(&arguments, environment);
        program.line_with("\"serving\"");
        program
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn said(&self) -> String {
        self.said.0.lock().unwrap().clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.logged("addr"))
    }

    /// Runs a management command against this gateway to its end; what it printed.
    pub(crate) fn manage(&self, key: &str, arguments: &[&str]) -> String {
        let done = tollgate(arguments, &[("TOLLGATE_URL", &self.url()), ("TOLLGATE_MANAGEMENT_KEY", key)]);
        assert!(done.status.success(), "{arguments:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    pub(crate) fn admin_url(&self) -> String {
        format!("http://{}", self.logged("admin"))
    }

    fn logged(&self, field: &str) -> String {
        let line = self.line_with("\"serving\"");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        line[field].as_str().unwrap().to_owned()
    }

    /// What stands behind a heading.
    pub(crate) fn line_after(&self, heading: &str) -> String {
        self.line_with(heading).trim_start_matches(heading).trim().to_owned()
    }

    /// The first line that contains this text.
    pub(crate) fn line_with(&self, text: &str) -> String {
        let (said, more) = &*self.said;
        let find = |said: &str| said.lines().find(|line| line.contains(text)).map(str::to_owned);
        let guard = said.lock().unwrap();
        let (guard, _) = more.wait_timeout_while(guard, PATIENCE, |said| find(said).is_none()).unwrap();
        find(&guard).unwrap_or_else(|| panic!("`{text}` was never said, but: {guard}"))
    }

    /// Asks it to stop.
    pub(crate) fn ask_to_stop(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn terminate(self) -> ExitStatus {
        self.ask_to_stop();
        self.ended()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(from: impl std::io::Read + Send + 'static, said: Arc<(Mutex<String>, Condvar)>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut all = said.0.lock().unwrap();
            all.push_str(&line);
            all.push('\n');
            said.1.notify_all();
        }
    });
}

/// One chat call; the whole answer, header included.
pub(crate) fn call(addr: &str, key: &str, body: &str) -> String {
    let length = body.len();
    exchange(
        addr,
        &format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {addr}\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        ),
    )
}

/// What is behind a URL for everyone; the body alone.
pub(crate) fn get(url: &str) -> String {
    let (addr, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let answer =
        exchange(addr, &format!("GET /{path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\n\r\n"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

fn exchange(addr: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
