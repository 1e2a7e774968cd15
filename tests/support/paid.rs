//! SIGKILL of the real server between the debit of a private answer and its reply: what was paid stays paid, and a question
//! that has an answer keeps it. Kills come when the ledger grows, when the answer is stored, or at any moment around.

#![allow(clippy::disallowed_methods, reason = "kills the real server and looks at its files")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::case::Counts;
use crate::server::{COLLECTION, Fault, Installation, Server, signal};

/// Kills, at least, and at most until there were enough of each kind.
const KILLS: std::ops::Range<u64> = 12..60;
/// Kills of each kind.
const ENOUGH: u64 = 3;
/// What a kill can leave of an answer, of which every kind must be seen.
pub const KINDS: [&str; 3] = ["paid and not answered", "answered and not told", "told"];
/// What each answer costs; exact, so that sums are.
const EPSILON: f64 = 1.0 / 64.0;
/// People asked about.
const PEOPLE: u64 = 300;
/// What a kill waits for comes sooner than this, or the reply does.
const WAIT: Duration = Duration::from_secs(20);

/// When the server is killed.
#[derive(Clone, Copy)]
enum Moment {
    /// So long after the file of the ledger grew.
    Debited(Duration),
    /// So long after there is a file with the answer; replies wait for a step of ten milliseconds.
    Stored(Duration),
    /// So long after the question was sent.
    Asked(Duration),
    /// As soon as the reply came.
    Told,
}

/// Kills `program` on a data directory of its own, each time while it answers, until every kind of cut was seen.
///
/// # Errors
/// What did not hold, with the last words of the server.
pub fn between(program: &Path, seed: u64) -> Result<Counts, Fault> {
    let scratch = tempfile::tempdir()?;
    let installation = Installation::new(program, scratch.path().join("data"), scratch.path().join("log"))?;
    cycles(&installation, seed).map_err(|fault| installation.explain(fault))
}

fn cycles(installation: &Installation, seed: u64) -> Result<Counts, Fault> {
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut counts, mut book) = (Counts::new(), Book::default());
    let mut server = Server::start(&mut installation.command()?)?;
    furnish(&server)?;
    for number in 0..KILLS.end {
        let is_enough = |what| counts.get(what).is_some_and(|times| *times >= ENOUGH);
        if number >= KILLS.start && KINDS.into_iter().all(is_enough) {
            break;
        }
        let moment = match number % 4 {
            0 => Moment::Debited(Duration::from_micros(rng.random_range(0..2000))),
            1 => Moment::Stored(Duration::from_micros(rng.random_range(0..2000))),
            2 => Moment::Asked(Duration::from_millis(rng.random_range(0..80))),
            _ => Moment::Told,
        };
        let told = ask_and_kill(&server, &installation.data, number, moment)?;
        drop(server);
        let is_stored = answers(&installation.data)? > book.answers.len();
        if told.is_some() && !is_stored {
            return Err(format!("question {number} was answered, and the answer not stored").into());
        }
        server = Server::start(&mut installation.command()?)?;
        let what = book.settle(&server, number, told, is_stored)?;
        *counts.entry(what).or_default() += 1;
    }
    drop(server);
    installation.verify()?;
    Ok(counts)
}

fn furnish(server: &Server) -> Result<(), Fault> {
    server.ok("PUT", COLLECTION, &json!({ "dimension": 8, "metric": "l2" }))?;
    let record = |id: u64| {
        let vector: Vec<f64> = (0..8).map(|i| ((id * 13 + i * 7) % 31) as f64 / 40.0).collect();
        json!({ "id": id, "vector": vector, "entity": format!("owner-{id}") })
    };
    for first in (0..PEOPLE).step_by(60) {
        let records: Vec<Value> = (first..first + 60).map(record).collect();
        server.ok("PUT", &format!("{COLLECTION}/records"), &json!({ "records": records }))?;
    }
    Ok(())
}

/// The question of this number, which is another one than that of any other.
fn question(number: u64) -> Value {
    json!({ "epsilon": EPSILON, "least_group": number })
}

fn ask(server: &Server, number: u64) -> Result<Value, Fault> {
    server.ok("POST", &format!("{COLLECTION}/centroid"), &question(number))
}

fn spent(server: &Server) -> Result<f64, Fault> {
    let budget = server.ok("GET", "/v1/admin/budget", &Value::Null)?;
    budget["collections"][0]["spent_epsilon"].as_f64().ok_or_else(|| "the budget has no spent_epsilon".into())
}

/// What every reply to one question has alike.
fn answer(reply: &Value) -> Value {
    json!([reply["groups"], reply["vector"], reply["computed_at"]])
}

/// What was answered so far, and what was paid.
#[derive(Default)]
struct Book {
    answers: BTreeMap<u64, Value>,
    spent: f64,
}

impl Book {
    /// Whether every question has the answer it had, and none of them was paid for again.
    fn check(&self, server: &Server) -> Result<(), Fault> {
        for (number, known) in &self.answers {
            let reply = ask(server, *number)?;
            if reply["repeated"] != true || answer(&reply) != *known {
                return Err(format!("question {number} has another answer than it had").into());
            }
        }
        self.check_spent(spent(server)?)
    }

    fn check_spent(&self, found: f64) -> Result<(), Fault> {
        if found == self.spent { Ok(()) } else { Err(format!("{found} was spent, and not {}", self.spent).into()) }
    }

    /// Compares what a server is left with after a kill with what was told and stored before it, and asks once more.
    fn settle(
        &mut self,
        server: &Server,
        number: u64,
        told: Option<Value>,
        is_stored: bool,
    ) -> Result<&'static str, Fault> {
        let found = spent(server)?;
        let is_paid = found == self.spent + EPSILON;
        if is_paid {
            self.spent = found;
        }
        self.check_spent(found)?;
        if (told.is_some() || is_stored) && !is_paid {
            return Err(format!("question {number} has an answer that was not paid for").into());
        }
        let reply = ask(server, number)?;
        if reply["repeated"] != is_stored {
            return Err(format!("question {number}: stored {is_stored}, repeated {}", reply["repeated"]).into());
        }
        if told.as_ref().is_some_and(|told| *told != answer(&reply)) {
            return Err(format!("question {number} was answered twice, with other noise").into());
        }
        self.spent += if is_stored { 0.0 } else { EPSILON };
        self.answers.insert(number, answer(&reply));
        self.check(server)?;
        Ok(match (told, is_stored, is_paid) {
            (Some(_), ..) => "told",
            (None, true, _) => "answered and not told",
            (None, false, true) => "paid and not answered",
            (None, false, false) => "not paid",
        })
    }
}

/// Asks, and kills the server meanwhile; the answer, if the reply came first.
fn ask_and_kill(server: &Server, data: &Path, number: u64, moment: Moment) -> Result<Option<Value>, Fault> {
    let (ledger, stored) = (ledger(data)?, answers(data)?);
    thread::scope(|scope| {
        let asking = scope.spawn(|| server.json("POST", &format!("{COLLECTION}/centroid"), &question(number)));
        let begun = Instant::now();
        let wait = |is_over: &dyn Fn() -> io::Result<bool>| -> io::Result<()> {
            while !is_over()? && !asking.is_finished() && begun.elapsed() < WAIT {
                thread::yield_now();
            }
            Ok(())
        };
        let delay = match moment {
            Moment::Debited(delay) => wait(&|| Ok(self::ledger(data)? > ledger)).map(|()| delay),
            Moment::Stored(delay) => wait(&|| Ok(answers(data)? > stored)).map(|()| delay),
            Moment::Asked(delay) => Ok(delay),
            Moment::Told => wait(&|| Ok(false)).map(|()| Duration::ZERO),
        };
        thread::sleep(*delay.as_ref().unwrap_or(&Duration::ZERO));
        signal(&server.child, Signal::KILL)?;
        delay?;
        let reply = asking.join().map_err(|_| "the client fell over")?;
        match reply {
            Some((200, reply)) => Ok(Some(answer(&reply))),
            Some((status, reply)) => Err(format!("question {number}: {status} {reply}").into()),
            None => Ok(None),
        }
    })
}

/// Bytes in the files of the ledger.
fn ledger(data: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(data.join("env/default"))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("budget-") {
            bytes += entry.metadata().map_or(0, |file| file.len());
        }
    }
    Ok(bytes)
}

/// How many answers are stored.
fn answers(data: &Path) -> io::Result<usize> {
    let files = match fs::read_dir(data.join("env/default/answers")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        files => files?,
    };
    let is_answer =
        |file: io::Result<fs::DirEntry>| file.map(|file| file.path().extension().is_some_and(|kind| kind == "answer"));
    files.map(is_answer).try_fold(0, |count, is_one| is_one.map(|is_one| count + usize::from(is_one)))
}
