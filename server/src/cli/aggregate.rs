//! `lethedb aggregate`: noisy answers about many people, which say little about any one.

use clap::Subcommand;
use engine::{Aggregate, Operand};

use super::argument::{Matching, Named};
use super::context::Context;
use super::failure::Failure;
use crate::json::PrivateAnswer;

#[derive(Subcommand)]
pub enum Command {
    /// How many entities match.
    Count(Question),
    /// The mean of their vectors.
    #[command(after_help = "Example:\n  lethedb aggregate centroid --collection docs --epsilon 0.5")]
    Centroid(Question),
    /// How many have each of the listed values.
    Histogram(Histogram),
    /// The mean of a number.
    Mean(Number),
    /// The sum of a number.
    Sum(Number),
}

/// Arguments of every question.
#[derive(clap::Args)]
pub struct Question {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    matching: Matching,
    /// How much the answer may tell of anybody: 1/1024 to 64.
    #[arg(long)]
    epsilon: f64,
    /// Allows for Gaussian noise, where the budget has a δ.
    #[arg(long)]
    delta: Option<f64>,
    /// The noisy count below which no numbers are given.
    #[arg(long, value_name = "N")]
    least_group: Option<u64>,
    /// Ask and pay anew where the same was answered before.
    #[arg(long)]
    refresh: bool,
}

/// Arguments of `histogram`.
#[derive(clap::Args)]
pub struct Histogram {
    #[command(flatten)]
    question: Question,
    /// The key path of the values.
    #[arg(long)]
    field: String,
    /// A value, in JSON or as plain text. Given again for each.
    #[arg(long, required = true)]
    value: Vec<String>,
}

/// Arguments of `mean` and `sum`.
#[derive(clap::Args)]
pub struct Number {
    #[command(flatten)]
    question: Question,
    /// The key path of the number.
    #[arg(long)]
    field: String,
    /// Numbers of a mean, and an entity's part of a sum, are at least this.
    #[arg(long, allow_negative_numbers = true)]
    low: f64,
    /// And at most this.
    #[arg(long, allow_negative_numbers = true)]
    high: f64,
}

/// Pays, and shows the answer.
pub fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let is_centroid = matches!(command, Command::Centroid(_));
    let (question, asked): (Question, Box<dyn FnOnce(Aggregate) -> Aggregate>) = match command {
        Command::Count(question) => (question, Box::new(Aggregate::count)),
        Command::Centroid(question) => (question, Box::new(Aggregate::centroid)),
        Command::Histogram(Histogram { question, field, value }) => {
            (question, Box::new(move |ask| ask.histogram(&field, value.iter().map(|text| operand(text)))))
        }
        Command::Mean(Number { question, field, low, high }) => {
            (question, Box::new(move |ask| ask.mean(&field, low, high)))
        }
        Command::Sum(Number { question, field, low, high }) => {
            (question, Box::new(move |ask| ask.sum(&field, low, high)))
        }
    };
    let (database, collection) = context.collection(&question.named.collection)?;
    let mut ask = asked(collection.aggregate()).epsilon(question.epsilon).refresh(question.refresh);
    if let Some(delta) = question.delta {
        ask = ask.delta(delta);
    }
    if let Some(filter) = question.matching.filter()? {
        ask = ask.filter(filter);
    }
    if let Some(least) = question.least_group {
        ask = ask.least_group(least);
    }
    let told = PrivateAnswer::of(ask.release()?, is_centroid, false);
    context.terminal.show(&told, &told)?;
    Ok(database.close()?)
}

/// A value as it was typed: JSON, or else a text.
fn operand(text: &str) -> Operand {
    let value: Option<serde_json::Value> = serde_json::from_str(text).ok();
    value.and_then(|value| Operand::try_from(&value).ok()).unwrap_or_else(|| text.into())
}
