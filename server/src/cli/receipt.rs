//! `lethedb receipt`: what an erasure left for others to check.

use std::fs;
use std::path::PathBuf;

use clap::Subcommand;
use engine::{EntityId, Receipt, Salt, VerifyingKey};
use serde_json::json;

use super::context::Context;
use super::failure::Failure;
use super::terminal::table;
use crate::json::{ReceiptAnswer, ReceiptLine, bytes_or_hex, count, from_hex};

#[derive(Subcommand)]
pub enum Command {
    /// List the receipts that the environment keeps: when, of how many data subjects, and why.
    List,
    /// Show the receipt of an erasure by its number.
    #[command(after_help = "Example:\n  lethedb receipt show --job 3")]
    Show(Show),
    /// Show the environment's public key, with which others check its receipts.
    #[command(after_help = "Example:\n  lethedb receipt key --env acme")]
    Key,
    /// Check a receipt in a file with the environment's public key; no database is opened.
    #[command(
        after_help = "The key is what `lethedb receipt key` prints where the store is. Have it from the store's \
        owner by a way that you trust, and not from whoever gave you the receipt.\n\n\
        Example:\n  lethedb receipt verify user-42.receipt --key 5f…c1"
    )]
    Verify(Verify),
}

/// Arguments of `show`.
#[derive(clap::Args)]
pub struct Show {
    /// The number of the erasure: `lethedb receipt list` has them.
    #[arg(long)]
    job: u64,
}

/// Arguments of `verify`.
#[derive(clap::Args)]
pub struct Verify {
    /// The receipt, as `erase --receipt` wrote it, or as hex: the member `receipt` of an answer.
    file: PathBuf,
    /// The environment's receipt key, 64 hex digits: what `lethedb receipt key` prints where the store is.
    #[arg(long, value_name = "HEX")]
    key: Option<String>,
    /// Also whether it is about this data subject.
    #[arg(long, requires = "salt")]
    entity: Option<String>,
    /// The salt that was given with the receipt, 64 hex digits.
    #[arg(long, value_name = "HEX", requires = "entity")]
    salt: Option<String>,
}

/// Runs one of them.
pub fn run(context: &Context, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List => list(context),
        Command::Show(args) => show(context, args),
        Command::Key => key(context),
        Command::Verify(args) => verify(context, args),
    }
}

fn list(context: &Context) -> Result<(), Failure> {
    let database = context.database(false)?;
    let environment = context.environment(&database)?;
    let lines: Result<Vec<_>, Failure> =
        environment.receipts()?.into_iter().map(|job| Ok(ReceiptLine::from(&environment.receipt(job)?))).collect();
    let lines = lines?;
    let row = |line: &ReceiptLine| {
        let (subjects, records) = (line.subjects.len().to_string(), line.records.to_string());
        [line.job.to_string(), line.purged_at.clone(), subjects, records, line.reason.clone().unwrap_or_default()]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    let head = ["job", "purged", "data subjects", "records", "reason"];
    let text = if rows.is_empty() { "there are no receipts".to_owned() } else { table(head, &rows) };
    context.terminal.show(&json!({ "receipts": lines }), text)?;
    Ok(database.close()?)
}

fn show(context: &Context, args: &Show) -> Result<(), Failure> {
    let database = context.database(false)?;
    let environment = context.environment(&database)?;
    let shown = ReceiptAnswer::new(&environment.receipt(args.job)?, &environment.receipt_key());
    context.terminal.show(&shown, &shown)?;
    Ok(database.close()?)
}

fn key(context: &Context) -> Result<(), Failure> {
    let database = context.database(false)?;
    let key = context.environment(&database)?.receipt_key().to_string();
    context.terminal.show(&json!({ "receipt_key": key }), &key)?;
    Ok(database.close()?)
}

#[expect(clippy::disallowed_methods, reason = "reads a file that the user names")]
fn verify(context: &Context, args: &Verify) -> Result<(), Failure> {
    let digits = |text: &str, what: &str| -> Result<[u8; 32], Failure> {
        let bytes = from_hex(text).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| Failure::Usage(format!("{what}: 64 hex digits are due")))
    };
    let Some(key) = &args.key else {
        let due = "--key is due, or anybody could have written the receipt: the owner of the store prints it with `lethedb receipt key`";
        return Err(Failure::Usage(due.into()));
    };
    let key = VerifyingKey(digits(key, "--key")?);
    let name = args.file.display().to_string();
    let bytes = fs::read(&args.file).map_err(|source| Failure::File { file: name.clone(), source })?;
    let receipt = Receipt::decode(&bytes_or_hex(bytes)).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    let answer = ReceiptAnswer::of(&receipt, &key);
    context.terminal.show(&answer, &answer)?;
    if !answer.is_verified() {
        return Err(Failure::Damaged(1));
    }
    if let (Some(entity), Some(salt)) = (&args.entity, &args.salt) {
        let salt = Salt::from_bytes(digits(salt, "--salt")?);
        let entity = EntityId::new(entity).map_err(|error| Failure::Usage(format!("--entity: {error}")))?;
        let Some(about) = receipt.about(&entity, &salt) else {
            return Err(Failure::Missing(vec!["this data subject, with this salt, in the receipt".into()]));
        };
        context
            .terminal
            .say(format_args!("It is about this data subject, who had {}.", count(about.records, "record")))?;
    }
    Ok(())
}
