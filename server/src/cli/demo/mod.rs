//! `lethedb demo`: the promise of this database, checked before the user's eyes on real words.
//!
//! Leaves first: what a plain copy of a directory is ([`copy`]), a search for plain text in files ([`scan`]), the
//! [`words`] and their invented owners; then the [`story`]. Nothing is asserted that is not measured; the first check
//! that fails ends the demonstration with an error.

mod copy;
mod scan;
mod story;
mod words;

use super::context::Context;
use super::failure::Failure;

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
