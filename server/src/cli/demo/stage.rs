//! The directory that the demonstration takes place in, and what becomes of it.

use super::{copy, story};
use crate::cli::context::Context;
use crate::cli::failure::Failure;

/// Arguments of `demo`.
#[derive(clap::Args)]
pub struct Args {
    /// Leave the directories there to look into.
    #[arg(long)]
    keep: bool,
}

const NO_DIRECTORY: &str = "the directory of the demonstration cannot be made";

/// Tells the story in a temporary directory, or in `--data` if the command line names it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let unusable = |error| Failure::Io(NO_DIRECTORY, error);
    let mut builder = tempfile::Builder::new();
    builder.prefix("lethedb-demo-").disable_cleanup(args.keep);
    let home = match &context.data {
        Some(parent) => {
            copy::create_dir(parent).map_err(unusable)?;
            builder.tempdir_in(parent)
        }
        None => builder.tempdir(),
    };
    let home = home.map_err(unusable)?;
    story::tell(context.terminal, home.path())?;
    if args.keep {
        context.terminal.note(format_args!("Everything is left in {}.", home.path().display()))?;
    }
    Ok(())
}
