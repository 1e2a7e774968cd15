//! Bytes as text: receipts, salts and keys, in lower-case hex digits, which any tool reads.

/// The bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that `text` has in hex; none if it is none.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).map(|value| value as u8)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| 16 * byte + digit)).collect())
}

#[cfg(test)]
mod tests {
    use super::{from_hex, hex};

    #[test]
    fn bytes_come_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&hex(&bytes)), Some(bytes));
        assert_eq!((from_hex("0G"), from_hex("012"), from_hex("")), (None, None, Some(Vec::new())));
    }
}
