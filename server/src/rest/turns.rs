//! The queue in front of the engine: whose turn it is, and who is sent away.
//!
//! Invariant: no more turns are out than there are places; while anybody waits, none is free. Turns go round the lanes, one
//! lane an environment, so that one that asks for ten times as much as another gets no more of them while both wait. A
//! full queue sends away the newest of the longest lane, rather than the first of a short one: the buffer stealing of
//! stochastic fairness queueing (McKenney, 1990).
//!
//! A queue that is long is no use once it stands: everybody in it waits, and nobody is served sooner. While it does
//! ([`Pace`]), who would have to wait for longer than `patience` is sent away at once, and who did wait for longer is passed
//! over for others. A burst may fill the queue all the same.
//!
//! A lane exists only while somebody waits in it, so that names cost nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::pace::Pace;

/// So many turns of the usual length may be waited for, however short the patience: else those that do long work would leave
/// places empty while somebody waits for one.
const TURNS_WAITED: usize = 2;

/// Who waits together: the name of an environment.
pub type Lane = Arc<str>;

/// The queue; shared.
pub struct Turns {
    places: usize,
    waiting_max: usize,
    /// How long one waits while the queue stands; zero for as long as it takes.
    patience: Duration,
    state: Mutex<State>,
}

struct State {
    free: usize,
    waiting: usize,
    tickets: u64,
    lanes: BTreeMap<Lane, VecDeque<Ticket>>,
    /// The lanes in the order in which they are served.
    order: VecDeque<Lane>,
    pace: Pace,
}

struct Ticket {
    number: u64,
    since: Instant,
    called: oneshot::Sender<()>,
}

/// The queue is full, and the lane of who came has its share of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Crowded;

/// The right to work; given on when it is dropped.
pub struct Turn {
    turns: Arc<Turns>,
}

/// A place in the queue; given up when it is dropped.
pub struct Waiting {
    turns: Arc<Turns>,
    lane: Lane,
    number: u64,
    called: oneshot::Receiver<()>,
}

impl Turns {
    /// `places` turns, at least one, and room for so many to wait, with so much patience while the queue stands, zero for
    /// any.
    pub fn new(places: usize, waiting_max: usize, patience: Duration) -> Arc<Self> {
        let places = places.max(1);
        let state = State {
            free: places,
            waiting: 0,
            tickets: 0,
            lanes: BTreeMap::new(),
            order: VecDeque::new(),
            pace: Pace::default(),
        };
        Arc::new(Self { places, waiting_max, patience, state: Mutex::new(state) })
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.state.lock().waiting
    }

    /// Takes a place in the queue; the turn may be there at once.
    ///
    /// # Errors
    /// [`Crowded`].
    pub fn enter(self: &Arc<Self>, lane: Lane) -> Result<Waiting, Crowded> {
        let (call, called) = oneshot::channel();
        let (mut state, now) = (self.state.lock(), Instant::now());
        state.tickets += 1;
        let number = state.tickets;
        if state.free > 0 {
            state.free -= 1;
            // The receiver is here: it cannot fail.
            _ = call.send(());
        } else {
            if self.is_hopeless(&state, &lane, now) {
                return Err(Crowded);
            }
            if state.waiting >= self.waiting_max {
                state.make_room(&lane)?;
            }
            state.join(&lane, Ticket { number, since: now, called: call });
        }
        drop(state);
        Ok(Waiting { turns: Arc::clone(self), lane, number, called })
    }

    /// Whether who came to `lane` now would be sent away; for whoever has work to do before that can be spared.
    pub fn are_hopeless(&self, lane: &Lane) -> bool {
        let state = self.state.lock();
        state.free == 0 && self.is_hopeless(&state, lane, Instant::now())
    }

    /// Whether who comes to `lane` would wait for too long behind those of its own lane, since lanes take turns.
    fn is_hopeless(&self, state: &State, lane: &Lane, now: Instant) -> bool {
        let mine = state.lanes.get(lane);
        let lanes = state.lanes.len() + usize::from(mine.is_none());
        let turns = (mine.map_or(0, VecDeque::len) + 1).saturating_mul(lanes).min(state.waiting + 1);
        self.most(state, now).is_some_and(|most| state.pace.wait(turns) > most)
    }

    /// How long one may wait now; none while any time will do.
    fn most(&self, state: &State, now: Instant) -> Option<Duration> {
        let most = self.patience.max(state.pace.wait(self.places.saturating_mul(TURNS_WAITED)));
        (!self.patience.is_zero() && state.pace.stands(now)).then_some(most)
    }

    /// Gives a turn to who is next, or puts it back.
    fn pass_on(&self) {
        loop {
            let (mut state, now) = (self.state.lock(), Instant::now());
            let most = self.most(&state, now);
            let Some(next) = state.next(most, now) else {
                state.free += 1;
                return;
            };
            state.pace.passed(now);
            if state.waiting == 0 {
                state.pace.cleared();
            }
            drop(state);
            if next.called.send(()).is_ok() {
                return;
            }
        }
    }
}

impl State {
    fn join(&mut self, lane: &Lane, ticket: Ticket) {
        if !self.lanes.contains_key(lane) {
            self.order.push_back(Arc::clone(lane));
        }
        self.pace.waits(ticket.since);
        self.lanes.entry(Arc::clone(lane)).or_default().push_back(ticket);
        self.waiting += 1;
    }

    /// Sends the newest of the longest lane away, if that leaves its lane no shorter than the one that gains.
    fn make_room(&mut self, lane: &Lane) -> Result<(), Crowded> {
        let mine = self.lanes.get(lane).map_or(0, VecDeque::len);
        let longest = self.lanes.iter().max_by_key(|(_, tickets)| tickets.len());
        let (longest, length) = longest.map(|(lane, tickets)| (Arc::clone(lane), tickets.len())).ok_or(Crowded)?;
        let newest = self.lanes.get(&longest).and_then(VecDeque::back).map(|ticket| ticket.number);
        match newest {
            Some(newest) if length > mine + 1 => self.leave(&longest, newest),
            _ => return Err(Crowded),
        }
        Ok(())
    }

    /// Who is served next. Who waited for longer than `most` is sent away instead, unless nobody else is left to be served.
    fn next(&mut self, most: Option<Duration>, now: Instant) -> Option<Ticket> {
        loop {
            let ticket = self.first()?;
            if self.waiting == 0 || most.is_none_or(|most| now.duration_since(ticket.since) <= most) {
                return Some(ticket);
            }
        }
    }

    /// The first of the lane that is served next, which then goes to the end of the round.
    fn first(&mut self) -> Option<Ticket> {
        let lane = self.order.pop_front()?;
        let tickets = self.lanes.get_mut(&lane)?;
        let ticket = tickets.pop_front()?;
        self.waiting -= 1;
        if tickets.is_empty() {
            self.lanes.remove(&lane);
        } else {
            self.order.push_back(lane);
        }
        Some(ticket)
    }

    /// Takes a ticket back; dropping it tells its holder.
    fn leave(&mut self, lane: &Lane, number: u64) {
        let Some(tickets) = self.lanes.get_mut(lane) else { return };
        let before = tickets.len();
        tickets.retain(|ticket| ticket.number != number);
        self.waiting -= before - tickets.len();
        if tickets.is_empty() {
            self.lanes.remove(lane);
            self.order.retain(|other| other != lane);
        }
        if self.waiting == 0 {
            self.pace.cleared();
        }
    }
}

impl Waiting {
    /// The turn, once it has come; none if the place went to somebody else.
    pub async fn turn(mut self) -> Option<Turn> {
        (&mut self.called).await.ok()?;
        Some(Turn { turns: Arc::clone(&self.turns) })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.turns.state.lock().leave(&self.lane, self.number);
        // The call may have come in this moment; the turn must not be lost.
        self.called.close();
        if self.called.try_recv().is_ok() {
            self.turns.pass_on();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.pass_on();
    }
}

#[cfg(test)]
mod tests;
