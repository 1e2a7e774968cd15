//! Progress of a measurement, while a person watches it.

use benches::Stage;
use indicatif::ProgressBar;

use super::super::terminal::Terminal;

/// One bar at a time, for the stage that the measurement is in.
pub struct Watch<'a> {
    terminal: &'a Terminal,
    bar: ProgressBar,
    current: Option<Stage>,
}

impl<'a> Watch<'a> {
    /// Shows nothing yet.
    pub fn new(terminal: &'a Terminal) -> Self {
        Self { terminal, bar: ProgressBar::hidden(), current: None }
    }

    /// Shows that `done` of `total` steps of `stage` are done.
    pub fn tell(&mut self, stage: Stage, done: u64, total: u64) {
        if self.current != Some(stage) {
            self.bar.finish_and_clear();
            self.bar = self.terminal.progress(stage.as_str(), total);
            self.current = Some(stage);
        }
        self.bar.set_position(done);
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
