//! What a measurement under load found: as one JSON object and as tables, with the bars that it is held against.
//!
//! Invariant: the member names are only ever added to. A bar that is not reached is said to be missed.

use std::fmt;

use serde::Serialize;

use super::tally::Tally;
use crate::machine::Machine;

/// The slowest hundredth of admitted requests may take so many times as long as under a light load.
const SLOWER: f64 = 2.0;
/// So much of the most that was ever served is to be served under any load.
const SERVED: f64 = 0.8;
/// What is sent later than this was not sent when it was due.
const LATE_US: f64 = 1000.0;
/// So many times as long as alone may the slowest hundredth take beside a flood.
const DISTURBED: f64 = 1.5;

/// A server under load. What was not measured is empty.
#[derive(Clone, Debug, Serialize)]
pub struct Loaded {
    /// `lethedb`.
    pub engine: &'static str,
    /// Of the engine.
    pub version: &'static str,
    /// On what it was measured, clients and server together.
    pub machine: Machine,
    /// Records that were searched.
    pub records: usize,
    /// Numbers in a vector.
    pub dim: usize,
    /// Neighbours asked for.
    pub k: usize,
    /// Width of the graph search.
    pub ef: usize,
    /// One of so many requests stores a record, the others search.
    pub upsert_every: u64,
    /// Cores of the server.
    pub server_cores: usize,
    /// Cores of who asks, which are the same if there is only one.
    pub asker_cores: usize,
    /// Connections of each step.
    pub connections: usize,
    /// Counted seconds of each step.
    pub seconds: f64,
    /// What was served in a closed loop, by how many connections.
    pub capacity: Option<(usize, f64)>,
    /// By how much was asked for.
    pub steps: Vec<Step>,
    /// Records whose storing was acknowledged, and how many of them were not there afterwards.
    pub acknowledged: Option<(u64, u64)>,
    /// One tenant beside a flood of another.
    pub neighbour: Option<Neighbour>,
    /// What the wire costs.
    pub wire: Vec<Wire>,
}

/// A step of open load.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// In parts of the capacity.
    pub load: f64,
    /// Requests a second that were asked.
    pub offered: f64,
    /// Of them answered rightly.
    pub served: f64,
    /// Answered wrongly, in all.
    pub wrong: u64,
    /// Refused with 429, a second.
    pub limited: f64,
    /// Refused with 503, a second.
    pub overloaded: f64,
    /// Not answered, in all.
    pub failed: u64,
    /// Microseconds from when it was due to the answer, half of those served.
    pub p50_us: f64,
    /// And 99 of 100.
    pub p99_us: f64,
    /// The same from when it was sent: what of it the server took.
    pub worked_p99_us: f64,
    /// The same of refusals.
    pub refused_p99_us: f64,
    /// By how much 99 of 100 were sent later than they were due, since no connection was free or who asks was slow.
    pub late_p99_us: f64,
    /// Memory of server and clients after it.
    pub resident_bytes: Option<i64>,
}

impl Step {
    /// Of a run that asked for so many times the capacity.
    pub fn of(load: f64, tally: &Tally, resident_bytes: Option<i64>) -> Self {
        Self {
            load,
            offered: tally.per_second(tally.offered()),
            served: tally.served_per_second(),
            wrong: tally.wrong(),
            limited: tally.per_second(tally.limited()),
            overloaded: tally.per_second(tally.overloaded()),
            failed: tally.failed(),
            p50_us: tally.served_us(50),
            p99_us: tally.served_us(99),
            worked_p99_us: tally.worked_us(99),
            refused_p99_us: tally.refused_us(99),
            late_p99_us: tally.late_us(99),
            resident_bytes,
        }
    }
}

/// One tenant beside another that asks for ten times its quota.
#[derive(Clone, Debug, Serialize)]
pub struct Neighbour {
    /// Requests a second that each may make.
    pub quota: f64,
    /// Requests a second of the one that is measured.
    pub calm: f64,
    /// Its slowest hundredth alone, in microseconds.
    pub solo_p99_us: f64,
    /// And beside the other.
    pub beside_p99_us: f64,
    /// Of its requests, refused meanwhile.
    pub refused: u64,
    /// Requests a second of the other.
    pub flood: f64,
    /// Of them served.
    pub flood_served: f64,
}

/// What one way of asking gives.
#[derive(Clone, Debug, Serialize)]
pub struct Wire {
    /// `in-process`, `rest`, `grpc`.
    pub face: &'static str,
    /// `search`, `upsert`.
    pub operation: &'static str,
    /// Who ask at once, one request after the other each.
    pub clients: usize,
    /// Right answers a second.
    pub per_second: f64,
    /// Microseconds of half of them.
    pub p50_us: f64,
    /// And of 99 of 100.
    pub p99_us: f64,
    /// Other answers, in all.
    pub others: u64,
}

impl Wire {
    /// Of a run.
    pub fn of(face: &'static str, operation: &'static str, clients: usize, tally: &Tally) -> Self {
        Self {
            face,
            operation,
            clients,
            per_second: tally.per_second(tally.served()),
            p50_us: tally.served_us(50),
            p99_us: tally.served_us(99),
            others: tally.offered() - tally.served(),
        }
    }
}

impl Loaded {
    /// The most that was ever served in a second.
    fn peak(&self) -> f64 {
        self.steps.iter().map(|step| step.served).chain(self.capacity.map(|(_, served)| served)).fold(0.0, f64::max)
    }

    fn write_steps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((clients, served)) = self.capacity {
            write!(
                f,
                "\n\nclosed loop of {clients} connections: {served:.0} a second, one of {} an upsert",
                self.upsert_every
            )?;
        }
        if !self.steps.is_empty() {
            write!(
                f,
                "\n\n{:>5} {:>9} {:>9} {:>7} {:>9} {:>9}",
                "load", "offered/s", "served/s", "of peak", "429/s", "503/s"
            )?;
            write!(
                f,
                " {:>8} {:>8} {:>11} {:>11} {:>8} {:>6} {:>7} {:>7}",
                "p50 ms", "p99 ms", "of it sent", "503 p99 ms", "sent +ms", "wrong", "failed", "MiB"
            )?;
        }
        for step in &self.steps {
            let Step { load, offered, served, wrong, limited, overloaded, failed, .. } = step;
            let share = 100.0 * served / self.peak().max(f64::MIN_POSITIVE);
            write!(f, "\n{load:>4}x {offered:>9.0} {served:>9.0} {share:>6.0}% {limited:>9.0} {overloaded:>9.0}")?;
            let times = [step.p50_us, step.p99_us, step.worked_p99_us, step.refused_p99_us, step.late_p99_us];
            let [p50, p99, worked, refused, late] = times.map(|us| us / 1e3);
            let memory = step.resident_bytes.unwrap_or_default() >> 20;
            write!(
                f,
                " {p50:>8.2} {p99:>8.2} {worked:>11.2} {refused:>11.2} {late:>8.2} {wrong:>6} {failed:>7} {memory:>7}"
            )?;
        }
        if let Some((acknowledged, missing)) = self.acknowledged {
            write!(f, "\n{acknowledged} acknowledged upserts, of which {missing} are missing")?;
        }
        Ok(())
    }

    fn write_bars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in self.steps.iter().filter(|step| step.late_p99_us > LATE_US) {
            let late = step.late_p99_us / 1e3;
            write!(f, "\nat {}x a hundredth was sent {late:.1} ms or more after it was due: ", step.load)?;
            write!(f, "all {} connections were taken, or who asks was too slow", self.connections)?;
        }
        let mut bar = |what: &str, is: f64, bar: f64, is_met: bool| {
            write!(f, "\n{} {what}: {is:.2} (bar {bar:.2})", if is_met { "met   " } else { "missed" })
        };
        let (light, heavy): (Vec<_>, Vec<_>) = self.steps.iter().partition(|step| step.load < 1.0);
        if let Some((light, heavy)) = light.first().zip(heavy.last()) {
            let slowest = self.steps.iter().map(|step| step.p99_us).fold(0.0, f64::max);
            let slower = slowest / light.p99_us.max(f64::MIN_POSITIVE);
            bar("the longest p99, of that under the lightest load", slower, SLOWER, slower <= SLOWER)?;
            let served = heavy.served / self.peak().max(f64::MIN_POSITIVE);
            bar("served under the heaviest load, of the peak", served, SERVED, served >= SERVED)?;
        }
        if let Some(neighbour) = &self.neighbour {
            let disturbed = neighbour.beside_p99_us / neighbour.solo_p99_us.max(f64::MIN_POSITIVE);
            bar("p99 beside a flood, of that alone", disturbed, DISTURBED, disturbed <= DISTURBED)?;
        }
        Ok(())
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine, machine, records, dim, k, ef, seconds, .. } = self;
        write!(f, "{engine} (encrypted) on {} cores of {}: ", machine.cores, machine.processor)?;
        write!(f, "{records} records of {dim}, k = {k}, ef = {ef}, {seconds} s a step; ")?;
        match self.server_cores + self.asker_cores > machine.cores {
            true => write!(f, "clients and server share the cores")?,
            false => write!(f, "the server on {}, clients on {}", self.server_cores, self.asker_cores)?,
        }
        self.write_steps(f)?;
        if let Some(neighbour) = &self.neighbour {
            let Neighbour { quota, calm, solo_p99_us, beside_p99_us, refused, flood, flood_served } = neighbour;
            write!(
                f,
                "\n\nquota {quota:.0}/s: a tenant at {calm:.0}/s has a p99 of {:.2} ms alone",
                solo_p99_us / 1e3
            )?;
            write!(f, " and {:.2} ms beside one at {flood:.0}/s,", beside_p99_us / 1e3)?;
            write!(f, " of which {flood_served:.0}/s are served; {refused} of its own were refused")?;
        }
        if !self.wire.is_empty() {
            write!(
                f,
                "\n\n{:<11} {:<8} {:>8} {:>10} {:>9} {:>9} {:>7}",
                "face", "does", "clients", "a second", "p50 ms", "p99 ms", "others"
            )?;
        }
        for Wire { face, operation, clients, per_second, p50_us, p99_us, others } in &self.wire {
            write!(f, "\n{face:<11} {operation:<8} {clients:>8} {per_second:>10.0}")?;
            write!(f, " {:>9.3} {:>9.3} {others:>7}", p50_us / 1e3, p99_us / 1e3)?;
        }
        writeln!(f)?;
        self.write_bars(f)
    }
}
