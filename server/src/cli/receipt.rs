//! `lethedb receipt`: what an erasure left for others to check.

use std::fs;
use std::path::PathBuf;

use clap::Subcommand;
use engine::{EntityId, Receipt, Salt, VerifyingKey};

use super::context::Context;
use super::failure::Failure;
use crate::json::{ReceiptAnswer, from_hex};

#[derive(Subcommand)]
pub enum Command {
    /// Show the receipt of an erasure by its number.
    #[command(after_help = "Example:\n  lethedb receipt show --job 3")]
    Show(Show),
    /// Check a receipt in a file with the environment's public key; no database is opened.
    #[command(after_help = "Example:\n  lethedb receipt verify user-42.receipt --key 5f…c1")]
    Verify(Verify),
}

/// Arguments of `show`.
#[derive(clap::Args)]
pub struct Show {
    /// The number of the erasure.
    #[arg(long)]
    job: u64,
}

/// Arguments of `verify`.
#[derive(clap::Args)]
pub struct Verify {
    /// The receipt, as `erase --receipt` wrote it.
    file: PathBuf,
    /// The environment's receipt key, 64 hex digits, from where you trust it.
    #[arg(long, value_name = "HEX")]
    key: String,
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
        Command::Show(args) => show(context, args),
        Command::Verify(args) => verify(context, args),
    }
}

fn show(context: &Context, args: &Show) -> Result<(), Failure> {
    let database = context.database(false)?;
    let environment = context.environment(&database)?;
    let shown = ReceiptAnswer::new(&environment.receipt(args.job)?, &environment.receipt_key());
    context.terminal.show(&shown, &shown)?;
    Ok(database.close()?)
}

#[expect(clippy::disallowed_methods, reason = "reads a file that the user names")]
fn verify(context: &Context, args: &Verify) -> Result<(), Failure> {
    let digits = |text: &str, what: &str| -> Result<[u8; 32], Failure> {
        let bytes = from_hex(text).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| Failure::Usage(format!("{what}: 64 hex digits are due")))
    };
    let key = VerifyingKey(digits(&args.key, "--key")?);
    let name = args.file.display().to_string();
    let bytes = fs::read(&args.file).map_err(|source| Failure::File { file: name.clone(), source })?;
    let receipt = Receipt::decode(&bytes).map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
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
        context.terminal.say(format_args!("It is about this data subject, who had {} records.", about.records))?;
    }
    Ok(())
}
