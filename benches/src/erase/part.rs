//! The parts of a measurement of erasures, each in a store of its own but the first two.

use std::fmt;
use std::str::FromStr;

/// A part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Stage by stage, by the records of an entity.
    Stages,
    /// By how many entities are erased at once.
    Together,
    /// The change of keys, by how many entities there are.
    Epochs,
    /// A flush with new entities.
    Flush,
}

/// There is no such part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the parts are stages, together, epochs and flush")]
pub struct UnknownPart;

impl Part {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stages, Self::Together, Self::Epochs, Self::Flush];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stages => "stages",
            Self::Together => "together",
            Self::Epochs => "epochs",
            Self::Flush => "flush",
        }
    }
}

impl FromStr for Part {
    type Err = UnknownPart;

    fn from_str(name: &str) -> Result<Self, UnknownPart> {
        Self::ALL.into_iter().find(|part| part.as_str() == name).ok_or(UnknownPart)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        assert!(Part::ALL.iter().all(|part| part.to_string().parse() == Ok(*part)));
        assert_eq!("epoch".parse::<Part>(), Err(UnknownPart));
    }
}
