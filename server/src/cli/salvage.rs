//! `lethedb salvage`: what is left of a damaged environment, when there is no backup to restore.

use std::fmt::{self, Display};

use engine::Salvage;

use super::context::Context;
use super::failure::Failure;
use crate::json::count;

/// Arguments of `salvage`.
#[derive(clap::Args)]
pub struct Args {
    /// Do it. Without this, only tell what would be kept and lost.
    #[arg(long)]
    yes: bool,
}

/// Tells what is damaged, and with `--yes` goes on without it.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let database = context.database(false)?;
    let name = &context.config.store.environment;
    let salvage = if args.yes { database.salvage(name)?.1 } else { database.survey(name)? };
    context.terminal.show(&salvage, Told(&salvage))?;
    if !salvage.is_empty() && !args.yes {
        context
            .terminal
            .note("Nothing was changed. Restore a backup if there is one; else run this again with --yes.")?;
    }
    database.close()?;
    match salvage.logs.len() + salvage.segments.len() + usize::from(salvage.audit_lost) {
        problems if problems > 0 && !args.yes => Err(Failure::Damaged(problems)),
        _ => Ok(()),
    }
}

/// A salvage as text.
struct Told<'a>(&'a Salvage);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Salvage { logs, segments, audit_lost } = self.0;
        if self.0.is_empty() {
            return f.write_str("Nothing is damaged that would need a salvage.");
        }
        for log in logs {
            write!(f, "{}: {} writes and {} bytes lost", log.file, log.frames_lost, log.bytes_lost)?;
            match (log.first_lost, log.last_lost) {
                (Some(first), Some(last)) => writeln!(f, ", with sequences between {first} and {last}")?,
                (Some(first), None) => writeln!(f, ", with sequences from {first} on")?,
                (None, _) if log.frames_lost + log.bytes_lost == 0 => {
                    writeln!(f, "; the file is gone with all it held")?
                }
                (None, _) => writeln!(f)?,
            }
        }
        for segment in segments {
            writeln!(
                f,
                "{}: {} kept, {} lost",
                segment.segment,
                count(segment.rows_kept, "record"),
                segment.rows_lost
            )?;
            if segment.deletes_lost {
                writeln!(f, "  Its list of deleted records is lost: records deleted from it before are back.")?;
            }
        }
        if !logs.is_empty() {
            writeln!(f, "Deletes among the lost writes are lost too: what they deleted is back.")?;
            writeln!(
                f,
                "No copy of a damaged log is kept: it holds people's data under a key that must be able to go."
            )?;
        }
        if *audit_lost {
            writeln!(f, "The audit log is damaged, or not the one that was signed; records do not depend on it.")?;
            writeln!(
                f,
                "It is kept in audit/lost-*, with its checkpoints in the anchor stores, and another begins. Who can change files can do this, too: find out who did."
            )?;
        }
        f.write_str("Nobody who was erased comes back: their keys are destroyed.")
    }
}
