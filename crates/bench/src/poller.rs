//! Many sockets in one thread, and a clock that wakes it to the microsecond.
//!
//! An asynchronous runtime costs more per call than a proxy does, and its timers tick in milliseconds; what measures must
//! be lighter and finer than what is measured. Everything is edge-triggered: who is woken reads until nothing is left.
//! Knows nothing of HTTP. Begins at [`Poller::wait`].

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use crate::clock;

/// Sockets that are told of at once.
const EVENTS_MAX: usize = 256;
const TIMER: u64 = u64::MAX;
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Tells which sockets can be read or written.
pub(crate) struct Poller {
    epoll: OwnedFd,
    /// `epoll_wait` itself counts milliseconds.
    timer: OwnedFd,
    /// When the timer goes off, if it has not yet.
    alarm: Option<Instant>,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(crate) fn new() -> anyhow::Result<Poller> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let edge = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), edge)?;
        Ok(Poller { epoll, timer, alarm: None, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// From now on `token` is heard of when there is something to read, room to write, or an end. Closing the socket
    /// ends that.
    pub(crate) fn watch(&self, socket: impl AsFd, token: usize) -> anyhow::Result<()> {
        let flags =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        epoll::add(&self.epoll, socket, epoll::EventData::new_u64(u64::try_from(token)?), flags)?;
        Ok(())
    }

    /// Waits for a socket, or until that time. Tokens are added to `ready`; none when time is what came.
    pub(crate) fn wait(&mut self, until: Option<Instant>, ready: &mut Vec<usize>) -> anyhow::Result<()> {
        let passed = match until {
            None => false,
            Some(until) => self.set_alarm(until)?,
        };
        self.events.clear();
        let room = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, room, passed.then_some(&AT_ONCE)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            match event.data.u64() {
                TIMER => self.alarm = None,
                token => ready.push(usize::try_from(token)?),
            }
        }
        Ok(())
    }

    /// Whether that time has passed already; otherwise the timer goes off then.
    fn set_alarm(&mut self, until: Instant) -> anyhow::Result<bool> {
        let left = until.saturating_duration_since(clock::now());
        if left.is_zero() || self.alarm == Some(until) {
            return Ok(left.is_zero());
        }
        let once = Itimerspec {
            it_interval: AT_ONCE,
            it_value: Timespec { tv_sec: left.as_secs().try_into()?, tv_nsec: left.subsec_nanos().into() },
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        self.alarm = Some(until);
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_socket_that_can_be_read_is_told_of_by_its_token() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let mut poller = Poller::new().unwrap();
        poller.watch(&far, 7).unwrap();
        let mut ready = Vec::new();
        poller.wait(None, &mut ready).unwrap();
        assert_eq!(ready, [7], "there is room to write");
        near.write_all(b"x").unwrap();
        ready.clear();
        poller.wait(None, &mut ready).unwrap();
        assert_eq!(ready, [7]);
        let mut byte = [0];
        far.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
    }

    #[test]
    fn nobody_is_woken_before_the_time_that_was_said() {
        let mut poller = Poller::new().unwrap();
        let mut ready = Vec::new();
        for wait in [Duration::ZERO, Duration::from_micros(300), Duration::from_millis(2)] {
            let until = clock::now() + wait;
            while clock::now() < until {
                poller.wait(Some(until), &mut ready).unwrap();
            }
            assert!(clock::now() >= until && ready.is_empty());
        }
    }
}
