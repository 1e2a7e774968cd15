//! `lethedb audit`: what was done, and whether anybody changed the account of it.

use clap::Subcommand;

use super::context::Context;
use super::failure::Failure;
use super::terminal::table;
use crate::json::{millis, rfc3339};

#[derive(Subcommand)]
pub enum Command {
    /// List events; each was verified before it is shown.
    #[command(after_help = "Example:\n  lethedb audit list --action entity.erased --start 2026-01-01T00:00:00Z")]
    List(List),
    /// Hold the log against every signed checkpoint.
    #[command(after_help = "Example:\n  lethedb audit verify --deep")]
    Verify(Verify),
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
}

/// Runs one of them.
pub fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(context, args),
        Command::Verify(args) => verify(context, &args),
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

fn verify(context: &Context, args: &Verify) -> Result<(), Failure> {
    let database = context.database(false)?;
    let report = context.environment(&database)?.verify_audit(args.deep)?;
    let text = format!("events {} to {}: as signed\n{}", report.from, report.through, report.checkpoint);
    context.terminal.show(&report, text)?;
    Ok(database.close()?)
}
