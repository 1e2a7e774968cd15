//! `lethedb retention`: how long collections keep records, and the removal of what is past that.

use clap::Subcommand;
use engine::{Error, Window};

use super::context::Context;
use super::failure::Failure;
use crate::json::{ClockAnswer, RetentionAnswer, WindowAnswer, WindowsAnswer};

const HOUR_MS: u64 = 60 * 60 * 1000;

#[derive(Subcommand)]
pub enum Command {
    /// Show how long every collection keeps records.
    Show,
    /// Have a collection keep a record for so long after its last write. What goes is gone from every backup, too.
    #[command(after_help = "Example:\n  lethedb retention set docs --days 30")]
    Set(Set),
    /// Remove what is past its window, in every collection. Cannot be undone.
    Run(Run),
    /// Believe the clock as it is, after it was doubted because it ran back or leapt. Look at another clock first.
    ConfirmClock,
}

/// Arguments of `set`.
#[derive(clap::Args)]
pub struct Set {
    /// The collection, or an alias.
    collection: String,
    #[command(flatten)]
    window: WindowArgs,
}

/// How long.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct WindowArgs {
    /// So many days.
    #[arg(long)]
    days: Option<u64>,
    /// So many hours.
    #[arg(long)]
    hours: Option<u64>,
    /// For ever.
    #[arg(long)]
    forever: bool,
}

/// Arguments of `run`.
#[derive(clap::Args)]
pub struct Run {
    /// Only tell what would go.
    #[arg(long)]
    dry_run: bool,
}

/// Does what is asked, and shows what it did or how it stands.
pub fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let database = context.database(false)?;
    let environment = context.environment(&database)?;
    match command {
        Command::Show => {
            let collections = environment.collections().into_iter().map(Into::into).collect();
            let found = WindowsAnswer { collections };
            context.terminal.show(&found, &found)?;
        }
        Command::Set(Set { collection, window }) => {
            let collection = environment.open_collection(&collection)?;
            collection.set_retention(window.read()?)?;
            let found = WindowAnswer::from(collection.info());
            context.terminal.show(&found, &found)?;
        }
        Command::Run(Run { dry_run }) => {
            let retain = environment.retain();
            let told: RetentionAnswer = if dry_run { retain.dry_run()?.into() } else { retain.run()?.into() };
            context.terminal.show(&told, &told)?;
        }
        Command::ConfirmClock => {
            let told = ClockAnswer::at(environment.retain().confirm_clock()?);
            context.terminal.show(&told, &told)?;
        }
    }
    Ok(database.close()?)
}

impl WindowArgs {
    fn read(&self) -> Result<Option<Window>, Failure> {
        let hours = self.hours.or(self.days.map(|days| days.saturating_mul(24)));
        let window = hours.map(|hours| Window::from_ms(hours.saturating_mul(HOUR_MS))).transpose();
        Ok(window.map_err(Error::from)?)
    }
}
