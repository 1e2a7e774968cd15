//! Bytes as text: receipts, salts and keys, in lower-case hex digits, which any tool reads.

/// The bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes that `text` has in hex; none if it is none.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).map(|value| value as u8)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| 16 * byte + digit)).collect())
}

/// The bytes of a file that has them as they are, or in hex, as answers do. Nothing that we write so begins as hex would.
pub fn bytes_or_hex(file: Vec<u8>) -> Vec<u8> {
    let text = std::str::from_utf8(file.trim_ascii()).ok().and_then(from_hex);
    text.unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::{bytes_or_hex, from_hex, hex};

    #[test]
    fn bytes_come_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&hex(&bytes)), Some(bytes));
        assert_eq!(bytes_or_hex(b"8601FF\n".to_vec()), [0x86, 1, 0xff]);
        assert_eq!(bytes_or_hex(b"86 01".to_vec()), b"86 01");
        assert_eq!(bytes_or_hex(vec![0x86, 1, 0xff]), [0x86, 1, 0xff]);
        assert_eq!((from_hex("0G"), from_hex("012"), from_hex("")), (None, None, Some(Vec::new())));
    }
}
