//! Who waits for a turn, whose turn is next, and who is sent away: the queue in front of the engine, as pure state.
//!
//! Invariant: no more turns are out than there are places; while anybody waits, none is free. Turns go round the lanes, one
//! lane an environment, so that one that asks for ten times as much as another gets no more of them while both wait. A
//! full queue sends away the newest of the longest lane, rather than the first of a short one: the buffer stealing of
//! stochastic fairness queueing (McKenney, 1990).
//!
//! A lane that is long is no use once it stands: everybody in it waits, and nobody is served sooner. While it does
//! ([`Presence`]), who would have to wait there for longer than `patience` is sent away at once, and who did wait for longer
//! is passed over for others. A burst may fill the queue all the same, and a lane that is often empty asks for no more than
//! its share (as each flow of FQ-CoDel, RFC 8290, has a state of its own).
//!
//! A lane is forgotten some time after the last one waited in it, so that names cost nothing. Time is a parameter: what all
//! this comes to under load can be played through on a clock of its own.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::pace::{Pace, Presence};

/// So many rounds of turns may be waited for, however short the patience.
const ROUNDS: u32 = 2;
/// So many lanes in which nobody waits are remembered before those are forgotten that hardly anybody waited in.
const EMPTY_LANES: usize = 64;

/// Who waits together: the name of an environment.
pub type Lane = Arc<str>;

/// The queue of those who want a `W` done.
pub struct Queue<W> {
    places: usize,
    waiting_max: usize,
    /// How long one waits while the queue stands; zero for as long as it takes.
    patience: Duration,
    free: usize,
    waiting: usize,
    tickets: u64,
    lanes: BTreeMap<Lane, Line<W>>,
    /// The lanes in which somebody waits, in the order in which they are served.
    order: VecDeque<Lane>,
    pace: Pace,
}

struct Line<W> {
    tickets: VecDeque<Ticket<W>>,
    presence: Presence,
}

struct Ticket<W> {
    number: u64,
    since: Instant,
    work: W,
}

/// What became of who came.
#[derive(Debug, PartialEq, Eq)]
pub enum Entered<W> {
    /// There is a turn for it.
    Turn(W),
    /// It waits, under this number.
    Waits(u64),
}

/// The queue is full, and the lane of who came has its share of it; or it would wait for too long.
#[derive(Debug, PartialEq, Eq)]
pub struct Crowded;

impl<W> Queue<W> {
    /// `places` turns, at least one, and room for so many to wait, with so much patience while the queue stands, zero for
    /// any.
    pub fn new(places: usize, waiting_max: usize, patience: Duration) -> Self {
        let places = places.max(1);
        let (lanes, order, pace) = (BTreeMap::new(), VecDeque::new(), Pace::default());
        Self { places, waiting_max, patience, free: places, waiting: 0, tickets: 0, lanes, order, pace }
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Takes a turn, or else a place in the queue.
    ///
    /// # Errors
    /// [`Crowded`].
    pub fn enter(&mut self, lane: &Lane, work: W, now: Instant) -> Result<Entered<W>, Crowded> {
        if self.free > 0 {
            self.free -= 1;
            return Ok(Entered::Turn(work));
        }
        if self.is_hopeless(lane, now) {
            return Err(Crowded);
        }
        if self.waiting >= self.waiting_max {
            self.make_room(now);
        }
        self.tickets += 1;
        let ticket = Ticket { number: self.tickets, since: now, work };
        self.forget(now);
        let line = self.lanes.entry(Arc::clone(lane)).or_insert_with(Line::new);
        if line.tickets.is_empty() {
            line.presence.begins(now);
            self.order.push_back(Arc::clone(lane));
        }
        line.tickets.push_back(ticket);
        self.waiting += 1;
        Ok(Entered::Waits(self.tickets))
    }

    /// Whether who comes to `lane` would find it full, or wait for too long behind those of its own lane, since lanes take
    /// turns.
    pub fn is_hopeless(&self, lane: &Lane, now: Instant) -> bool {
        if self.free > 0 {
            return false;
        }
        let Some(line) = self.lanes.get(lane) else { return !self.has_room(0) };
        if !self.has_room(line.tickets.len()) {
            return true;
        }
        let lanes = self.order.len() + usize::from(line.tickets.is_empty());
        let turns = (line.tickets.len() + 1).saturating_mul(lanes).min(self.waiting + 1);
        self.most(line, lanes, now).is_some_and(|most| self.pace.wait(turns) > most)
    }

    /// Gives a turn that ended to who is next; if there is nobody, its place is free. Who waited for a round longer than
    /// was to be expected is sent away instead, unless nobody else waits in the same lane: whose lane holds one is no flood,
    /// and waits for others (as CoDel, RFC 8289, drops none of a queue that holds one packet).
    pub fn next(&mut self, now: Instant) -> Option<W> {
        loop {
            let Some(lane) = self.order.pop_front() else {
                self.pace.idles();
                self.free += 1;
                return None;
            };
            let lanes = self.order.len() + 1;
            let most = self.lanes.get(&lane).and_then(|line| self.most(line, lanes, now));
            let most = most.map(|most| most + self.round(lanes));
            let Some(ticket) = self.take(&lane, now) else { continue };
            let is_last = self.lanes.get(&lane).is_none_or(|line| line.tickets.is_empty());
            if !is_last && most.is_some_and(|most| now.duration_since(ticket.since) > most) {
                continue;
            }
            self.pace.passed(now);
            return Some(ticket.work);
        }
    }

    /// Takes back what waits in `lane` under `number`; false if it has a turn by now, or was sent away.
    pub fn leave(&mut self, lane: &Lane, number: u64, now: Instant) -> bool {
        let Some(line) = self.lanes.get_mut(lane) else { return false };
        // The numbers of a lane rise.
        let Ok(at) = line.tickets.binary_search_by_key(&number, |ticket| ticket.number) else { return false };
        line.tickets.remove(at);
        self.waiting -= 1;
        if line.tickets.is_empty() {
            line.presence.ends(now);
            self.order.retain(|other| other != lane);
        }
        true
    }

    /// How long one may wait now in `line` beside others in so many lanes; none while any time will do. As long as some
    /// rounds of turns of the usual length take, one for each place and lane, however short the patience: else long work would leave places
    /// empty while somebody waits for one, and a lane in which nobody waits would find itself behind that of a flood.
    fn most(&self, line: &Line<W>, lanes: usize, now: Instant) -> Option<Duration> {
        let round = self.round(lanes);
        let is_patient = self.patience.is_zero() || round.is_zero() || !line.presence.stands(now);
        (!is_patient).then(|| self.patience.max(ROUNDS * round))
    }

    /// Whether one more may wait in a lane of so many.
    fn has_room(&self, mine: usize) -> bool {
        self.waiting < self.waiting_max || self.lanes.values().any(|line| line.tickets.len() > mine + 1)
    }

    fn round(&self, lanes: usize) -> Duration {
        self.pace.wait(self.places.saturating_mul(lanes))
    }

    /// Sends the newest of the longest lane away.
    fn make_room(&mut self, now: Instant) {
        let longest = self.lanes.iter().max_by_key(|(_, line)| line.tickets.len());
        let newest = longest.and_then(|(lane, line)| Some((Arc::clone(lane), line.tickets.back()?.number)));
        if let Some((lane, number)) = newest {
            self.leave(&lane, number, now);
        }
    }

    /// The first of `lane`, which then goes to the end of the round.
    fn take(&mut self, lane: &Lane, now: Instant) -> Option<Ticket<W>> {
        let line = self.lanes.get_mut(lane)?;
        let ticket = line.tickets.pop_front()?;
        self.waiting -= 1;
        if line.tickets.is_empty() {
            line.presence.ends(now);
        } else {
            self.order.push_back(Arc::clone(lane));
        }
        Some(ticket)
    }

    fn forget(&mut self, now: Instant) {
        if self.lanes.len() > self.order.len() + EMPTY_LANES {
            self.lanes.retain(|_, line| !line.tickets.is_empty() || !line.presence.is_past(now));
        }
    }
}

impl<W> Line<W> {
    fn new() -> Self {
        Self { tickets: VecDeque::new(), presence: Presence::default() }
    }
}

#[cfg(test)]
mod tests;
