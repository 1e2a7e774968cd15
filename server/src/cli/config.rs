//! `lethedb config`: which settings are in force, and why.

use clap::Subcommand;
use serde_json::{Map, Value};

use super::context::Context;
use super::failure::Failure;
use super::terminal::table;
use crate::origin::{Setting, settings};

#[derive(Subcommand)]
pub enum Command {
    /// Show every setting: flags count over LETHEDB__SECTION__KEY, that over the settings file, that over the default.
    Show {
        /// Tell where each value is from.
        #[arg(long)]
        origin: bool,
    },
}

/// Shows the settings; opens no database.
pub fn run(context: &Context, command: &Command) -> Result<(), Failure> {
    let Command::Show { origin } = command;
    let found = settings(&context.flags)?;
    if *origin {
        let row = |setting: &Setting| [setting.key.clone(), setting.value.to_string(), setting.origin.to_string()];
        let rows: Vec<_> = found.iter().map(row).collect();
        return context.terminal.show(&found, table(["setting", "value", "from"], &rows));
    }
    let rows: Vec<_> = found.iter().map(|setting| [setting.key.clone(), setting.value.to_string()]).collect();
    let values: Map<String, Value> = found.into_iter().map(|setting| (setting.key, setting.value)).collect();
    context.terminal.show(&values, table(["setting", "value"], &rows))
}
