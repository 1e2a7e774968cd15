//! Load on a real server with the ledger beside it: writers, a reader and an eraser until the server is gone, and the
//! check of everything that can be read once it is back. Invariant: a change is in the ledger before it is sent, and
//! acknowledged there only by an answer.

#![allow(clippy::disallowed_methods, reason = "threads against a process are the point")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::case::Counts;
use crate::ledger::{Change, DIMENSION, Ledger, State, Ticket, entity_of, payload_of, vector_of, version_of};
use crate::server::{COLLECTION, Fault, Server};

const WRITERS: u64 = 4;
/// A server that answers nothing for this long hangs.
const NEWS_WITHIN: Duration = Duration::from_secs(60);

/// What the load does and when it is cut off.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Decides what is written.
    pub seed: u64,
    /// Whether persons are erased meanwhile.
    pub erasing: bool,
    /// How many answers come before the end.
    pub answers: u64,
    /// How long after that the end comes.
    pub delay: Duration,
}

/// What happens under load.
enum News {
    Answered(&'static str, u64),
    Erasing,
    Failed(String),
}

struct Stage<'a> {
    server: &'a Server,
    ledger: &'a Mutex<Ledger>,
    /// Set before the fault strikes; until then every failure is a finding.
    struck: AtomicBool,
}

/// The ledger, whoever panicked with it.
pub fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the one collection, if there is none.
///
/// # Errors
/// Any answer but success.
pub fn furnish(server: &Server) -> Result<(), Fault> {
    server.ok("PUT", COLLECTION, &json!({ "dimension": DIMENSION, "metric": "l2" })).map(drop)
}

/// Puts `server` under load, lets `strike` end it at the planned moment, and returns what was acknowledged. Once
/// `strike` returns, the server must be gone: each client goes on until a request fails.
///
/// # Errors
/// A request that failed before the end, or a read that was wrong.
pub fn drive(
    server: &Server,
    ledger: &Mutex<Ledger>,
    plan: &Plan,
    strike: impl FnOnce() -> std::io::Result<()>,
) -> Result<Counts, Fault> {
    let stage = Stage { server, ledger, struck: AtomicBool::new(false) };
    let (news, latest) = channel();
    let mut counts = Counts::new();
    let mut failures = Vec::new();
    let mut take = |told: News, counts: &mut Counts| match told {
        News::Answered(what, records) => {
            *counts.entry(what).or_default() += 1;
            *counts.entry("acknowledged records").or_default() += records;
        }
        News::Erasing => {}
        News::Failed(what) => failures.push(what),
    };
    let outcome = std::thread::scope(|scope| {
        for number in 0..WRITERS {
            let (stage, news) = (&stage, news.clone());
            scope.spawn(move || stage.work(plan, number, &news));
        }
        drop(news);
        let mut left = plan.answers;
        let mut outcome = Ok(());
        while left > 0 {
            let Ok(told) = latest.recv_timeout(NEWS_WITHIN) else {
                outcome = Err("the server gives no answer");
                break;
            };
            // An erasure is long: when they are wanted, the end comes in the middle of one.
            match (&told, plan.erasing) {
                (News::Answered(..), _) if left > 1 => left -= 1,
                (News::Answered(..), false) | (News::Erasing, true) => left -= 1,
                (News::Failed(_), _) => left = 0,
                _ => {}
            }
            take(told, &mut counts);
        }
        std::thread::sleep(plan.delay);
        stage.struck.store(true, Ordering::SeqCst);
        let struck = strike();
        latest.iter().for_each(|told| take(told, &mut counts));
        outcome.map_err(Fault::from).and(struck.map_err(Fault::from))
    });
    outcome?;
    failures.pop().map_or(Ok(counts), |failure| Err(failure.into()))
}

impl Stage<'_> {
    fn work(&self, plan: &Plan, number: u64, news: &Sender<News>) {
        let mut rng = StdRng::seed_from_u64(plan.seed ^ number);
        // The last writer reads, too; the first erases where that is wanted.
        let erases = plan.erasing && number == 0;
        loop {
            let done = if erases {
                self.erase(&mut rng, news)
            } else if number + 1 == WRITERS && rng.random_ratio(1, 2) {
                self.read(&mut rng)
            } else {
                self.write(&mut rng, news)
            };
            match done {
                Ok(true) => {}
                Err(fault) => {
                    let _ = news.send(News::Failed(fault.to_string()));
                    return;
                }
                Ok(false) => return,
            }
        }
    }

    fn write(&self, rng: &mut StdRng, news: &Sender<News>) -> Result<bool, Fault> {
        self.tell(write(self.server, self.ledger, rng), "acknowledged batches", news)
    }

    fn erase(&self, rng: &mut StdRng, news: &Sender<News>) -> Result<bool, Fault> {
        let _ = news.send(News::Erasing);
        self.tell(erase(self.server, self.ledger, rng), "acknowledged erasures", news)
    }

    /// Whether to go on.
    fn tell(&self, sent: Result<Sent, Fault>, what: &'static str, news: &Sender<News>) -> Result<bool, Fault> {
        match sent {
            Ok(Sent::Acknowledged(records)) => {
                // The other side is gone when nobody listens any more.
                let _ = news.send(News::Answered(what, records));
                Ok(true)
            }
            Ok(Sent::Refused { code }) if code == "busy" => Ok(true),
            _ if self.struck.load(Ordering::SeqCst) => Ok(false),
            Ok(Sent::Refused { code }) => Err(format!("a write is refused: {code}").into()),
            Err(fault) => Err(fault),
        }
    }

    fn read(&self, rng: &mut StdRng) -> Result<bool, Fault> {
        let id = rng.random_range(Ledger::ids());
        let body = json!({ "vector": vector_of(id, 0), "limit": 20, "with_vector": true });
        match self.server.json("POST", &format!("{COLLECTION}/search"), &body) {
            Some((200, answer)) => versions(answer["hits"].as_array().map_or(&[], Vec::as_slice)).map(|_| true),
            _ if self.struck.load(Ordering::SeqCst) => Ok(false),
            other => Err(format!("a search: {:?}", other.map(|(status, answer)| (status, answer.to_string()))).into()),
        }
    }
}

/// What became of a change.
pub enum Sent {
    /// It is safe; this many records changed.
    Acknowledged(u64),
    /// It did not happen, or, for an erasure, may have begun.
    Refused {
        /// Why, as the server says it.
        code: String,
    },
}

/// Sends the next write of the ledger.
///
/// # Errors
/// No answer, or one that leaves open what became of it; the ledger knows it as under way then.
pub fn write(server: &Server, ledger: &Mutex<Ledger>, rng: &mut StdRng) -> Result<Sent, Fault> {
    let ticket = lock(ledger).write(rng);
    let answer = if ticket.change.values().all(Option::is_none) {
        let ids: Vec<_> = ticket.change.keys().collect();
        server.json("POST", &format!("{COLLECTION}/records/delete"), &json!({ "ids": ids }))
    } else {
        server.json("PUT", &format!("{COLLECTION}/records"), &batch(&ticket.change))
    };
    let sent = settle(ledger, &ticket, answer)?;
    if let Sent::Refused { .. } = sent {
        lock(ledger).refuse(&ticket);
    }
    Ok(sent)
}

/// Has a person erased whom nobody is writing to.
///
/// # Errors
/// As [`write`].
pub fn erase(server: &Server, ledger: &Mutex<Ledger>, rng: &mut StdRng) -> Result<Sent, Fault> {
    loop {
        let Some((entity, ticket)) = lock(ledger).erase(rng) else { continue };
        let answer = server.json("POST", "/v1/admin/entity/erase", &json!({ "entity": entity }));
        return settle(ledger, &ticket, answer);
    }
}

fn settle(ledger: &Mutex<Ledger>, ticket: &Ticket, answer: Option<(u16, Value)>) -> Result<Sent, Fault> {
    match answer {
        Some((200, _)) => {
            lock(ledger).acknowledge(ticket);
            Ok(Sent::Acknowledged(ticket.change.len() as u64))
        }
        Some((503 | 507, answer)) if answer["code"] == "busy" || answer["code"] == "disk_full" => {
            Ok(Sent::Refused { code: answer["code"].as_str().unwrap_or_default().to_owned() })
        }
        Some((status, answer)) => Err(format!("a write is answered by {status} {answer}").into()),
        None => Err("a write gets no answer".into()),
    }
}

fn batch(change: &Change) -> Value {
    let record = |id: u64, version: u64| {
        let vector: Vec<f64> = vector_of(id, version).into_iter().map(f64::from).collect();
        json!({ "id": id, "entity": entity_of(id), "vector": vector, "payload": payload_of(id, version) })
    };
    let records = change.iter().filter_map(|(id, version)| Some(record(*id, (*version)?)));
    json!({ "records": records.collect::<Vec<_>>() })
}

/// The versions of records as they were answered, each held against what was written.
fn versions(records: &[Value]) -> Result<State, Fault> {
    let version = |record: &Value| {
        let id = record["id"].as_u64().ok_or("a record has no number")?;
        let vector: Vec<f32> =
            record["vector"].as_array().into_iter().flatten().filter_map(Value::as_f64).map(|x| x as f32).collect();
        Ok((id, version_of(id, record["entity"].as_str(), &vector, &record["payload"])?))
    };
    records.iter().map(version).collect()
}

/// Holds everything that can be read from a server that is back against the ledger.
///
/// # Errors
/// What differs.
pub fn check(server: &Server, ledger: &Mutex<Ledger>, seed: u64) -> Result<(), Fault> {
    let found = versions(&server.records()?)?;
    lock(ledger).settle(&found)?;
    let count = |filter: Value| {
        let answer = server.ok("POST", &format!("{COLLECTION}/count"), &filter)?;
        answer["count"].as_u64().ok_or_else(|| Fault::from("a count has no number"))
    };
    if count(json!({}))? != found.len() as u64 {
        return Err("the count is not the number of records".into());
    }
    let mut of_entity: BTreeMap<String, Vec<u64>> = Ledger::entities().map(|entity| (entity, Vec::new())).collect();
    for id in found.keys() {
        if let Some(ids) = entity_of(*id).and_then(|entity| of_entity.get_mut(&entity)) {
            ids.push(*id);
        }
    }
    let mut rng = StdRng::seed_from_u64(seed);
    for (entity, ids) in &of_entity {
        if rng.random_ratio(1, 4) || ids.is_empty() {
            let filter = json!({ "entity": entity });
            if count(json!({ "filter": filter }))? != ids.len() as u64 {
                return Err("a person's count is not the number of its records".into());
            }
            let body = json!({ "vector": vector_of(1, 1), "limit": 100, "filter": filter, "with_vector": true });
            if !search(server, &body)?.keys().eq(ids) {
                return Err("a person's search does not find exactly its records".into());
            }
        }
    }
    for _ in 0..8 {
        let id = rng.random_range(Ledger::ids());
        let answer = server.json("GET", &format!("{COLLECTION}/records/{id}"), &Value::Null);
        let right = match (answer, found.get(&id)) {
            (Some((404, _)), None) => true,
            (Some((200, record)), Some(version)) => versions(&[record])?.get(&id) == Some(version),
            _ => false,
        };
        if !right {
            return Err("a record read by its id is not the one that a scroll shows".into());
        }
        nearest(server, &found, &vector_of(id, seed))?;
    }
    Ok(())
}

fn search(server: &Server, body: &Value) -> Result<State, Fault> {
    let answer = server.ok("POST", &format!("{COLLECTION}/search"), body)?;
    versions(answer["hits"].as_array().map_or(&[], Vec::as_slice))
}

/// Exact search finds what comparing with every record finds; approximate search finds nothing else than records.
fn nearest(server: &Server, found: &State, query: &[f32]) -> Result<(), Fault> {
    let distance = |vector: &[f32]| -> f64 {
        vector.iter().zip(query).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum()
    };
    let mut all: Vec<_> = found.iter().map(|(id, version)| (distance(&vector_of(*id, *version)), *id)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut expected: Vec<u64> = all.iter().take(10).map(|(_, id)| *id).collect();
    expected.sort_unstable();
    let mut body = json!({ "vector": query, "limit": 10, "exact": true, "with_vector": true });
    if !search(server, &body)?.keys().eq(&expected) {
        return Err("an exact search does not find the nearest records".into());
    }
    body["exact"] = false.into();
    if search(server, &body)?.iter().any(|(id, version)| found.get(id) != Some(version)) {
        return Err("a search finds what a scroll does not show".into());
    }
    Ok(())
}
