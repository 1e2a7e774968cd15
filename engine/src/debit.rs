//! DEBIT: ledger → journal (sealed, synced) → manifest → keyring. Every change of what was spent, or may be.
//!
//! Invariant: what was charged counts from when it was asked for, whatever fails then, since nobody knows how much of it is
//! on the disk. When a change returns, it is durable, and the keyring counts it, so that no older ledger passes for the
//! newest. The caller tells the audit log before it goes on.

use privacy::Wanted;
use privacy::dp::ledger::{Added, Ledger};
use storage::journal::Subject;

use crate::budget_book::stored;
use crate::error::{Error, ErrorKind, Result};
use crate::journals::senseless;
use crate::state::EnvironmentState;

/// Adds a row to the ledger; gives its number.
///
/// # Errors
/// Those of `change`, which then has changed nothing; those of the disk.
pub(crate) fn add(env: &EnvironmentState, change: impl FnOnce(&mut Ledger) -> Result<Added>) -> Result<u64> {
    let mut journal = env.budgets.journal.lock();
    env.check_open()?;
    let key = env.keys.read().ledger_key();
    let (added, whole) = env.budgets.change(|ledger| Ok((change(ledger)?, ledger.encode(&key))))?;
    env.write_down((&mut journal, Subject::Budget), &added.bytes, &whole)?;
    env.keys.extend(&[Wanted::Ledger(added.sequence)])?;
    Ok(added.sequence)
}

/// Begins a ledger anew in place of one that cannot be relied on: all that could have been spent counts as spent.
///
/// # Errors
/// `Conflict` if there is nothing wrong with it.
pub(crate) fn begin_anew(env: &EnvironmentState) -> Result<u64> {
    let mut journal = env.budgets.journal.lock();
    env.check_open()?;
    if env.budgets.look(|_| ()).is_ok() {
        let doing = "the ledger of privacy budgets is whole; what was spent is not begun anew";
        return Err(Error::new(ErrorKind::Conflict, doing));
    }
    let (key, counted) = {
        let keyring = env.keys.read();
        (keyring.ledger_key(), keyring.floor().ledger)
    };
    let mut ledger = Ledger::default();
    let added = ledger.forfeit(&key, counted.max(env.trail.ledger()));
    let whole = ledger.encode(&key);
    env.write_down((&mut journal, Subject::Budget), &whole, &whole)?;
    env.keys.extend(&[Wanted::Ledger(added.sequence)])?;
    env.budgets.replace(ledger);
    Ok(added.sequence)
}

/// Whether what the journal on the disk says is what this process goes by.
pub(crate) fn check_journal(env: &EnvironmentState) -> Result<()> {
    let _one = env.budgets.journal.lock();
    let manifest = env.manifest.lock().clone();
    let stored = stored(&env.dir, &env.keys, &manifest, env.trail.ledger())?;
    if env.budgets.look(|ledger| stored == *ledger)? { Ok(()) } else { Err(senseless(Subject::Budget, &manifest)) }
}
