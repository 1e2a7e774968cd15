//! `lethedb backup`: copies of what an environment holds, in an archive.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Subcommand;
use engine::{Archive, Database, Environment, Progress};

use super::context::Context;
use super::failure::Failure;
use super::terminal::table;
use crate::json::{BackupMadeAnswer, BackupVerifiedAnswer, BackupsAnswer, PrunedAnswer};

#[derive(Subcommand)]
pub enum Command {
    /// Copy what an environment holds now into an archive, which keeps what earlier backups have.
    #[command(after_help = "Example:\n  lethedb backup create --archive /mnt/backups --all")]
    Create(Create),
    /// List the backups that an archive has of an environment.
    #[command(after_help = "Example:\n  lethedb backup list --archive /mnt/backups")]
    List(Place),
    /// Read and authenticate every byte of a backup.
    #[command(after_help = "Example:\n  lethedb backup verify --archive /mnt/backups --number 3")]
    Verify(Verify),
    /// Remove all but the newest backups, and the files that no other backup names.
    #[command(after_help = "Example:\n  lethedb backup prune --archive /mnt/backups --keep 7")]
    Prune(Prune),
}

/// Where the backups are.
#[derive(clap::Args)]
pub struct Place {
    /// Directory of the backups, on another volume than the data [default: store.archive of the settings].
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
}

/// Arguments of `create`.
#[derive(clap::Args)]
pub struct Create {
    #[command(flatten)]
    place: Place,
    /// Back up every environment, not only the one of --env.
    #[arg(long)]
    all: bool,
    /// Make it although the loss of the data's volume would take along what opens it.
    #[arg(long)]
    unrecoverable: bool,
}

/// Arguments of `verify`.
#[derive(clap::Args)]
pub struct Verify {
    #[command(flatten)]
    place: Place,
    /// Which backup; the newest without this.
    #[arg(long, value_name = "NUMBER")]
    number: Option<u64>,
}

/// Arguments of `prune`.
#[derive(clap::Args)]
pub struct Prune {
    #[command(flatten)]
    place: Place,
    /// How many of the newest stay, at least one.
    #[arg(long, value_name = "COUNT")]
    keep: usize,
}

impl Place {
    /// The directory that the user named.
    pub fn path(&self, context: &Context) -> Result<PathBuf, Failure> {
        let named = self.archive.clone().or_else(|| context.config.store.archive.clone());
        named.ok_or_else(|| Failure::Usage("name the directory of the backups with --archive".into()))
    }
}

/// Makes, lists, reads or removes backups.
pub fn run(context: &Context, command: &Command) -> Result<(), Failure> {
    let database = context.database(false)?;
    match command {
        Command::Create(args) => create(context, &database, args)?,
        Command::List(place) => {
            let archive = Archive::open(place.path(context)?)?;
            let answer = BackupsAnswer::from(context.environment(&database)?.backups(&archive)?);
            let text = table(["number", "made", "records", "bytes", "problem"], &answer.rows());
            context.terminal.show(&answer, text)?;
        }
        Command::Verify(args) => {
            let archive = Archive::open(args.place.path(context)?)?;
            let verified = context.environment(&database)?.verify_backup(&archive, args.number)?;
            let answer = BackupVerifiedAnswer::from(verified);
            context.terminal.show(&answer, &answer)?;
        }
        Command::Prune(args) => {
            let archive = Archive::open(args.place.path(context)?)?;
            let answer = PrunedAnswer::from(context.environment(&database)?.prune_backups(&archive, args.keep)?);
            context.terminal.show(&answer, &answer)?;
        }
    }
    Ok(database.close()?)
}

fn create(context: &Context, database: &Database, args: &Create) -> Result<(), Failure> {
    let archive = Archive::create(args.place.path(context)?)?;
    if !args.all {
        let answer = create_one(context, &context.environment(database)?, &archive, args)?;
        return context.terminal.show(&answer, &answer);
    }
    let mut answers = BTreeMap::new();
    for name in database.environments()? {
        let environment = database.open_environment(&name)?;
        let answer = create_one(context, &environment, &archive, args)?;
        context.terminal.say(format_args!("{}\n{answer}\n", context.terminal.strong(&name)))?;
        answers.insert(name, answer);
    }
    if context.terminal.is_json() { context.terminal.show(&answers, "") } else { Ok(()) }
}

fn create_one(
    context: &Context,
    environment: &Environment,
    archive: &Archive,
    args: &Create,
) -> Result<BackupMadeAnswer, Failure> {
    let bar = context.terminal.progress("backing up", 1);
    let progress = |progress: Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
    };
    let made = environment.backup(archive).unrecoverable(args.unrecoverable).on_progress(progress).run();
    bar.finish_and_clear();
    Ok(made?.into())
}
