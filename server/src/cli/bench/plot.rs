//! `lethedb bench plot`: reports as a picture.

use std::path::PathBuf;

use super::super::context::Context;
use super::super::failure::Failure;

/// Arguments of `bench plot`.
#[derive(clap::Args)]
pub struct Args {
    /// Reports of `bench run` or `bench compare`; of several, each curve is labelled with its file.
    #[arg(required = true, value_name = "REPORT.json")]
    reports: Vec<PathBuf>,
    /// Where to draw.
    #[arg(long, value_name = "FILE.svg")]
    svg: PathBuf,
}

/// Draws recall against speed, one line an engine.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    benches::draw(&benches::read_curves(&args.reports)?, &args.svg)?;
    context.terminal.say(format!("drawn: {}", args.svg.display()))
}
