//! Retention: which records are past their window, and whether the clock may be believed.
//!
//! Invariant: nothing is past a window but by a time that was judged: [`Trusted`] comes from a [`Watch`] alone, and a
//! watch gives none while the clock has run back or leapt. Deleting is final and a wrong clock is common, so the doubt
//! stays until the clock is right again or someone confirms it. Pure: readings of both clocks come in.

use std::fmt;
use std::num::NonZeroU64;

use thiserror::Error;

const HOUR_MS: u64 = 60 * 60 * 1000;

/// How far a wall clock may run ahead of what is expected of it, whatever the windows: 24 hours.
pub const LEAP_MS: u64 = 24 * 60 * 60 * 1000;

/// A length of time, in milliseconds, as people say it.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(24 * HOUR_MS, "days"), (HOUR_MS, "hours"), (HOUR_MS / 60, "minutes"), (1000, "seconds")];
        let (unit, name) = units.into_iter().find(|(unit, _)| self.0 >= *unit).unwrap_or((1, "milliseconds"));
        let tenths = self.0 / (unit / 10).max(1);
        match (tenths / 10, tenths % 10) {
            _ if unit == 1 => write!(f, "{} {name}", self.0),
            (1, 0) => write!(f, "1 {}", name.trim_end_matches('s')),
            (whole, 0) => write!(f, "{whole} {name}"),
            (whole, tenth) => write!(f, "{whole}.{tenth} {name}"),
        }
    }
}

/// How far a wall clock may be set back: a minute, more than time synchronisation steps.
pub const SET_BACK_MS: u64 = 60 * 1000;

/// How long a collection keeps a record after its last write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window(u64);

/// A window that would delete what is still being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a retention window of {} is too short; the shortest is {}", Span(*window_ms), Span(Window::MIN_MS))]
pub struct WindowError {
    /// The window asked for, in milliseconds.
    pub window_ms: u64,
}

impl Window {
    /// The shortest window: an hour. Below it, the clocks of writers would decide.
    pub const MIN_MS: u64 = HOUR_MS;

    /// A window of so many milliseconds.
    ///
    /// # Errors
    /// [`WindowError`], if it is shorter than [`Window::MIN_MS`].
    pub fn from_ms(window_ms: u64) -> Result<Window, WindowError> {
        if window_ms < Window::MIN_MS { Err(WindowError { window_ms }) } else { Ok(Window(window_ms)) }
    }

    /// Its length in milliseconds.
    pub fn as_ms(self) -> u64 {
        self.0
    }

    /// Whether a record that was last written at `written_ms` must go now. One from the future stays.
    pub fn is_past(self, written_ms: u64, now: Trusted) -> bool {
        written_ms.checked_add(self.0).is_some_and(|end| end <= now.0)
    }

    /// How long writes use one key, in milliseconds: a sixteenth of the window in whole hours, an hour at least and a day
    /// at most. Keys are what is destroyed, so a record goes up to so much later than its window ends.
    pub fn period_ms(self) -> u64 {
        (self.0 / 16 / HOUR_MS).clamp(1, 24) * HOUR_MS
    }

    /// The end of the period in which a write at `written_ms` falls. Periods follow one another from the Unix epoch on.
    pub fn until(self, written_ms: u64) -> Until {
        let period_ms = self.period_ms();
        let end = (written_ms / period_ms).saturating_add(1).saturating_mul(period_ms);
        Until(NonZeroU64::new(end).unwrap_or(NonZeroU64::MAX))
    }
}

/// The end of the period in which writes used a key, in milliseconds since the Unix epoch: nothing that the key opens was
/// written later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Until(NonZeroU64);

impl Until {
    /// From milliseconds since the Unix epoch; no period ends at its beginning.
    pub fn from_ms(until_ms: u64) -> Option<Until> {
        NonZeroU64::new(until_ms).map(Until)
    }

    /// Milliseconds since the Unix epoch.
    pub fn as_ms(self) -> u64 {
        self.0.get()
    }
}

/// A wall-clock time that a [`Watch`] stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trusted(u64);

impl Trusted {
    /// Milliseconds since the Unix epoch.
    pub fn as_ms(self) -> u64 {
        self.0
    }
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock, in milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// A clock that nobody sets, in milliseconds since some moment of this process.
    pub steady_ms: u64,
}

/// Why a reading is not believed; nothing is deleted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Doubt {
    /// The wall clock shows less than it did.
    #[error(
        "the clock ran back by {}; retention waits until it is right or confirmed",
        Span(before_ms.saturating_sub(*now_ms))
    )]
    RanBack {
        /// What it showed when it was last believed, in milliseconds since the Unix epoch.
        before_ms: u64,
        /// What it shows.
        now_ms: u64,
    },
    /// The wall clock shows far more than the time that passed explains.
    #[error(
        "the clock leapt: it shows {} more than the time that is known to have passed; retention waits until it is right or confirmed",
        Span(now_ms.saturating_sub(*expected_ms))
    )]
    Leapt {
        /// What was expected, in milliseconds since the Unix epoch.
        expected_ms: u64,
        /// What it shows.
        now_ms: u64,
    },
}

/// Judges readings of the clock against those before them.
#[derive(Debug, Clone)]
pub struct Watch {
    /// The latest time believed, by this process or an earlier one.
    trusted_ms: Option<u64>,
    /// The first reading that this process believed. All later ones are held against it rather than against each other,
    /// so that many small leaps do not add up to a large one.
    base: Option<Reading>,
}

impl Watch {
    /// A watch that knows what [`Watch::trusted_ms`] was when the database was last open; `None` for a new database,
    /// whose first reading is believed.
    pub fn resume(trusted_ms: Option<u64>) -> Watch {
        Watch { trusted_ms, base: None }
    }

    /// The latest time believed, in milliseconds since the Unix epoch: what to keep for [`Watch::resume`].
    pub fn trusted_ms(&self) -> Option<u64> {
        self.trusted_ms
    }

    /// Judges a reading, by which the windows of which this is the shortest are kept. After a doubt nothing has changed: the
    /// next reading is held against the same.
    ///
    /// While the process runs, the steady clock says how much time passed. How long the database was closed before, nothing
    /// does, and a long time is common: then the wall clock is believed for half of the shortest window. So one that was set
    /// ahead meanwhile costs no record more than half of its window, or a day.
    ///
    /// # Errors
    /// [`Doubt`], with what was expected.
    pub fn observe(&mut self, now: Reading, shortest: Option<Window>) -> Result<Trusted, Doubt> {
        let now_ms = now.wall_ms;
        if let Some(before_ms) = self.trusted_ms.filter(|before| now_ms.saturating_add(SET_BACK_MS) < *before) {
            return Err(Doubt::RanBack { before_ms, now_ms });
        }
        let closed_ms = shortest.filter(|_| self.base.is_none()).map_or(0, |window| window.as_ms() / 2);
        let ahead_ms = closed_ms.max(LEAP_MS);
        if let Some(expected_ms) = self.expected(now).filter(|expected| now_ms > expected.saturating_add(ahead_ms)) {
            return Err(Doubt::Leapt { expected_ms, now_ms });
        }
        self.base.get_or_insert(now);
        Ok(self.believe(now_ms))
    }

    /// Believes a reading because someone answers for it.
    pub fn confirm(&mut self, now: Reading) -> Trusted {
        *self = Watch { trusted_ms: None, base: Some(now) };
        self.believe(now.wall_ms)
    }

    fn expected(&self, now: Reading) -> Option<u64> {
        let since = |base: Reading| base.wall_ms.saturating_add(now.steady_ms.saturating_sub(base.steady_ms));
        self.base.map(since).or(self.trusted_ms)
    }

    fn believe(&mut self, now_ms: u64) -> Trusted {
        self.trusted_ms = self.trusted_ms.max(Some(now_ms));
        Trusted(now_ms)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 60 * 60 * 1000;
    const START: u64 = 1_700_000_000_000;

    fn at(wall_ms: u64, steady_ms: u64) -> Reading {
        Reading { wall_ms, steady_ms }
    }

    #[test]
    fn windows_end_to_the_millisecond() {
        let (window, mut watch) = (Window::from_ms(HOUR).unwrap(), Watch::resume(None));
        let now = watch.observe(at(START, 0), None).unwrap();
        for (written_ms, want) in [
            (0, true),
            (START - HOUR, true),
            (START - HOUR + 1, false),
            (START, false),
            (START + 1, false),
            (u64::MAX, false),
        ] {
            assert_eq!(window.is_past(written_ms, now), want, "{written_ms}");
        }
        assert_eq!(Window::from_ms(HOUR - 1), Err(WindowError { window_ms: HOUR - 1 }));
        assert!(!Window::from_ms(u64::MAX).unwrap().is_past(1, now));
    }

    #[test]
    fn periods_are_a_sixteenth_of_the_window_between_an_hour_and_a_day() {
        for (window_ms, hours) in
            [(HOUR, 1), (16 * HOUR, 1), (24 * HOUR, 1), (32 * HOUR, 2), (16 * 24 * HOUR, 24), (u64::MAX, 24)]
        {
            assert_eq!(Window::from_ms(window_ms).unwrap().period_ms(), hours * HOUR, "{window_ms}");
        }
    }

    #[test]
    fn a_clock_that_runs_back_is_doubted_until_it_is_right() {
        let mut watch = Watch::resume(None);
        watch.observe(at(START, 0), None).unwrap();
        let doubt = Doubt::RanBack { before_ms: START, now_ms: START - SET_BACK_MS - 1 };
        assert_eq!(watch.observe(at(START - SET_BACK_MS - 1, 5), None), Err(doubt));
        assert_eq!(watch.observe(at(START - SET_BACK_MS, 5), None).unwrap().as_ms(), START - SET_BACK_MS);
        // A step back is forgiven once: the highest time believed stays the mark.
        assert_eq!(watch.trusted_ms(), Some(START));
        assert!(watch.observe(at(START - SET_BACK_MS - 1, 5), None).is_err());
    }

    #[test]
    fn a_leap_is_doubted_until_it_is_undone_or_confirmed() {
        let mut watch = Watch::resume(None);
        watch.observe(at(START, 0), None).unwrap();
        let far = START + 3 * HOUR + LEAP_MS + 1;
        let doubt = Doubt::Leapt { expected_ms: START + 3 * HOUR, now_ms: far };
        assert_eq!(watch.observe(at(far, 3 * HOUR), None), Err(doubt));
        assert_eq!(watch.observe(at(far, 3 * HOUR), None), Err(doubt), "asking again is no confirmation");
        assert!(watch.observe(at(START + 3 * HOUR, 3 * HOUR), None).is_ok());
        assert_eq!(watch.confirm(at(far, 3 * HOUR)).as_ms(), far);
        assert!(watch.observe(at(far + HOUR, 4 * HOUR), None).is_ok());
        // What was confirmed backwards is the mark, too.
        watch.confirm(at(START, 4 * HOUR));
        assert_eq!(watch.trusted_ms(), Some(START));
        assert!(watch.observe(at(START + HOUR, 5 * HOUR), None).is_ok());
    }

    #[test]
    fn small_leaps_do_not_add_up() {
        let mut watch = Watch::resume(None);
        watch.observe(at(START, 0), None).unwrap();
        assert!(watch.observe(at(START + LEAP_MS, 0), None).is_ok());
        assert!(watch.observe(at(START + LEAP_MS + 1, 0), None).is_err());
        assert!(watch.observe(at(START + LEAP_MS + 1, 1), None).is_ok());
    }

    #[test]
    fn a_closed_database_remembers() {
        let mut watch = Watch::resume(Some(START));
        assert_eq!(
            watch.observe(at(START + LEAP_MS + 1, 9), None),
            Err(Doubt::Leapt { expected_ms: START, now_ms: START + LEAP_MS + 1 })
        );
        assert!(watch.observe(at(START - HOUR, 9), None).is_err());
        assert!(watch.observe(at(START + LEAP_MS, 9), None).is_ok());
    }

    #[test]
    fn a_closed_database_believes_half_of_its_shortest_window_and_a_running_one_a_day() {
        let window = Window::from_ms(60 * LEAP_MS).ok();
        for (closed_ms, is_believed) in [(30 * LEAP_MS, true), (30 * LEAP_MS + 1, false)] {
            assert_eq!(Watch::resume(Some(START)).observe(at(START + closed_ms, 9), window).is_ok(), is_believed);
        }
        // A day is believed whatever the window, and what was believed once is the base of what follows.
        let mut watch = Watch::resume(Some(START));
        assert!(watch.observe(at(START + LEAP_MS, 9), Window::from_ms(HOUR).ok()).is_ok());
        assert!(watch.observe(at(START + 2 * LEAP_MS + 1, 9), window).is_err());
        assert!(watch.observe(at(START + 2 * LEAP_MS, 9), window).is_ok());
    }

    #[test]
    fn errors_speak_of_days_and_hours() {
        let short = |window_ms| Window::from_ms(window_ms).unwrap_err().to_string();
        assert_eq!(short(HOUR / 2), "a retention window of 30 minutes is too short; the shortest is 1 hour");
        let spans = [(0, "0 milliseconds"), (999, "999 milliseconds"), (1500, "1.5 seconds"), (LEAP_MS, "1 day")];
        for (ms, text) in spans.into_iter().chain([(36 * HOUR, "1.5 days"), (20 * HOUR, "20 hours")]) {
            assert_eq!(Span(ms).to_string(), text);
        }
        let doubt = Watch::resume(Some(START)).observe(at(START + 3 * LEAP_MS, 9), None).unwrap_err().to_string();
        assert!(doubt.contains("3 days more"), "{doubt}");
    }

    proptest! {
        /// The clock that deletes is never more than a day ahead of the time that passed since someone answered for it.
        #[test]
        fn no_reading_believed_is_far_ahead(
            readings in prop::collection::vec((0..20 * LEAP_MS, 0..LEAP_MS, prop::bool::weighted(0.1)), 1..40),
        ) {
            let mut watch = Watch::resume(None);
            let (mut steady, mut answered): (u64, Option<(u64, u64)>) = (0, None);
            let mut highest = 0;
            for (wall, passed, is_confirmed) in readings {
                steady += passed;
                let reading = at(START + wall, steady);
                if is_confirmed {
                    highest = watch.confirm(reading).as_ms();
                    answered = Some((highest, steady));
                } else if let Ok(now) = watch.observe(reading, None) {
                    let (wall, then) = *answered.get_or_insert((now.as_ms(), steady));
                    prop_assert!(now.as_ms() <= wall + (steady - then) + LEAP_MS);
                    prop_assert!(now.as_ms() + SET_BACK_MS >= highest);
                    highest = highest.max(now.as_ms());
                }
                prop_assert_eq!(watch.trusted_ms(), Some(highest));
            }
        }

        /// Nothing goes before its window is over, and nothing stays longer than a period after.
        #[test]
        fn periods_never_shorten_a_window(window_ms in HOUR..u64::MAX / 4, written_ms in 0..u64::MAX / 4) {
            let window = Window::from_ms(window_ms).unwrap();
            let until = window.until(written_ms);
            prop_assert!(until.as_ms() > written_ms && until.as_ms() - written_ms <= window.period_ms());
            prop_assert_eq!(until.as_ms() % window.period_ms(), 0);
            prop_assert_eq!(window.until(until.as_ms() - 1), until);
            prop_assert_eq!(Until::from_ms(until.as_ms()), Some(until));
        }

        /// A clock that is right is always believed.
        #[test]
        fn a_right_clock_is_never_doubted(steps in prop::collection::vec(0..10 * LEAP_MS, 1..40)) {
            let (mut watch, mut passed) = (Watch::resume(None), 0);
            for step in steps {
                passed += step;
                prop_assert!(watch.observe(at(START + passed, passed), None).is_ok());
            }
        }

        #[test]
        fn any_reading_is_judged_without_a_panic(trusted: Option<u64>, readings: Vec<(u64, u64)>) {
            let mut watch = Watch::resume(trusted);
            for (wall, steady) in readings {
                let _ = watch.observe(at(wall, steady), None);
            }
        }
    }
}
