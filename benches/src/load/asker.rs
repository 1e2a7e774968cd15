//! One thread that asks over many connections, and neither waits for an answer nor works for it more than it must.
//!
//! Invariant: a question is sent when it is due if a connection is free, whatever came of those before, and as soon as one
//! is free otherwise; it counts from when it was due, and how late it was sent is told, since that is the asker's own doing if
//! connections are few. Nothing that was due is left out.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::arrivals::Arrivals;
use super::connection::{Asked, Connection, Heard};
use super::tally::{Tally, Told};

/// What is due in the first part of a run is not counted: connections open, memory grows, queues form.
pub const SETTLING: Duration = Duration::from_millis(500);
/// What is not answered so long after the end of a run never is.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Events taken at once.
const EVENTS: usize = 1024;
/// What is due sooner than this is not slept for: the system's clock is no better.
const SHORT: Duration = Duration::from_millis(1);

/// What is asked over the wire.
pub trait Asks: Sync {
    /// Appends the whole request of this number.
    fn write(&self, number: u64, request: &mut Vec<u8>);
    /// Says what an answer to it is.
    fn judge(&self, number: u64, status: u16, body: &[u8]) -> Told;
}

/// Questions of one kind, and who asks them.
pub struct Line<'a> {
    asks: &'a dyn Asks,
    /// None for a closed loop: each connection asks again once it was answered.
    arrivals: Option<Arrivals>,
    free: VecDeque<usize>,
    late: VecDeque<(u64, Duration)>,
    under_way: usize,
    next: u64,
    step: u64,
    tally: Tally,
}

/// The thread's work.
pub struct Asker<'a> {
    address: SocketAddr,
    poll: Poll,
    connections: Vec<(Connection, usize)>,
    lines: Vec<Line<'a>>,
    start: Instant,
    end: Duration,
    /// Whether nothing else wants the core.
    is_alone: bool,
}

impl<'a> Asker<'a> {
    /// Asks the server at `address` for so many counted seconds.
    pub fn new(address: SocketAddr, seconds: f64, is_alone: bool) -> io::Result<Self> {
        let end = SETTLING + Duration::from_secs_f64(seconds);
        let (connections, lines) = (Vec::new(), Vec::new());
        Ok(Self { address, poll: Poll::new()?, connections, lines, start: Instant::now(), end, is_alone })
    }

    /// Adds a line of questions, whose numbers are `first`, `first + step`, …, over so many connections.
    pub fn line(
        &mut self,
        asks: &'a dyn Asks,
        arrivals: Option<Arrivals>,
        connections: usize,
        (first, step): (u64, u64),
        tally: Tally,
    ) -> io::Result<()> {
        let line = self.lines.len();
        let begin = self.connections.len();
        for at in begin..begin + connections {
            let connection = Connection::open(self.address, Token(at), self.poll.registry())?;
            self.connections.push((connection, line));
        }
        let free = (begin..self.connections.len()).collect();
        let late = VecDeque::new();
        self.lines.push(Line { asks, arrivals, free, late, under_way: 0, next: first, step, tally });
        Ok(())
    }

    /// Asks, and gives what came of each line.
    pub fn run(mut self) -> io::Result<Vec<Tally>> {
        let mut events = Events::with_capacity(EVENTS);
        self.start = Instant::now();
        for line in 0..self.lines.len() {
            self.begin_closed(line)?;
        }
        loop {
            let now = self.start.elapsed();
            let next = self.ask_what_is_due(now)?;
            let is_over = self.lines.iter().all(|line| line.under_way == 0 && line.late.is_empty());
            if now >= self.end && (is_over || now >= self.end + ANSWER_WITHIN) {
                break;
            }
            let sleeps = next.saturating_sub(now).min(ANSWER_WITHIN);
            let wait = if self.is_alone || sleeps < SHORT { Duration::ZERO } else { sleeps - SHORT / 2 };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            if events.is_empty() && !self.is_alone {
                std::thread::yield_now();
            }
            for event in &events {
                self.attend(event.token().0)?;
                // Many answers at once do not make late what is due meanwhile.
                self.ask_what_is_due(self.start.elapsed())?;
            }
        }
        for (connection, line) in &self.connections {
            if let Some(asked) = connection.asked {
                self.lines[*line].tally.add_if(asked.due >= SETTLING, Told::Failed, Duration::ZERO, Duration::ZERO);
            }
        }
        for line in &mut self.lines {
            for (_, due) in &line.late {
                line.tally.add_if(*due >= SETTLING, Told::Failed, Duration::ZERO, Duration::ZERO);
            }
        }
        Ok(self.lines.into_iter().map(|line| line.tally).collect())
    }

    fn begin_closed(&mut self, line: usize) -> io::Result<()> {
        while self.lines[line].arrivals.is_none()
            && let Some(at) = self.lines[line].free.pop_front()
        {
            self.ask_next(at, Duration::ZERO)?;
        }
        Ok(())
    }

    /// Asks what is due by `now`, and says when more is.
    fn ask_what_is_due(&mut self, now: Duration) -> io::Result<Duration> {
        let mut soonest = Duration::MAX;
        for line in 0..self.lines.len() {
            while let Some(due) = self.lines[line].take_due(now, self.end) {
                match self.lines[line].free.pop_front() {
                    Some(at) => self.ask_next(at, due)?,
                    None => {
                        let number = self.lines[line].number();
                        self.lines[line].late.push_back((number, due));
                    }
                }
            }
            if let Some(arrivals) = self.lines[line].arrivals.as_ref().filter(|arrivals| arrivals.next() < self.end) {
                soonest = soonest.min(arrivals.next());
            }
        }
        // Until the run ends at least.
        Ok(soonest.min(if now < self.end { self.end } else { now + SHORT }))
    }

    fn ask_next(&mut self, at: usize, due: Duration) -> io::Result<()> {
        let number = self.lines[self.connections[at].1].number();
        self.ask(at, Asked::new(number, due))
    }

    fn ask(&mut self, at: usize, mut asked: Asked) -> io::Result<()> {
        let (connection, line) = &mut self.connections[at];
        let line = &mut self.lines[*line];
        if !asked.is_again {
            connection.request.clear();
            line.asks.write(asked.number, &mut connection.request);
            line.under_way += 1;
            asked.late = self.start.elapsed().saturating_sub(asked.due);
            line.tally.late_if(asked.due >= SETTLING, asked.late);
        }
        if connection.ask(asked).is_err() {
            self.again(at)?;
        }
        Ok(())
    }

    /// Opens a connection anew, and asks there what was not answered; what was asked twice has failed.
    fn again(&mut self, at: usize) -> io::Result<()> {
        let (connection, line) = &mut self.connections[at];
        connection.reopen(self.address, self.poll.registry())?;
        match connection.asked {
            Some(asked) if !asked.is_again => self.ask(at, Asked { is_again: true, ..asked }),
            Some(asked) => {
                connection.forget();
                let line = &mut self.lines[*line];
                line.tally.add_if(asked.due >= SETTLING, Told::Failed, Duration::ZERO, Duration::ZERO);
                line.under_way -= 1;
                self.go_on(at)
            }
            None => Ok(()),
        }
    }

    /// Sends and reads on a connection that can.
    fn attend(&mut self, at: usize) -> io::Result<()> {
        let (connection, line) = &mut self.connections[at];
        let heard = connection.go_on().and_then(|()| connection.hear());
        match heard {
            Ok(Heard::Nothing) => Ok(()),
            Ok(Heard::Answer { status, body }) => {
                let Some(asked) = connection.asked else { return self.again(at) };
                let line = &mut self.lines[*line];
                let took = self.start.elapsed().saturating_sub(asked.due);
                let told = line.asks.judge(asked.number, status, connection.body(body));
                connection.forget();
                line.tally.add_if(asked.due >= SETTLING, told, took, asked.late);
                line.tally.answered_at((asked.due + took).saturating_sub(SETTLING));
                line.under_way -= 1;
                self.go_on(at)
            }
            Ok(Heard::End) | Err(_) => self.again(at),
        }
    }

    /// Has a free connection ask what is late, or go on in its loop, or wait.
    fn go_on(&mut self, at: usize) -> io::Result<()> {
        let line = &mut self.lines[self.connections[at].1];
        if let Some((number, due)) = line.late.pop_front() {
            return self.ask(at, Asked::new(number, due));
        }
        let now = self.start.elapsed();
        if line.arrivals.is_none() && now < self.end {
            return self.ask_next(at, now);
        }
        line.free.push_back(at);
        Ok(())
    }
}

impl Line<'_> {
    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += self.step;
        number
    }

    /// When the next question is due, if that is by `now`; then it is taken.
    fn take_due(&mut self, now: Duration, end: Duration) -> Option<Duration> {
        let arrivals = self.arrivals.as_mut()?;
        let due = arrivals.next();
        (due <= now && due < end).then(|| arrivals.advance())?;
        Some(due)
    }
}
