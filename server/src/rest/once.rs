//! What was answered to writes that carry a key: see [`repeats`](super::repeats), which says what it is for.
//!
//! Invariant: it is in memory alone, wiped as it goes, and named by keyed hashes: neither keys nor bodies can be read out of
//! it. It is bounded: where no more can be kept, a request with a key is refused (`idempotency_full`) rather than promised
//! what cannot be held; an environment has a quarter of the room at most.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use engine::{Clock, Entropy, OsEntropy};
use parking_lot::Mutex;
use ring::hmac;
use zeroize::Zeroizing;

use super::error::{Problem, Refusal};
use super::queue::Lane;

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// How long an answer is given again.
const DAY_MS: u64 = 86_400_000;
/// How often what is past its day is let go.
const SWEEP_MS: u64 = 60_000;
/// Most answers that are kept.
const ANSWERS_MAX: usize = 16 << 10;
/// Most bytes of them.
const BYTES_MAX: usize = 32 << 20;
/// The share of both that one environment may have.
const SHARE: usize = 4;
/// Longer answers are not kept.
pub const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The name of a request, or what is in it, as a keyed hash.
pub type Digest = [u8; 32];

/// What was answered to whom, by the names of requests.
pub struct Once {
    secret: hmac::Key,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    entries: HashMap<Digest, Entry>,
    bytes: usize,
    swept_ms: u64,
}

struct Entry {
    environment: Lane,
    fingerprint: Digest,
    outcome: Outcome,
    until_ms: u64,
}

/// What came of a request.
pub enum Outcome {
    /// Nothing yet.
    Running,
    /// It was done, and its answer is not kept.
    Done,
    /// It was answered so.
    Answered { status: StatusCode, kind: Option<HeaderValue>, body: Zeroizing<Vec<u8>> },
}

impl Once {
    /// Nothing kept yet; hashes under a secret of this process.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        // Without randomness the hashes are only not secret; nothing of them leaves this process.
        if OsEntropy.fill(&mut *secret).is_err() {
            tracing::warn!("the system gave no randomness: idempotency keys are hashed without a secret");
        }
        Self { secret: hmac::Key::new(hmac::HMAC_SHA256, &*secret), clock, kept: Mutex::default() }
    }

    /// A hash of these parts, under the secret of this process.
    pub fn digest(&self, parts: &[&[u8]]) -> Digest {
        let mut mac = hmac::Context::with_key(&self.secret);
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        let mut digest = Digest::default();
        digest.copy_from_slice(mac.sign().as_ref());
        digest
    }

    /// Claims a name for a request that runs from now on, or gives what was answered under it.
    ///
    /// # Errors
    /// `idempotency_key_reused`, `request_in_progress`, `answer_not_kept`, `idempotency_full`.
    pub fn begin(&self, name: Digest, fingerprint: Digest, environment: &Lane) -> Result<Option<Response>, Problem> {
        let now_ms = self.clock.now_ms();
        let mut kept = self.kept.lock();
        kept.sweep(now_ms);
        match kept.entries.get(&name) {
            Some(entry) if entry.until_ms <= now_ms => {}
            Some(entry) if entry.fingerprint != fingerprint => {
                let detail =
                    "this Idempotency-Key was sent with another method, path or body; use a new one for each request";
                return Err(Problem::new(Refusal::KeyReused, detail));
            }
            Some(Entry { outcome: Outcome::Running, .. }) => {
                let detail = "the first request with this Idempotency-Key still runs; ask again for its answer";
                return Err(Problem::new(Refusal::InProgress, detail).retry_after(1));
            }
            Some(Entry { outcome: Outcome::Done, .. }) => {
                let detail =
                    "it was done, and its answer held a secret or a name, which is not kept; look at what there is";
                return Err(Problem::new(Refusal::AnswerNotKept, detail));
            }
            Some(Entry { outcome: Outcome::Answered { status, kind, body }, .. }) => {
                let mut response = (*status, body.to_vec()).into_response();
                response.headers_mut().remove(CONTENT_TYPE);
                if let Some(kind) = kind {
                    response.headers_mut().insert(CONTENT_TYPE, kind.clone());
                }
                response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
                return Ok(Some(response));
            }
            None => {}
        }
        kept.forget(&name);
        let of_it = kept.entries.values().filter(|entry| entry.environment == *environment);
        let (count, bytes) = of_it.fold((0, 0), |(count, bytes), entry| (count + 1, bytes + entry.outcome.bytes()));
        let is_full = |share: usize, count: usize, bytes: usize| {
            count >= ANSWERS_MAX / share || bytes + ANSWER_BYTES_MAX > BYTES_MAX / share
        };
        if is_full(1, kept.entries.len(), kept.bytes) || is_full(SHARE, count, bytes) {
            let detail = "no more answers can be kept; send the request without Idempotency-Key, or later";
            return Err(Problem::new(Refusal::OnceFull, detail).retry_after(60));
        }
        let outcome = Outcome::Running;
        kept.entries
            .insert(name, Entry { environment: Arc::clone(environment), fingerprint, outcome, until_ms: u64::MAX });
        Ok(None)
    }

    /// Ends the request of a name that was claimed; without an outcome that is to be kept, the name is free again.
    pub fn end(&self, name: Digest, outcome: Option<Outcome>) {
        let until_ms = self.clock.now_ms().saturating_add(DAY_MS);
        let mut kept = self.kept.lock();
        match (outcome, kept.entries.get_mut(&name)) {
            (Some(outcome), Some(entry)) => {
                let bytes = outcome.bytes();
                (entry.outcome, entry.until_ms) = (outcome, until_ms);
                kept.bytes += bytes;
            }
            _ => kept.forget(&name),
        }
    }
}

impl Kept {
    fn sweep(&mut self, now_ms: u64) {
        if now_ms.abs_diff(self.swept_ms) < SWEEP_MS {
            return;
        }
        self.swept_ms = now_ms;
        self.entries.retain(|_, entry| entry.until_ms > now_ms);
        self.bytes = self.entries.values().map(|entry| entry.outcome.bytes()).sum();
    }

    fn forget(&mut self, name: &Digest) {
        if let Some(entry) = self.entries.remove(name) {
            self.bytes = self.bytes.saturating_sub(entry.outcome.bytes());
        }
    }
}

impl Outcome {
    fn bytes(&self) -> usize {
        match self {
            Self::Answered { body, .. } => body.len(),
            Self::Running | Self::Done => 0,
        }
    }
}
