//! `lethedb audit`: what was done, and whether anybody changed the account of it.

use std::path::PathBuf;

use clap::Subcommand;

use super::audit_files;
use super::context::Context;
use super::failure::Failure;
use super::terminal::table;
use crate::json::{millis, rfc3339};

#[derive(Subcommand)]
pub enum Command {
    /// List events; each was verified before it is shown.
    #[command(after_help = "Example:\n  lethedb audit list --action entity.erased --start 2026-01-01T00:00:00Z")]
    List(List),
    /// Hold the log against every signed checkpoint; or files of it, offline, against a public key.
    #[command(after_help = "Examples:\n  lethedb audit verify --deep\n  \
        lethedb audit verify --file acme.jsonl --key 5f…c1\n\n\
        The key is what `lethedb receipt key` prints where the store is.")]
    Verify(Verify),
    /// Write the whole log as lines of JSON, which `audit verify --file` checks anywhere.
    #[command(after_help = "Example:\n  lethedb audit export --env acme --out acme.jsonl")]
    Export(audit_files::Export),
    /// Show the newest events of the second sink, while a server runs, too.
    #[command(after_help = "Example:\n  lethedb audit tail --follow")]
    Tail(audit_files::Tail),
}

/// Arguments of `list`.
#[derive(clap::Args)]
pub struct List {
    /// From this time on, RFC 3339.
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Before this time, RFC 3339.
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// Only this action, such as entity.erased.
    #[arg(long)]
    action: Option<String>,
    /// Only this actor, as an event names it.
    #[arg(long)]
    actor: Option<String>,
    /// At most so many events.
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Where a list before ended.
    #[arg(long, default_value_t = 0)]
    cursor: u64,
}

/// Arguments of `verify`.
#[derive(clap::Args)]
pub struct Verify {
    /// From the first event, not only from where the newest block begins.
    #[arg(long)]
    deep: bool,
    /// Check this file instead, of an export or of the second sink, or all files of a directory of the sink; no database
    /// is opened. Given again, files that go on from each other.
    #[arg(long, value_name = "FILE", conflicts_with = "deep")]
    file: Vec<PathBuf>,
    /// The environment's public key, 64 hex digits. Without it, whoever forged the file would have forged the key.
    #[arg(long, value_name = "HEX", requires = "file")]
    key: Option<String>,
    /// A checkpoint that was kept elsewhere, in a file: nothing that it covers may be missing.
    #[arg(long, value_name = "FILE", requires = "file")]
    checkpoint: Option<PathBuf>,
}

/// Runs one of them.
pub fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(context, args),
        Command::Verify(args) => verify(context, args),
        Command::Export(args) => audit_files::export(context, &args),
        Command::Tail(args) => audit_files::tail(context, &args),
    }
}

fn list(context: &Context, args: List) -> Result<(), Failure> {
    let time = |text: &Option<String>, name: &str| match text {
        None => Ok(None),
        Some(text) => {
            let wrong = || Failure::Usage(format!("{name}: a time as in RFC 3339 is due"));
            millis(text).map(Some).ok_or_else(wrong)
        }
    };
    let (start, end) = (time(&args.start, "--start")?, time(&args.end, "--end")?);
    let database = context.database(false)?;
    let audit = context.environment(&database)?.audit().limit(args.limit).cursor(args.cursor);
    let mut audit = audit.start(start.unwrap_or_default()).end(end.unwrap_or(u64::MAX));
    if let Some(action) = args.action {
        audit = audit.action(action);
    }
    if let Some(actor) = args.actor {
        audit = audit.actor(actor);
    }
    let page = audit.run()?;
    let row = |event: &engine::AuditEvent| {
        let details = event.fields.iter().map(|(name, value)| format!("{name}={value}"));
        let number = event.sequence.to_string();
        let details = details.collect::<Vec<_>>().join(" ");
        [number, rfc3339(event.time_ms), event.action.clone(), event.actor.clone(), event.outcome.to_owned(), details]
    };
    let rows: Vec<_> = page.events.iter().map(row).collect();
    let mut text = table(["event", "time", "action", "actor", "outcome", "details"], &rows);
    if let Some(next) = page.next {
        text = format!("{text}\nMore: --cursor {next}");
    }
    context.terminal.show(&page, text)?;
    Ok(database.close()?)
}

fn verify(context: &Context, args: Verify) -> Result<(), Failure> {
    if !args.file.is_empty() {
        let against = audit_files::Against { key: args.key, checkpoint: args.checkpoint };
        return audit_files::verify(context, &args.file, &against);
    }
    let database = context.database(false)?;
    let report = context.environment(&database)?.verify_audit(args.deep)?;
    let text = format!("events {} to {}: as signed\n{}", report.from, report.through, report.checkpoint);
    context.terminal.show(&report, text)?;
    Ok(database.close()?)
}
