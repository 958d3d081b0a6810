//! The model server of the comparison: answers the same to everybody, and as cheaply as a server can.
//!
//! It shares a core with the load, so what it takes is missing there. A request is read to its end, whatever its length;
//! then the answer is whole, or a stream of one write for each event, at once or one by one in time. A stream tells its usage
//! to those who ask for it. [`modelsim`] can do far more, and is what the other benchmarks have.
//!
//! Knows nothing of what it is asked but the two ends of a request. Begins at [`serve`].

mod answers;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use memchr::memmem;

use crate::clock;
use crate::machine::{Machine, Part};
use crate::poller::Poller;
use crate::process::Running;
use crate::say::say;
use crate::subject::Subject;

pub(crate) use answers::WORDS;
use answers::{Answers, Ask};

const HEAD_MAX: usize = 16 << 10;
const BODY_MAX: usize = 16 << 20;
/// Read at once.
const READ_LEN: usize = 64 << 10;
const LISTENER: usize = 0;
const PARENT: usize = 1;

/// The hidden command: says its address, serves until standard input ends, so that it never outlives its parent.
pub(crate) fn serve() -> anyhow::Result<()> {
    let server = Server::bind()?;
    server.poller.watch(std::io::stdin(), PARENT)?;
    say(&server.listener.local_addr()?.to_string());
    server.run()
}

pub(crate) fn start(machine: Machine) -> anyhow::Result<Subject> {
    let mut command = machine.command(Part::ModelServer, &std::env::current_exe()?);
    command.arg("upstream").stdin(Stdio::piped()).stdout(Stdio::piped());
    let (process, addr) = Running::that_says_its_address(command)?;
    Ok(Subject { name: "straight".to_owned(), addr, key: None, process })
}

struct Server {
    poller: Poller,
    listener: TcpListener,
    answers: Answers,
    /// By token; a place whose caller left is free.
    callers: Vec<Option<Caller>>,
    /// Whose next event is due when.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
}

#[derive(Debug)]
struct Caller {
    socket: TcpStream,
    /// What was read of a request.
    read: Vec<u8>,
    /// What could not be written yet.
    unwritten: Vec<u8>,
    stream: Option<Streaming>,
}

/// A stream that is being answered in time.
#[derive(Clone, Copy, Debug)]
struct Streaming {
    ask: Ask,
    gap: Duration,
    next: usize,
    at: Instant,
}

impl Server {
    fn bind() -> anyhow::Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let poller = Poller::new()?;
        poller.watch(&listener, LISTENER)?;
        let (answers, callers, due) = (Answers::new(), Vec::new(), BinaryHeap::new());
        Ok(Server { poller, listener, answers, callers, due })
    }

    fn run(mut self) -> anyhow::Result<()> {
        let (mut ready, mut scratch) = (Vec::new(), vec![0; READ_LEN]);
        loop {
            let next = self.due.peek().map(|Reverse((at, _))| *at);
            ready.clear();
            self.poller.wait(next, &mut ready)?;
            for token in &ready {
                match *token {
                    LISTENER => self.accept()?,
                    // Nothing is ever said there, so it has ended.
                    PARENT => return Ok(()),
                    token => self.attend(token, &mut scratch),
                }
            }
            self.write_what_is_due();
        }
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // One who left before being accepted.
                Err(_) => continue,
            };
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let free = self.callers.iter().position(Option::is_none);
            let at = free.unwrap_or(self.callers.len());
            self.poller.watch(&socket, at + PARENT + 1)?;
            let caller = Caller { socket, read: Vec::new(), unwritten: Vec::new(), stream: None };
            match self.callers.get_mut(at) {
                Some(place) => *place = Some(caller),
                None => self.callers.push(Some(caller)),
            }
        }
    }

    /// Reads, and answers what is whole. Who leaves, or is not understood, is dropped.
    fn attend(&mut self, token: usize, scratch: &mut [u8]) {
        let Some(place) = self.callers.get_mut(token - PARENT - 1) else { return };
        let Some(caller) = place.as_mut() else { return };
        let asked = caller.flush().and_then(|()| caller.take_in(scratch));
        let answered = asked.and_then(|ask| match ask {
            Some(ask) => caller.answer(ask, &self.answers),
            None => Ok(None),
        });
        match answered {
            Ok(Some(next)) => self.due.push(Reverse((next, token))),
            Ok(None) => {}
            Err(_) => *place = None,
        }
    }

    fn write_what_is_due(&mut self) {
        let now = clock::now();
        while let Some(Reverse((at, token))) = self.due.peek().copied()
            && at <= now
        {
            self.due.pop();
            let Some(place) = self.callers.get_mut(token - PARENT - 1) else { continue };
            // The caller for whom it was due may have left, and another have come.
            let Some(caller) = place.as_mut() else { continue };
            match caller.write_event(&self.answers, at) {
                Ok(Some(next)) => self.due.push(Reverse((next, token))),
                Ok(None) => {}
                Err(_) => *place = None,
            }
        }
    }
}

impl Caller {
    /// Reads what is there. What it asks for, once that is whole.
    fn take_in(&mut self, scratch: &mut [u8]) -> anyhow::Result<Option<Ask>> {
        loop {
            match self.socket.read(scratch) {
                Ok(0) => anyhow::bail!("the caller left"),
                Ok(len) => {
                    self.read.extend_from_slice(&scratch[..len]);
                    if len == scratch.len() {
                        continue;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            return self.request();
        }
    }

    fn request(&mut self) -> anyhow::Result<Option<Ask>> {
        let Some(head) = memmem::find(&self.read, b"\r\n\r\n") else {
            ensure!(self.read.len() < HEAD_MAX, "a head without end");
            return Ok(None);
        };
        let (head, body) = self.read.split_at(head + 4);
        let len = body_len(head)?;
        ensure!(body.len() <= len && self.stream.is_none(), "one request at a time");
        if body.len() < len {
            return Ok(None);
        }
        let ask = Ask::read(body);
        self.read.clear();
        Ok(Some(ask))
    }

    /// Writes what can be written at once. When the next event is due, if there is one.
    fn answer(&mut self, ask: Ask, answers: &Answers) -> anyhow::Result<Option<Instant>> {
        let gap = match ask {
            Ask::Whole => return self.write(&answers.whole).map(|()| None),
            Ask::Stream { gap, .. } => gap,
        };
        if !gap.is_zero() {
            let at = clock::now();
            self.stream = Some(Streaming { ask, gap, next: 0, at });
            return self.write_event(answers, at);
        }
        for event in answers.events(ask) {
            self.write(event)?;
        }
        Ok(None)
    }

    /// Writes the event that is due at that time. When the next one is.
    fn write_event(&mut self, answers: &Answers, at: Instant) -> anyhow::Result<Option<Instant>> {
        let Some(stream) = self.stream.filter(|stream| stream.at == at) else { return Ok(None) };
        let events = answers.events(stream.ask);
        let next = Streaming { next: stream.next + 1, at: at + stream.gap, ..stream };
        self.stream = (next.next < events.len()).then_some(next);
        self.write(events.get(stream.next).context("a stream has a next event")?)?;
        Ok(self.stream.map(|stream| stream.at))
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if self.unwritten.is_empty() {
            let written = written(&mut self.socket, bytes)?;
            self.unwritten.extend_from_slice(&bytes[written..]);
        } else {
            self.unwritten.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if !self.unwritten.is_empty() {
            let written = written(&mut self.socket, &self.unwritten)?;
            self.unwritten.drain(..written);
        }
        Ok(())
    }
}

fn body_len(head: &[u8]) -> anyhow::Result<usize> {
    let head = std::str::from_utf8(head).context("a head that is no text")?;
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut lens = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, len) = lens.next().context("a request without a length")?;
    let len = len.trim().parse()?;
    ensure!(len <= BODY_MAX, "a body too long");
    Ok(len)
}

/// How much of it the socket took.
fn written(socket: &mut TcpStream, bytes: &[u8]) -> anyhow::Result<usize> {
    match socket.write(bytes) {
        Ok(len) => Ok(len),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;
    use crate::answer::Answer;
    use crate::callers::{Callers, Pace};

    #[test]
    fn every_call_is_answered_whole_at_once_and_in_time() {
        let (say, said) = mpsc::channel();
        // It ends with the test.
        thread::spawn(move || {
            let server = Server::bind().unwrap();
            say.send(server.listener.local_addr().unwrap()).unwrap();
            server.run()
        });
        let addr = said.recv().unwrap();
        let answers = Answers::new();
        let stream_len = {
            let mut answer = Answer::default();
            answers.streams[0].iter().for_each(|write| answer.feed(write).unwrap());
            answer.len
        };
        let whole_len = answers.whole.len() - memmem::find(&answers.whole, b"\r\n\r\n").unwrap() - 4;
        let long = "x".repeat(300_000);
        for (body, answer_len) in [
            (r#"{"stream":false}"#.to_owned(), whole_len),
            (format!(r#"{{"stream":false,"text":"{long}"}}"#), whole_len),
            (r#"{"stream":true,"seed":0}"#.to_owned(), stream_len),
            (r#"{"stream":true,"seed":1}"#.to_owned(), stream_len),
        ] {
            let request = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let streamed = answer_len == stream_len;
            let callers = Callers { addr, requests: vec![request.into_bytes()], answer_len, streamed };
            let mut session = callers.connect(4).unwrap();
            let outcome = session.run(Pace::PerSecond(200), Duration::from_millis(50)).unwrap();
            assert_eq!((outcome.nanos.len(), outcome.errors), (10, 0), "{answer_len}");
        }
    }
}
