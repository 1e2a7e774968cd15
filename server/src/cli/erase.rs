//! `lethedb erase`: people leave.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use engine::{Receipt, Wait};

use super::context::Context;
use super::failure::Failure;
use crate::json::{EraseAnswer, ErasePlanAnswer, from_hex};

/// Arguments of `erase`.
#[derive(clap::Args)]
pub struct Args {
    /// The data subjects, exactly as their records name them.
    #[arg(required = true)]
    entities: Vec<String>,
    /// Why: kept with the receipt, not in it. Name nobody in it.
    #[arg(long)]
    reason: Option<String>,
    /// The salt of the data subject at the same place, 64 hex digits; made and printed once where absent.
    #[arg(long, value_name = "HEX")]
    salt: Vec<String>,
    /// When to end.
    #[arg(long, value_enum, default_value_t)]
    wait: Until,
    /// Write the receipt to this file, which must not exist: CBOR, as `receipt verify` reads it.
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    receipt: Option<PathBuf>,
    /// Only tell what would go.
    #[arg(long)]
    dry_run: bool,
}

/// When an erasure ends.
#[derive(Clone, Copy, Default, ValueEnum)]
enum Until {
    /// Once the keys are destroyed; the rest, and the receipt, come when the database is open next.
    Shred,
    /// Once no live file holds a row of theirs.
    #[default]
    Purge,
}

#[expect(clippy::disallowed_methods, reason = "writes a file that the user names")]
fn keep(path: &Path, receipt: &Receipt) -> Result<(), Failure> {
    let made = fs::File::create_new(path).and_then(|mut file| file.write_all(&receipt.encode()));
    made.map_err(|source| Failure::File { file: path.display().to_string(), source })
}

/// Erases entities from all collections of the environment.
pub fn run(context: &Context, mut args: Args) -> Result<(), Failure> {
    let mut seen = std::collections::BTreeSet::new();
    args.entities.retain(|entity| seen.insert(entity.clone()));
    if !args.salt.is_empty() && args.salt.len() != args.entities.len() {
        return Err(Failure::Usage("--salt: give one for each data subject, or none".into()));
    }
    let database = context.database(false)?;
    let environment = context.environment(&database)?;
    let wrong_salt = || Failure::Usage("--salt: 64 hex digits are due".into());
    let mut salts = args.salt.iter();
    let mut erase: Option<engine::Erase> = None;
    for entity in &args.entities {
        let mut next = match erase {
            None => environment.erase(entity),
            Some(erase) => erase.and(entity),
        };
        if let Some(salt) = salts.next() {
            next = next.salt(from_hex(salt).and_then(|salt| salt.try_into().ok()).ok_or_else(wrong_salt)?);
        }
        erase = Some(next);
    }
    let Some(mut erase) = erase else { return Err(Failure::Usage("name a data subject".into())) };
    if args.dry_run {
        let plan = ErasePlanAnswer::from(erase.dry_run()?);
        context.terminal.show(&plan, &plan)?;
        return Ok(database.close()?);
    }
    if let Some(reason) = args.reason {
        erase = erase.reason(reason);
    }
    let wait = match args.wait {
        Until::Shred => Wait::Shred,
        Until::Purge => Wait::Purge,
    };
    let erasure = erase.wait(wait).run()?;
    let erased = EraseAnswer::new(&args.entities, &erasure);
    context.terminal.show(&erased, &erased)?;
    if let (Some(path), Some(receipt)) = (&args.receipt, &erasure.receipt) {
        keep(path, receipt)?;
    }
    Ok(database.close()?)
}
