//! Answers to private queries as they were given, each under the number of the row of the ledger that paid for it.
//!
//! Invariant: an answer is durable before anybody is given it, and is never replaced, so that one payment never gives two.
//! One that is lost costs a new payment and nobody's privacy.

use std::collections::BTreeSet;
use std::io;

use privacy::{Keyring, SectionContext, SectionKind, open_section, seal_section};

use crate::entropy::generator;
use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;
use crate::state::EnvironmentState;

/// Directory of answers inside an environment.
const ANSWERS: &str = "answers";

/// Makes the answer that row `row` paid for durable, and removes those that nobody finds any more.
pub(crate) fn store(env: &EnvironmentState, row: u64, answer: &[u8]) -> Result<()> {
    let doing = "a private answer cannot be stored";
    let dir = env.dir.sub(ANSWERS);
    let sealed = {
        let keyring = env.keys.read();
        seal_section(&keyring.table_key(), &context(&keyring, row), answer, &mut generator(&*env.shared.entropy)?)
    };
    dir.make().map_err(|e| Error::io(doing, e))?;
    dir.write_new(&name(row), &sealed).map_err(|e| Error::io(doing, e))?;
    let found: BTreeSet<String> = env.budgets.look(|ledger| ledger.payments().map(name).collect())?;
    for other in dir.list().map_err(|e| Error::io(doing, e))? {
        if !found.contains(&other) {
            remove(&dir, &other)?;
        }
    }
    Ok(())
}

/// The answer that row `row` paid for, if it was ever made.
///
/// # Errors
/// `Corrupt` if it is damaged.
pub(crate) fn find(env: &EnvironmentState, row: u64) -> Result<Option<Vec<u8>>> {
    let sealed = match env.dir.sub(ANSWERS).read(&name(row)) {
        Ok(sealed) => sealed,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("a private answer cannot be read", e)),
    };
    let keyring = env.keys.read();
    let plain = open_section(&keyring.table_key(), &context(&keyring, row), &sealed).map_err(|e| {
        let doing = format!("the file {ANSWERS}/{} is damaged; refresh the answer, which is paid for again", name(row));
        Error::with(ErrorKind::Corrupt, doing, e)
    })?;
    Ok(Some(plain.to_vec()))
}

fn name(row: u64) -> String {
    format!("{row:020}.answer")
}

fn context(keyring: &Keyring, file: u64) -> SectionContext {
    SectionContext { scope: keyring.scope(), kind: SectionKind::Answer, file, place: 0 }
}
