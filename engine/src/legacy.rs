//! The legacy: what a restore keeps of the environment as it was last, beside its keys: who revoked consent, whose data
//! must stay, how long what is kept, and the audit log.
//!
//! Invariant: the live ones win. What the backup knows of consent is added to them, because what was revoked stays revoked;
//! what it knows of holds counts only where the volume was lost and nothing is left that could have released them.

use std::collections::BTreeMap;

use privacy::{Holds, Latch, Wanted};
use storage::backend::Dir;
use storage::backup::Contents;
use storage::id::CollectionId;
use storage::journal::{Journal, Mark, Place, Subject};
use storage::manifest::{CollectionEntry, Manifest, read_newest};
use storage::sync::Mutex;

use crate::budget_book::inherited;
use crate::consents::Consents;
use crate::entropy::generator;
use crate::error::{Error, ErrorKind, Result};
use crate::hold_book::HoldBook;
use crate::journals::read_marked;
use crate::kept::Retention;
use crate::keys::Keys;
use crate::rules::Rules;
use crate::state::EnvironmentState;
use crate::trail::{AUDIT, Trail};

/// What is left of the live environment.
pub(crate) struct Legacy {
    pub consent: Option<Mark>,
    pub holds: Option<Mark>,
    pub budget: Option<Mark>,
    /// The latest time that the clock was believed to show.
    pub trusted_ms: Option<u64>,
    /// How long the collections that are there keep records.
    windows: BTreeMap<CollectionId, Option<Retention>>,
    /// Nothing is left but keys: the volume of the data was lost.
    pub is_lost: bool,
}

impl Legacy {
    /// Looks for it in `dir`, whose journals are there already, and in the directory where it lived before, whose manifest
    /// stays there.
    ///
    /// # Errors
    /// `Corrupt` where there are journals and none opens.
    pub fn find(dir: &Dir, before: Option<&Dir>, keys: &Keys) -> Result<Self> {
        let (table_key, scope) = (keys.read().table_key(), keys.read().scope());
        for place in [Some(dir), before].into_iter().flatten() {
            match read_newest(place, &table_key, scope).map_err(Error::from) {
                Ok(Some(Manifest { consent, holds, budget, trusted_ms, collections, .. })) => {
                    let window = |entry: &CollectionEntry| Ok((entry.id, Rules::decode(&entry.schema)?.retention));
                    let windows = collections.iter().map(window).collect::<Result<_>>()?;
                    return Ok(Self { consent, holds, budget, trusted_ms, windows, is_lost: false });
                }
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::warn!(%error, "what must not be forgotten is taken from the newest journals");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        // Wherever an environment lives it has an audit log, which a restore begins last of all.
        if names(dir)?.iter().all(|name| name != AUDIT) {
            let (trusted_ms, windows) = (None, BTreeMap::new());
            return Ok(Self { consent: None, holds: None, budget: None, trusted_ms, windows, is_lost: true });
        }
        let (consent, holds) = (newest(dir, keys, Subject::Consent)?, newest(dir, keys, Subject::Holds)?);
        // One that does not open is as good as missing: private queries are refused then, and nothing else.
        let budget = newest(dir, keys, Subject::Budget).unwrap_or_default();
        Ok(Self { consent, holds, budget, trusted_ms: None, windows: BTreeMap::new(), is_lost: false })
    }

    /// The rules that a collection of the backup has from now on: those of then, but the window of now.
    pub fn rules(&self, collection: CollectionId, schema: &[u8]) -> Result<Rules> {
        let rules = Rules::decode(schema)?;
        let window = self.windows.get(&collection);
        Ok(window.map_or_else(|| rules.clone(), |window| rules.with_retention(*window)))
    }

    /// Fails where something in `dir`, the directory of the live environment, does not open: to go on without it would be to
    /// forget it.
    pub fn check(&self, dir: &Dir, keys: &Keys) -> Result<()> {
        let live = self.marked(Manifest::first());
        Consents::open(dir, keys, &live)?;
        HoldBook::open(dir, keys, &live)?;
        if self.is_lost { Ok(()) } else { Trail::open(keys.trail_home(dir.sub(AUDIT))).map(drop) }
    }

    /// `manifest`, naming the journals that are left.
    pub fn marked(&self, manifest: Manifest) -> Manifest {
        Manifest { consent: self.consent, holds: self.holds, budget: self.budget, ..manifest }
    }

    /// Opens the audit log; where it was lost, another one begins, under another name.
    pub fn trail(&self, dir: &Dir, keys: &Keys) -> Result<Trail> {
        if !self.is_lost {
            return Trail::open(keys.trail_home(dir.sub(AUDIT)));
        }
        let lost = keys.read().floor().trail;
        keys.extend(&[Wanted::Trail(lost.saturating_add(1))])?;
        Trail::begin_anew(keys.trail_home(dir.sub(AUDIT)))
    }

    /// Writes down what only the backup knows, and says where the manifest that restores it will find all that is known.
    pub fn settle(&self, env: &EnvironmentState, contents: &Contents) -> Result<[Option<Mark>; 3]> {
        let senseless = |what| Error::corrupt(format!("backup {} does not say who {what}", contents.number));
        let mut latch = env.consents.latch.read().clone();
        let known = latch.len();
        latch.merge(&Latch::decode(&contents.latch).map_err(|_| senseless("revoked consent"))?);
        let consent =
            if latch.len() == known { self.consent } else { Some(write(env, &env.consents.journal, &latch.encode())?) };
        let held = Holds::decode(&contents.holds).map_err(|_| senseless("is held"))?;
        let holds = if self.is_lost && !held.is_empty() {
            Some(write(env, &env.holds.journal, &held.encode())?)
        } else {
            self.holds
        };
        let budget = match (self.is_lost, inherited(&env.keys, &contents.budget)) {
            (true, Some(whole)) => Some(write(env, &env.budgets.journal, &whole)?),
            _ => self.budget,
        };
        Ok([consent, holds, budget])
    }
}

fn write(env: &EnvironmentState, journal: &Mutex<Journal>, whole: &[u8]) -> Result<Mark> {
    let mut journal = journal.lock();
    let table_key = env.keys.read().table_key();
    let place = Place { dir: &env.dir, key: &table_key, scope: env.scope };
    let mut rng = generator(&*env.shared.entropy)?;
    journal.append(place, whole, whole, &mut rng).map_err(|e| Error::io("a journal cannot be written", e))
}

/// The newest journal that opens, where no manifest names one.
fn newest(dir: &Dir, keys: &Keys, subject: Subject) -> Result<Option<Mark>> {
    let mut numbers: Vec<u64> = names(dir)?.iter().filter_map(|name| subject.file_number(name)).collect();
    numbers.sort_unstable();
    let mut failed = None;
    for number in numbers.into_iter().rev() {
        match read_marked(dir, keys, subject, Mark { number, frames: 1 }) {
            Ok(frames) => return Ok(Some(Mark { number, frames: frames.len() as u64 })),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(None), Err)
}

fn names(dir: &Dir) -> Result<Vec<String>> {
    dir.list().map_err(|e| Error::io("the environment cannot be listed", e))
}
