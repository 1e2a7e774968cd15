//! What commands print: text for people or one JSON value for programs, and progress while a person watches.
//!
//! Invariant: results go to standard output, everything else to standard error; nothing here panics when the reader
//! goes away; escape codes appear only on a terminal.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::failure::Failure;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people.
    #[default]
    Table,
    /// One JSON value for programs.
    Json,
}

/// The two output streams.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    output: Output,
    is_styled: bool,
}

impl Terminal {
    /// Prints as `output` says, with bold text if somebody looks at it.
    pub fn new(output: Output) -> Self {
        Self { output, is_styled: output == Output::Table && io::stdout().is_terminal() }
    }

    /// Whether programs read the output.
    pub fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// Prints a result: `value` for programs, `text` for people.
    pub fn show(&self, value: &impl Serialize, text: impl Display) -> Result<(), Failure> {
        if self.is_json() {
            let value = serde_json::to_string(value).map_err(|error| Failure::Io(NOT_WRITTEN, error.into()))?;
            return write(io::stdout(), value);
        }
        self.say(text)
    }

    /// Prints `text` for people, nothing for programs.
    pub fn say(&self, text: impl Display) -> Result<(), Failure> {
        if self.is_json() { Ok(()) } else { write(io::stdout(), text) }
    }

    /// Prints a remark that is no part of the result.
    pub fn note(&self, text: impl Display) -> Result<(), Failure> {
        write(io::stderr(), text)
    }

    /// Says which segments an answer lacks, if any.
    pub fn note_damaged(&self, damaged: &[String]) -> Result<(), Failure> {
        if damaged.is_empty() {
            return Ok(());
        }
        let names = damaged.join(", ");
        self.note(format_args!("Damaged segments were left out: {names}. Run `lethedb verify`."))
    }

    /// `text` in bold, where there is bold.
    pub fn strong(&self, text: impl Display) -> String {
        if self.is_styled { format!("\x1b[1m{text}\x1b[0m") } else { text.to_string() }
    }

    /// A bar on standard error that counts to `total`, or just counts if that is 0; it shows only on a terminal.
    pub fn progress(&self, what: &'static str, total: u64) -> ProgressBar {
        if total == 0 {
            let style = ProgressStyle::with_template("{msg:12} {human_pos}  {elapsed}");
            let bar = ProgressBar::no_length().with_message(what);
            return bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        }
        let bar = ProgressBar::new(total).with_message(what);
        let style = ProgressStyle::with_template("{msg:12} [{bar:30}] {percent:>3} %  {elapsed} of about {duration}");
        bar.with_style(style.map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("=> ")))
    }
}

const NOT_WRITTEN: &str = "the output cannot be written";

fn write(mut stream: impl Write, text: impl Display) -> Result<(), Failure> {
    writeln!(stream, "{text}").and_then(|()| stream.flush()).map_err(|error| Failure::Io(NOT_WRITTEN, error))
}

/// Lays `rows` out under `head` in columns; the last column is left as long as it is.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let body = rows.iter().map(|row| line(row.each_ref().map(String::as_str)));
    std::iter::once(line(head)).chain(body).collect::<Vec<_>>().join("\n")
}

/// A value that JSON writes as one word, such as a metric, as that word.
pub fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        // None of ours is anything else.
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["1".to_owned(), "näher".to_owned()], ["20000".to_owned(), String::new()]];
        assert_eq!(table(["id", "word"], &rows), "id     word\n1      näher\n20000");
    }
}
