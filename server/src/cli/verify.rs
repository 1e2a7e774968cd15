//! `lethedb verify`: is every stored byte what was written?

use super::context::Context;
use super::failure::Failure;
use super::terminal::table;
use crate::json::count;

/// Arguments of `verify`.
#[derive(clap::Args)]
pub struct Args {
    /// Also hold every index against its rows: ids, owners, codes and graph.
    #[arg(long)]
    deep: bool,
}

/// Re-authenticates the environment's files.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let database = context.database(false)?;
    let environment = context.environment(&database)?;
    let report = if args.deep { environment.verify_deep()? } else { environment.verify()? };
    let mut text = format!(
        "{} with {} and {}, {}: {}",
        count(report.segments, "segment"),
        count(report.rows, "row"),
        count(report.logs, "log"),
        count(report.bytes, "byte"),
        if report.problems.is_empty() { "all as written" } else { "DAMAGED" }
    );
    if !report.problems.is_empty() {
        let rows: Vec<_> = report.problems.iter().map(|problem| [problem.file.clone(), problem.what.clone()]).collect();
        text = format!("{text}\n{}", table(["file", "problem"], &rows));
    }
    context.terminal.show(&report, text)?;
    database.close()?;
    match report.problems.len() {
        0 => Ok(()),
        problems => Err(Failure::Damaged(problems)),
    }
}
