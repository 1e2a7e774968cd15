//! The ledger of privacy budgets, in memory and where it is written down.
//!
//! Invariant: no private query is answered on less than all that was ever spent. The ledger is what its journal says, and
//! both the keyring and the audit log, which are written after it and before anything is read, count its rows: one that
//! does not open, is not there, or has fewer rows than either counts is refused with every private query, and nothing
//! else is. Only the loss of everything at once, keyring and anchors included, passes for nothing having happened.

use privacy::dp::ledger::Ledger;
use storage::backend::Dir;
use storage::journal::{Journal, Subject};
use storage::manifest::Manifest;
use storage::sync::{Mutex, RwLock};

use crate::error::{Error, Result};
use crate::journals::{read, senseless};
use crate::keys::Keys;

/// The ledger of an environment, and where it is written down.
pub(crate) struct BudgetBook {
    /// One private answer is made at a time, so that one that was paid for is found and not paid for twice.
    pub releasing: Mutex<()>,
    /// One change at a time.
    pub journal: Mutex<Journal>,
    ledger: RwLock<Standing>,
}

/// Whether the ledger can be relied on.
enum Standing {
    Open(Ledger),
    /// It cannot, for this reason.
    Refused(String),
}

impl BudgetBook {
    /// The ledger that the journal in `dir` holds. The audit log tells of `told` rows.
    pub fn open(dir: &Dir, keys: &Keys, manifest: &Manifest, told: u64) -> Self {
        let standing =
            stored(dir, keys, manifest, told).map_or_else(|e| Standing::Refused(e.to_string()), Standing::Open);
        if let Standing::Refused(why) = &standing {
            tracing::error!(%why, "private queries are refused");
        }
        let journal = Journal::resume(Subject::Budget, manifest.journal(Subject::Budget));
        Self { releasing: Mutex::new(()), journal: Mutex::new(journal), ledger: RwLock::new(standing) }
    }

    /// A ledger of which nothing was spent.
    pub fn fresh() -> Self {
        let journal = Mutex::new(Journal::resume(Subject::Budget, None));
        Self { releasing: Mutex::new(()), journal, ledger: RwLock::new(Standing::Open(Ledger::default())) }
    }

    /// Looks at the ledger.
    ///
    /// # Errors
    /// `Corrupt` if it cannot be relied on.
    pub fn look<T>(&self, look: impl FnOnce(&Ledger) -> T) -> Result<T> {
        match &*self.ledger.read() {
            Standing::Open(ledger) => Ok(look(ledger)),
            Standing::Refused(why) => Err(refused(why)),
        }
    }

    /// The ledger as a backup keeps it; nothing while nothing was spent, or nobody can say what.
    pub fn backed_up(&self, keys: &Keys) -> Vec<u8> {
        let whole = |ledger: &Ledger| (ledger.sequence() > 0).then(|| ledger.encode(&keys.read().ledger_key()));
        self.look(whole).ok().flatten().unwrap_or_default()
    }

    /// Changes the ledger.
    ///
    /// # Errors
    /// `Corrupt` if it cannot be relied on; those of `change`.
    pub fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> Result<T>) -> Result<T> {
        match &mut *self.ledger.write() {
            Standing::Open(ledger) => change(ledger),
            Standing::Refused(why) => Err(refused(why)),
        }
    }

    /// Goes by another ledger from now on.
    pub fn replace(&self, ledger: Ledger) {
        *self.ledger.write() = Standing::Open(ledger);
    }
}

/// What an environment goes by whose volume was lost, from what a backup kept: as a whole ledger, or nothing where nothing
/// was ever spent. Rows that the keyring counts and the backup lacks have it forfeited.
pub(crate) fn inherited(keys: &Keys, kept: &[u8]) -> Option<Vec<u8>> {
    let keyring = keys.read();
    let (key, counted) = (keyring.ledger_key(), keyring.floor().ledger);
    let mut ledger = Ledger::decode(&key, kept).unwrap_or_default();
    if ledger.sequence() < counted {
        let _kept_whole = ledger.forfeit(&key, counted);
    }
    (ledger.sequence() > 0).then(|| ledger.encode(&key))
}

/// What the journal of an environment says: the ledger with which it begins, and the rows after it.
pub(crate) fn stored(dir: &Dir, keys: &Keys, manifest: &Manifest, told: u64) -> Result<Ledger> {
    let frames = read(dir, keys, manifest, Subject::Budget)?;
    let (key, counted) = {
        let keyring = keys.read();
        (keyring.ledger_key(), keyring.floor().ledger)
    };
    let mut ledger = Ledger::default();
    for (number, plain) in frames.iter().enumerate() {
        let read = if number == 0 {
            Ledger::decode(&key, plain).map(|whole| ledger = whole)
        } else {
            ledger.replay(&key, plain)
        };
        read.map_err(|_| senseless(Subject::Budget, manifest))?;
    }
    for (who, rows) in [("the keyring counts", counted), ("the audit log tells of", told)] {
        if ledger.sequence() < rows {
            let rolled_back = format!("it has {} rows, and {who} {rows}: an older one was put back", ledger.sequence());
            return Err(Error::corrupt(rolled_back));
        }
    }
    Ok(ledger)
}

fn refused(why: &str) -> Error {
    Error::corrupt(format!(
        "private queries are refused, because nobody can say what was spent of the privacy budgets: {why}; put the newest \
         journal back into the directory of the environment, or begin the ledger anew, which forfeits what was left"
    ))
}
