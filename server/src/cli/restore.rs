//! `lethedb restore`: an environment gets back what a backup holds of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use engine::{Archive, Database, DrillReport, Source, Succession};

use super::backup::Place;
use super::context::Context;
use super::failure::Failure;
use crate::json::{RestoreAnswer, count};

/// Arguments of `restore`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  lethedb restore --archive /mnt/backups --yes\n  lethedb --data new-data restore --archive /mnt/backups --from old-data --yes"
)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Which backup; the newest without this.
    #[arg(long, value_name = "NUMBER")]
    number: Option<u64>,
    /// Restore every environment that the archive has backups of, each from its newest.
    #[arg(long, conflicts_with = "number", requires = "yes")]
    all: bool,
    /// Data directory that has the live keyring, if --data has not: the environment moves to --data and opens there alone.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Do it: what the environment holds now is gone then. Without this, only open the backup and count.
    #[arg(long)]
    yes: bool,
}

/// Restores the environment, or without `--yes` tells what would come back.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let archive = Archive::open(args.place.path(context)?)?;
    if !args.yes {
        return rehearse(context, args, &archive);
    }
    let mut succession = Succession::of(&archive)?;
    if let Some(from) = &args.from {
        succession = succession.from_dir(from);
    }
    let database = context.open(&context.config.store.data, true, Some(succession))?;
    if !args.all {
        let answer = restore(context, &database, &archive, (&context.config.store.environment, args.number))?;
        context.terminal.show(&answer, &answer)?;
        return Ok(database.close()?);
    }
    let mut answers = BTreeMap::new();
    for name in archive.environments()? {
        let answer = restore(context, &database, &archive, (&name, None))?;
        context.terminal.say(format_args!("{}\n{answer}\n", context.terminal.strong(&name)))?;
        answers.insert(name, answer);
    }
    if context.terminal.is_json() {
        context.terminal.show(&answers, "")?;
    }
    Ok(database.close()?)
}

fn restore(
    context: &Context,
    database: &Database,
    archive: &Archive,
    (name, number): (&str, Option<u64>),
) -> Result<RestoreAnswer, Failure> {
    let bar = context.terminal.progress("restoring", 1);
    let mut restore = database.restore(name, archive).by_way_of(Source::CommandLine).on_progress(|progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    });
    if let Some(number) = number {
        restore = restore.number(number);
    }
    let restored = restore.run();
    bar.finish_and_clear();
    Ok(restored?.1.into())
}

/// Opens every record of the backup under the live keyring.
fn rehearse(context: &Context, args: &Args, archive: &Archive) -> Result<(), Failure> {
    let home = args.from.as_ref().unwrap_or(&context.config.store.data);
    let database = context.open(home, false, None)?;
    let environment = context.environment(&database)?;
    let mut drill = environment.drill_backup(archive, args.number)?;
    drill.records().try_for_each(|record| record.map(drop))?;
    let report = drill.report();
    drop((drill, environment));
    let DrillReport { opened, erased, .. } = report;
    context.terminal.show(
        &report,
        format_args!("{} would come back, {erased} would not: erased since.\nNothing was changed. Run this again with --yes to restore.", count(opened, "record")),
    )?;
    Ok(database.close()?)
}
