//! The load of the comparison: connections in one thread, by hand, as cheap as can be.
//!
//! *In a closed loop* each connection sends its next call when the last was answered to its end: that gives calls a second.
//! *At a rate* calls are due by a fixed schedule, whatever became of those before, and each one's time counts from when it
//! was due: a proxy that stalls is charged with every call that waited meanwhile. Of a stream the time to its first token
//! counts, of a whole answer the time to its end.
//!
//! Every answer must be 200 and as long as the first one was. Begins at [`Session::run`].

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use crate::answer::Answer;
use crate::clock;
use crate::poller::Poller;

/// Read at once.
const READ_LEN: usize = 64 << 10;
/// How long the last calls may take.
const GRACE: Duration = Duration::from_secs(5);
/// More than these are not an accident.
const ERRORS_MAX: u64 = 1_000;

/// Calls to one address.
#[derive(Debug)]
pub(crate) struct Callers {
    pub(crate) addr: SocketAddr,
    /// Whole requests, head and body, sent by turns; at least one.
    pub(crate) requests: Vec<Vec<u8>>,
    /// How long the body of every answer is.
    pub(crate) answer_len: usize,
    /// Whether the first token is what is waited for.
    pub(crate) streamed: bool,
}

/// When the next call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// When there is a connection without one.
    Closed,
    /// So many a second, at even distances.
    PerSecond(u64),
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// How long each good call took, in nanoseconds.
    pub(crate) nanos: Vec<u64>,
    /// How much later than due it was sent, where there was a connection for it.
    pub(crate) late_nanos: Vec<u64>,
    pub(crate) errors: u64,
    pub(crate) elapsed: Duration,
}

/// Connections to one address, which stay open from one burst to the next.
pub(crate) struct Session<'a> {
    callers: &'a Callers,
    poller: Poller,
    connections: Vec<Connection>,
    /// Those without a call.
    idle: VecDeque<usize>,
}

/// A burst while it lasts.
struct Burst<'a, 'b> {
    session: &'a mut Session<'b>,
    schedule: Schedule,
    sent: usize,
    outcome: Outcome,
}

/// Calls by number, and when each is due.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    pace: Pace,
    begun: Instant,
    end: Instant,
}

#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    /// The request that is under way, and how much of it was sent.
    sending: Option<(usize, usize)>,
    /// Since when the call counts; none without a call.
    since: Option<Instant>,
    first_token: Option<Instant>,
    answer: Answer,
}

impl Callers {
    /// With so many connections: never more calls at once than that.
    pub(crate) fn connect(&self, connections: usize) -> anyhow::Result<Session<'_>> {
        let poller = Poller::new()?;
        let connections = (0..connections)
            .map(|token| {
                let connection = Connection::open(self.addr)?;
                poller.watch(&connection.socket, token)?;
                Ok(connection)
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let idle = (0..connections.len()).collect();
        Ok(Session { callers: self, poller, connections, idle })
    }
}

impl Session<'_> {
    /// Calls for so long, in this thread.
    pub(crate) fn run(&mut self, pace: Pace, time: Duration) -> anyhow::Result<Outcome> {
        let begun = clock::now();
        let schedule = Schedule { pace, begun, end: begun + time };
        Burst { session: self, schedule, sent: 0, outcome: Outcome::default() }.run()
    }
}

impl Burst<'_, '_> {
    fn run(mut self) -> anyhow::Result<Outcome> {
        let (mut ready, mut scratch) = (Vec::new(), vec![0; READ_LEN]);
        let mut wake = self.send_what_is_due()?;
        while wake.is_some() || self.session.idle.len() < self.session.connections.len() {
            let last = self.schedule.end + GRACE;
            let until = wake.filter(|_| !self.session.idle.is_empty()).unwrap_or(last);
            ready.clear();
            self.session.poller.wait(Some(until), &mut ready)?;
            for token in ready.iter().copied() {
                self.attend(token, &mut scratch)?;
            }
            wake = self.send_what_is_due()?;
            ensure!(clock::now() < last, "calls were not answered within {} s", GRACE.as_secs());
        }
        self.outcome.elapsed = self.schedule.begun.elapsed();
        Ok(self.outcome)
    }

    /// Sends until no connection is free or nothing is due. When the next one is; none when all were sent.
    fn send_what_is_due(&mut self) -> anyhow::Result<Option<Instant>> {
        loop {
            let now = clock::now();
            let Some(due) = self.schedule.due(self.sent, now) else { return Ok(None) };
            if due > now {
                return Ok(Some(due));
            }
            let Some(token) = self.session.idle.pop_front() else { return Ok(Some(due)) };
            if self.schedule.pace != Pace::Closed {
                self.outcome.late_nanos.push(nanos(now - due));
            }
            self.send(token, due)?;
        }
    }

    fn send(&mut self, token: usize, due: Instant) -> anyhow::Result<()> {
        let request = self.sent % self.session.callers.requests.len();
        self.sent += 1;
        let connection = &mut self.session.connections[token];
        connection.answer.reset();
        connection.since = Some(due);
        connection.first_token = None;
        connection.sending = Some((request, 0));
        match connection.write(&self.session.callers.requests) {
            Ok(()) => Ok(()),
            Err(_) => self.replace(token),
        }
    }

    fn attend(&mut self, token: usize, scratch: &mut [u8]) -> anyhow::Result<()> {
        let connection = &mut self.session.connections[token];
        let done =
            connection.write(&self.session.callers.requests).and_then(|()| connection.take_in(scratch));
        match done {
            Ok(true) => self.finish(token),
            Ok(false) => {}
            Err(_) => self.replace(token)?,
        }
        Ok(())
    }

    fn finish(&mut self, token: usize) {
        let connection = &mut self.session.connections[token];
        let Connection { answer, since, first_token, .. } = connection;
        let ended = if self.session.callers.streamed { *first_token } else { Some(clock::now()) };
        let good = answer.status == 200 && answer.len == self.session.callers.answer_len;
        match (good, since.take(), ended) {
            (true, Some(since), Some(ended)) => self.outcome.nanos.push(nanos(ended - since)),
            _ => self.outcome.errors += 1,
        }
        self.session.idle.push_back(token);
    }

    /// A connection that broke: its call failed, and another takes its place.
    fn replace(&mut self, token: usize) -> anyhow::Result<()> {
        let connection = &mut self.session.connections[token];
        if connection.since.take().is_some() {
            self.outcome.errors += 1;
            self.session.idle.push_back(token);
        }
        if self.outcome.errors > ERRORS_MAX {
            bail!("{ERRORS_MAX} calls failed");
        }
        *connection = Connection::open(self.session.callers.addr)?;
        self.session.poller.watch(&connection.socket, token)
    }
}

impl Schedule {
    /// When the call of that number is due; none if there is no such call.
    fn due(self, number: usize, now: Instant) -> Option<Instant> {
        let due = match self.pace {
            Pace::Closed => now,
            Pace::PerSecond(rate) => {
                let nanos = u64::try_from(number).ok()?.checked_mul(1_000_000_000)? / rate.max(1);
                self.begun + Duration::from_nanos(nanos)
            }
        };
        (due < self.end).then_some(due)
    }
}

impl Connection {
    fn open(addr: SocketAddr) -> anyhow::Result<Connection> {
        let socket = TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        Ok(Connection { socket, sending: None, since: None, first_token: None, answer: Answer::default() })
    }

    /// Sends on what is under way.
    fn write(&mut self, requests: &[Vec<u8>]) -> anyhow::Result<()> {
        while let Some((request, sent)) = self.sending {
            let left = &requests[request][sent..];
            match self.socket.write(left) {
                Ok(len) if len == left.len() => self.sending = None,
                Ok(len) => self.sending = Some((request, sent + len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what is there. Whether the answer is complete.
    fn take_in(&mut self, scratch: &mut [u8]) -> anyhow::Result<bool> {
        loop {
            let len = match self.socket.read(scratch) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            };
            ensure!(self.since.is_some(), "an answer to nobody");
            self.answer.feed(&scratch[..len])?;
            if self.answer.has_token && self.first_token.is_none() {
                self.first_token = Some(clock::now());
            }
            // Less than there was room for is all there is: another read would only say so.
            if self.answer.is_complete() || len < scratch.len() {
                return Ok(self.answer.is_complete());
            }
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

    /// Answers so many requests on one connection, and then closes it.
    fn server(answers: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                for _ in 0..answers {
                    let mut request = [0; 4];
                    if socket.read_exact(&mut request).is_err() || socket.write_all(ANSWER).is_err() {
                        break;
                    }
                }
            }
        });
        addr
    }

    fn callers(addr: SocketAddr, answer_len: usize) -> Callers {
        Callers { addr, requests: vec![b"call".to_vec()], answer_len, streamed: false }
    }

    #[test]
    fn calls_at_a_rate_are_as_many_as_were_due() {
        let callers = callers(server(usize::MAX), 2);
        let outcome =
            callers.connect(1).unwrap().run(Pace::PerSecond(1_000), Duration::from_millis(50)).unwrap();
        assert_eq!((outcome.nanos.len(), outcome.errors), (50, 0));
        assert_eq!(outcome.late_nanos.len(), 50);
    }

    #[test]
    fn an_answer_of_another_length_is_an_error() {
        let callers = callers(server(usize::MAX), 3);
        let outcome =
            callers.connect(1).unwrap().run(Pace::PerSecond(100), Duration::from_millis(50)).unwrap();
        assert_eq!((outcome.nanos.len(), outcome.errors), (0, 5));
    }

    #[test]
    fn a_connection_that_breaks_costs_its_call_and_no_other() {
        let callers = callers(server(4), 2);
        let outcome =
            callers.connect(1).unwrap().run(Pace::PerSecond(200), Duration::from_millis(50)).unwrap();
        // Closed while idle, it is opened again before the next call; closed under a call, that one fails.
        assert_eq!(outcome.nanos.len() + usize::try_from(outcome.errors).unwrap(), 10);
        assert!(outcome.nanos.len() >= 8, "{outcome:?}");
    }

    #[test]
    fn due_times_are_even_and_end() {
        let begun = clock::now();
        let schedule = Schedule { pace: Pace::PerSecond(4), begun, end: begun + Duration::from_secs(1) };
        let due: Vec<_> = (0..5).map(|number| schedule.due(number, begun)).collect();
        let at = |ms| Some(begun + Duration::from_millis(ms));
        assert_eq!(due, [at(0), at(250), at(500), at(750), None]);
    }
}
