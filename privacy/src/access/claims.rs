//! What an end user's token says of them, once somebody has verified it.
//!
//! Invariant: claims are people's data: they are wiped, and never printed. A claim that is neither a text, a whole number, true
//! or false, nor a list of these is none: nothing can be compared with it.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// One value of a claim.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub enum Claim {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Flag(bool),
}

/// The claims of one token, by their names. Each is a list: one value is a list of one.
#[derive(Clone, Default)]
pub struct Claims(BTreeMap<String, Vec<Claim>>);

impl Claims {
    /// The same, with one claim more, or another one of that name.
    #[must_use]
    pub fn with(mut self, name: &str, values: impl IntoIterator<Item = Claim>) -> Claims {
        self.0.insert(name.to_owned(), values.into_iter().collect());
        self
    }

    /// The values of a claim; none where it is missing, or an empty list.
    pub fn values(&self, name: &str) -> Option<&[Claim]> {
        self.0.get(name).map(Vec::as_slice).filter(|values| !values.is_empty())
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claim(..)")
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(..)")
    }
}
