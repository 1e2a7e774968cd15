//! `lethedb verify-erasure` itself: which checks what is given allows, and their answers.
//!
//! Uses none of the walks that erased: the receipt is checked by its bytes alone, rows by a reader of their own, and files
//! as bytes.
#![expect(clippy::disallowed_methods, reason = "reads a file that the user names")]

use std::fs;
use std::path::{Path, PathBuf};

use engine::{EntityId, ErrorKind, Fates, Receipt, RootKey, RowFates, Salt, VerifyingKey, Witness};

use super::needle::{Needle, forms};
use super::report::{Outcome, Report};
use super::scan::{Scanned, Scanner};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::json::{bytes_or_hex, count, from_hex};

/// Leaks that are told one by one.
const TOLD_MAX: usize = 10;

/// Arguments of `verify-erasure`.
#[derive(clap::Args)]
pub struct Args {
    /// File of the receipt that the erasure gave, as bytes or as hexadecimal digits.
    receipt: PathBuf,
    /// The public key of the environment that signs its receipts, as 64 hexadecimal digits: what `lethedb receipt key`
    /// prints. Have it from the store's owner, and not from whoever gave you the receipt.
    #[arg(long, value_name = "HEX", visible_alias = "key")]
    public_key: Option<String>,
    /// A directory that must not open for the person either: an archive of backups or another copy. Can be given more than
    /// once.
    #[arg(long = "backup", value_name = "DIR")]
    backups: Vec<PathBuf>,
    /// The person, exactly as the records named them, to be looked for everywhere.
    #[arg(long, visible_alias = "entity")]
    id: Option<String>,
    /// The salt that came with the receipt, as 64 hexadecimal digits: tells whether the receipt is about the person.
    #[arg(long, value_name = "HEX", requires = "id")]
    salt: Option<String>,
    /// Something only that person's records held, to be looked for everywhere: a text, or a vector as a list of numbers
    /// in JSON. Can be given more than once.
    #[arg(long = "canary", value_name = "TEXT")]
    canaries: Vec<String>,
}

/// Checks what can be checked, and tells what cannot.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let bytes =
        fs::read(&args.receipt).map_err(|source| Failure::File { file: args.receipt.display().to_string(), source })?;
    let mut report = Report::default();
    let receipt = match Receipt::decode(&bytes_or_hex(bytes)) {
        Ok(receipt) => receipt,
        Err(error) => {
            report.note("the receipt can be read", Outcome::Fails, error.to_string());
            context.terminal.show(&report, &report)?;
            return Err(Failure::Damaged(1));
        }
    };
    check_signature(&receipt, args, &mut report)?;
    check_subject(&receipt, args, &mut report)?;
    let things: Vec<&str> = args.id.iter().chain(&args.canaries).map(String::as_str).collect();
    let needles: Vec<Needle> = things.iter().enumerate().flat_map(|(what, thing)| forms(what, thing)).collect();
    tell_short(&things, &needles, &mut report);
    let scanner = Scanner::new(needles)
        .ok_or_else(|| Failure::Check("the scanner misses what was put before it; nothing was looked for".into()))?;
    let store = &context.config.store;
    let keys = store.anchor_dirs.iter().chain(&store.keyring_mirrors);
    let copies: Vec<&Path> = context.data.iter().chain(&args.backups).map(PathBuf::as_path).collect();
    let all: Vec<&Path> = copies.iter().copied().chain(keys.map(PathBuf::as_path)).collect();
    check_keys(context, &receipt, (&copies, &all), &scanner, &mut report)?;
    check_bytes(&all, &scanner, &mut report)?;
    context.terminal.show(&report, &report)?;
    match (report.count(Outcome::Fails), report.count(Outcome::Holds)) {
        // A script that forgot the key must not take this for a receipt that holds.
        (0, 0) => Err(Failure::Usage("nothing was checked: each line says what it needs".into())),
        (0, _) => Ok(()),
        (failed, _) => Err(Failure::Damaged(failed)),
    }
}

fn check_signature(receipt: &Receipt, args: &Args, report: &mut Report) -> Result<(), Failure> {
    let what = "the receipt is signed, and in the audit log";
    let Some(key) = &args.public_key else {
        report.note(
            what,
            Outcome::NotChecked,
            "needs --public-key, from `lethedb receipt key`; anybody could have written the receipt",
        );
        return Ok(());
    };
    match receipt.verify(&VerifyingKey(digits(key, "--public-key")?)) {
        Ok(()) => report.note(what, Outcome::Holds, "signature, checkpoint, event and proof of inclusion"),
        Err(error) => report.note(what, Outcome::Fails, error.to_string()),
    }
    Ok(())
}

fn check_subject(receipt: &Receipt, args: &Args, report: &mut Report) -> Result<(), Failure> {
    let what = "the receipt is about the person";
    let (Some(id), Some(salt)) = (&args.id, &args.salt) else {
        report.note(what, Outcome::NotChecked, "needs --id and --salt");
        return Ok(());
    };
    let id = EntityId::new(id.as_str()).map_err(|error| Failure::Usage(format!("--id: {error}")))?;
    match receipt.about(&id, &Salt::from_bytes(digits(salt, "--salt")?)) {
        Some(erased) => report.note(what, Outcome::Holds, count(erased.records, "record")),
        None => report.note(what, Outcome::Fails, "this id with this salt is not in it"),
    }
    Ok(())
}

fn tell_short(things: &[&str], needles: &[Needle], report: &mut Report) {
    let missing = (0..things.len()).filter(|what| needles.iter().all(|needle| needle.what != *what)).count();
    if missing > 0 {
        let detail = format!("{missing} of --id and --canary are too short: they occur by chance");
        report.note("everything given can be looked for", Outcome::NotChecked, detail);
    }
}

fn check_keys(
    context: &Context,
    receipt: &Receipt,
    (copies, all): (&[&Path], &[&Path]),
    scanner: &Scanner,
    report: &mut Report,
) -> Result<(), Failure> {
    let (keys, anchors) = ("the keys are destroyed", "no anchor from before the erasure is left");
    let rows = "every row is a living person's, or its key is destroyed";
    let leave_out = |report: &mut Report, why: &str| {
        [keys, anchors, rows].into_iter().for_each(|what| report.note(what, Outcome::NotChecked, why));
    };
    let store = &context.config.store;
    let Some(data) = &context.data else {
        leave_out(report, "needs --data, the directory with the live keyring");
        return Ok(());
    };
    let opened = Witness::open(data, &store.anchor_dirs, &store.environment, &RootKey::sources());
    let witness = match opened {
        Err(error) if error.kind() == ErrorKind::KeyUnavailable => {
            leave_out(report, &error.to_string());
            return Ok(());
        }
        opened => opened?,
    };
    let said = receipt.statement();
    if said.scope != witness.scope() {
        let why = "the receipt is of another database or environment than --data and --env name";
        report.note(keys, Outcome::Fails, why);
        [anchors, rows].into_iter().for_each(|what| report.note(what, Outcome::NotChecked, why));
        return Ok(());
    }
    let Fates { live, destroyed, unknown } = witness.fates(said.shredding.destroyed.iter().map(|key| key.0));
    let detail = format!("of those in the receipt {destroyed} are in the graveyard, {live} live, {unknown} unknown");
    report.hold(keys, live + unknown == 0, detail);
    check_anchors(&witness, said.shredding.epoch, all, report)?;
    check_rows(&witness, rows, (data, copies), scanner, report)
}

/// Whose rows there are in each directory, and that the data itself has none of the erased.
fn check_rows(
    witness: &Witness,
    rows: &'static str,
    (data, copies): (&Path, &[&Path]),
    scanner: &Scanner,
    report: &mut Report,
) -> Result<(), Failure> {
    for dir in copies {
        let mut found = 0;
        let fates = witness.rows(dir, &mut |plain| found += usize::from(scanner.finds(plain)))?;
        let RowFates { files, opened, destroyed, unexplained, backups, unreadable } = fates;
        if files == 0 && unreadable.is_empty() {
            let detail = format!("{}: there is no file of rows in it", dir.display());
            report.note(rows, Outcome::NotChecked, detail);
            continue;
        }
        let counts = format!(
            "{}: {files} files, {backups} backups; {opened} rows open, {destroyed} are of destroyed keys, {unexplained} neither; {} files unreadable",
            dir.display(),
            unreadable.len()
        );
        report.hold(rows, unexplained == 0 && unreadable.is_empty(), counts);
        if *dir == data {
            let detail = format!(
                "{}: {destroyed} rows of destroyed keys are left, of this erasure or of one that has yet to purge; they open for nobody",
                dir.display()
            );
            report.hold("the live files hold no row of destroyed keys", destroyed == 0, detail);
        }
        tell_some(report, "unreadable", unreadable.iter().map(|file| format!("{}: {file}", dir.display())));
        if scanner.len() > 0 {
            let detail = format!("{}: {found} parts of rows that open hold what was looked for", dir.display());
            report.hold("no row that opens tells of the person", found == 0, detail);
        }
    }
    Ok(())
}

/// Whether an anchor of before is left, with which a keyring of before opens.
fn check_anchors(witness: &Witness, epoch: u64, dirs: &[&Path], report: &mut Report) -> Result<(), Failure> {
    let mut left = Vec::new();
    for dir in dirs {
        let found = witness.anchors_before(dir, epoch)?;
        left.extend(found.iter().map(|anchor| format!("{}: {anchor}", dir.display())));
    }
    let detail = format!("{} directories, {} such anchors; others may have copies", dirs.len(), left.len());
    report.hold("no anchor from before the erasure is left", left.is_empty(), detail);
    tell_some(report, "an anchor that opens keyrings of before", left.into_iter());
    Ok(())
}

/// Tells the first of what was found wrong one by one.
fn tell_some(report: &mut Report, what: &'static str, found: impl Iterator<Item = String>) {
    found.take(TOLD_MAX).for_each(|detail| report.note(what, Outcome::Fails, detail));
}

fn check_bytes(dirs: &[&Path], scanner: &Scanner, report: &mut Report) -> Result<(), Failure> {
    let what = "no byte of any file tells of the person";
    if dirs.is_empty() || scanner.len() == 0 {
        report.note(what, Outcome::NotChecked, "needs --data or --backup, and --id or --canary");
        return Ok(());
    }
    for dir in dirs {
        let mut scanned = Scanned::default();
        scanner.scan(dir, &mut scanned).map_err(|error| Failure::Io("a directory cannot be read to its end", error))?;
        let Scanned { files, bytes, leaks, skipped } = scanned;
        let looked = format!("{}: {files} files, {bytes} bytes, {} strings looked for", dir.display(), scanner.len());
        report.hold(what, leaks.is_empty(), format!("{looked}, {} found", leaks.len()));
        for leak in leaks.iter().take(TOLD_MAX) {
            let at = leak.offset.map_or("in its name".to_owned(), |offset| format!("at byte {offset}"));
            let which = format!("number {} of what was given, as {}", leak.what + 1, leak.form);
            report.note("found", Outcome::Fails, format!("{} {at}: {which}", leak.path.display()));
        }
        if !skipped.is_empty() {
            let detail = format!("{}: {} links, sockets and the like", dir.display(), skipped.len());
            report.note("everything is a file or a directory", Outcome::NotChecked, detail);
        }
    }
    Ok(())
}

fn digits(text: &str, argument: &str) -> Result<[u8; 32], Failure> {
    let bytes = from_hex(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| Failure::Usage(format!("{argument} needs 64 hexadecimal digits")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_salts_have_sixty_four_digits() {
        assert_eq!(digits(&"0f".repeat(32), "--salt").unwrap(), [15; 32]);
        for wrong in ["", "0f", &"+f".repeat(32), &"ä".repeat(32)] {
            assert!(digits(wrong, "--salt").is_err());
        }
    }
}
