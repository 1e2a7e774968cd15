//! The parts of a measurement of private answers.

use std::fmt;
use std::str::FromStr;

/// A part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoisePart {
    /// How far answers are off, beside what was predicted.
    Error,
    /// How long a centroid takes, step by step.
    Speed,
    /// What very many records of one entity weigh.
    Crowd,
}

/// There is no such part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parts are error, speed and crowd")]
pub struct UnknownNoisePart;

impl NoisePart {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Error, Self::Speed, Self::Crowd];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Speed => "speed",
            Self::Crowd => "crowd",
        }
    }
}

impl FromStr for NoisePart {
    type Err = UnknownNoisePart;

    fn from_str(name: &str) -> Result<Self, UnknownNoisePart> {
        Self::ALL.into_iter().find(|part| part.as_str() == name).ok_or(UnknownNoisePart)
    }
}

impl fmt::Display for NoisePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
