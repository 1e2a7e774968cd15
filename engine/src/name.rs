//! Names of environments, collections and aliases: they become parts of paths and URLs, so they are narrow.

use crate::error::{Error, ErrorKind, Result};

/// Longest name in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Checks that `name` has 1 to 64 of `A-Z a-z 0-9 _ -` and starts with a letter or digit.
///
/// # Errors
/// `Invalid`, naming the rule and `what` the name is for, never the name itself.
pub(crate) fn check(name: &str, what: &str) -> Result<()> {
    let starts_well = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    let fits = name.len() <= NAME_BYTES_MAX;
    if starts_well && fits && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the {what} name must have 1 to {NAME_BYTES_MAX} letters, digits, '_' or '-' and start with a letter or digit"
    )))
}

/// What is said where no collection goes by a name.
pub(crate) fn no_collection() -> Error {
    Error::new(ErrorKind::NotFound, "there is no collection or alias of this name")
}

/// What is said where no environment goes by a name, or none that the caller may know of.
pub(crate) fn no_environment() -> Error {
    Error::new(ErrorKind::NotFound, "there is no environment of this name")
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn narrow_names_only() {
        for good in ["a", "docs", "A-1_b", &"x".repeat(64)] {
            assert!(check(good, "collection").is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "a/b", "../a", "a\0", "é", "a b", ".", &"x".repeat(65)] {
            assert!(check(bad, "collection").is_err(), "{bad}");
        }
    }
}
