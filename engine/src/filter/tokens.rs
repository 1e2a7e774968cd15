//! The words of a text, as a text match sees them.
//!
//! Invariant: a token is a longest run of letters and digits (Unicode), in lower case. Payload and query go through the
//! same function, so what it makes of odd scripts is at least the same on both sides.

/// The tokens of `text` in their order, repeated as they are there.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        let found: Vec<String> = tokens("Über-Größe 42, don't;  naïve\u{2014}ΑΣ").collect();
        assert_eq!(found, ["über", "größe", "42", "don", "t", "naïve", "ας"]);
        assert_eq!(tokens(" .,;- ").count(), 0);
    }
}
