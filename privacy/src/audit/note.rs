//! Signed notes: text with signatures under it that a person can read and any tool can check (C2SP signed-note v1,
//! <https://c2sp.org/signed-note>), with Ed25519.
//!
//! Invariant: text is given out only after a signature of the key asked for has verified over all of it. Signatures of
//! other keys are ignored, as the format demands, so that witnesses may add theirs; one of ours that is wrong condemns
//! the note.

use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::secret::SigningKey;
use crate::signature::{SIGNATURE, VerifyingKey};

/// Ed25519 among the signature types that the format numbers.
const ED25519: u8 = 1;
/// The most signatures that are looked at; the format asks for at least 16.
const SIGNATURES_MAX: usize = 100;
const MARK: &str = "\u{2014} ";

/// Why a note is not to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoteError {
    /// No text, a blank line and lines of signatures.
    #[error("this is no signed note")]
    Malformed,
    /// None of the signatures is of the key asked for.
    #[error("the note is not signed by the key asked for")]
    Unsigned,
    /// A signature claims to be of the key asked for, and does not verify.
    #[error("the signature under the note does not verify")]
    Signature,
}

/// The note of `text`, whose lines all end and hold no control characters, signed in the name `name`, which has
/// neither spaces nor a plus.
pub(super) fn sign(text: &str, name: &str, key: &SigningKey) -> String {
    let mut signature = key_id(name, &key.verifying_key()).to_vec();
    signature.extend_from_slice(&key.sign(text.as_bytes()));
    format!("{text}\n{MARK}{name} {}\n", BASE64.encode(&signature))
}

/// The text of `note`, if `key` has signed it in the name `name`.
pub(super) fn open<'n>(note: &'n str, name: &str, key: &VerifyingKey) -> Result<&'n str, NoteError> {
    if note.chars().any(|c| c < ' ' && c != '\n') {
        return Err(NoteError::Malformed);
    }
    let (text, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
    let text = note.get(..=text.len()).ok_or(NoteError::Malformed)?;
    let lines = signatures.strip_suffix('\n').ok_or(NoteError::Malformed)?;
    let id = key_id(name, key);
    let mut is_signed = false;
    for (number, line) in lines.split('\n').enumerate() {
        let (signer, signature) =
            line.strip_prefix(MARK).and_then(|line| line.split_once(' ')).ok_or(NoteError::Malformed)?;
        let signature = BASE64.decode(signature.as_bytes()).map_err(|_| NoteError::Malformed)?;
        let (found, signature) = signature.split_first_chunk::<4>().ok_or(NoteError::Malformed)?;
        if number >= SIGNATURES_MAX || signer.is_empty() || signature.is_empty() {
            return Err(NoteError::Malformed);
        }
        if (signer, *found) == (name, id) {
            let signature = <&[u8; SIGNATURE]>::try_from(signature).map_err(|_| NoteError::Signature)?;
            key.verify(text.as_bytes(), signature).map_err(|_| NoteError::Signature)?;
            is_signed = true;
        }
    }
    if is_signed { Ok(text) } else { Err(NoteError::Unsigned) }
}

/// What a signature line calls its key: four bytes of a hash over name, type and public key.
fn key_id(name: &str, key: &VerifyingKey) -> [u8; 4] {
    let hash = Sha256::new().chain_update(name).chain_update([b'\n', ED25519]).chain_update(key.0).finalize();
    let mut id = [0; 4];
    id.copy_from_slice(&hash[..4]);
    id
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "If you think cryptography is the answer to your problem,\n\
        then you don't know what your problem is.\n";
    const LINE: &str = "\u{2014} PeterNeumann \
        x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn key() -> SigningKey {
        let typed = BASE64.decode(b"AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").unwrap();
        SigningKey::from_bytes(typed[1..].try_into().unwrap())
    }

    fn opened(note: &str) -> Result<&str, NoteError> {
        open(note, "PeterNeumann", &key().verifying_key())
    }

    /// The key and the note in the documentation of golang.org/x/mod/sumdb/note.
    #[test]
    fn the_published_note_holds() {
        assert_eq!(key_id("PeterNeumann", &key().verifying_key()), [0xc7, 0x4f, 0x20, 0xa3]);
        let note = format!("{TEXT}\n{LINE}");
        assert_eq!(sign(TEXT, "PeterNeumann", &key()), note);
        assert_eq!(opened(&note), Ok(TEXT));
    }

    #[test]
    fn signatures_of_others_are_ignored() {
        let other = SigningKey::from_bytes([7; 32]);
        let theirs = |name: &str| sign(TEXT, name, &other).strip_prefix(&format!("{TEXT}\n")).unwrap().to_owned();
        for others in [theirs("witness.example/w1"), theirs("PeterNeumann")] {
            assert_eq!(opened(&format!("{TEXT}\n{others}{LINE}{others}")), Ok(TEXT));
            assert_eq!(opened(&format!("{TEXT}\n{others}")), Err(NoteError::Unsigned));
        }
        assert_eq!(opened(&format!("{TEXT}\n{}", LINE.repeat(100))), Ok(TEXT));
        assert_eq!(opened(&format!("{TEXT}\n{}", LINE.repeat(101))), Err(NoteError::Malformed));
        // A text may hold blank lines: the last one parts it from the signatures.
        let inner = format!("one\n\n{LINE}\ntwo\n");
        assert_eq!(opened(&sign(&inner, "PeterNeumann", &key())), Ok(&*inner));
    }

    #[test]
    fn a_wrong_signature_of_ours_condemns() {
        let forged = sign("another text\n", "PeterNeumann", &key()).replace("another text\n", TEXT);
        assert_eq!(opened(&forged), Err(NoteError::Signature));
        assert_eq!(opened(&format!("{forged}{LINE}")), Err(NoteError::Signature));
        let cut = format!("{TEXT}\n\u{2014} PeterNeumann x08gowAA\n");
        assert_eq!(opened(&cut), Err(NoteError::Signature));
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let note = format!("{TEXT}\n{LINE}");
        for wrong in [
            "".into(),
            TEXT.into(),
            LINE.into(),
            format!("{TEXT}{LINE}"),
            format!("{TEXT}\n"),
            format!("{TEXT}\n\n"),
            note.trim_end().into(),
            format!("{note}\n"),
            note.replace('\u{2014}', "-"),
            note.replace("AM=\n", "AN=\n"),
            note.replace("AM=\n", "AM\n"),
            note.replace(" x08", "  x08"),
            note.replace("then", "then\r"),
            note.replace("then", "\0then"),
            format!("{TEXT}\n\u{2014}  x08goAAA\n"),
            format!("{TEXT}\n\u{2014} a x08gow==\n"),
        ] {
            assert_eq!(opened(&wrong), Err(NoteError::Malformed), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(note in "[a\n\u{2014} =]{0,40}", name in ".{0,4}") {
            prop_assert!(open(&note, &name, &VerifyingKey([3; 32])).is_err());
        }

        #[test]
        fn one_changed_byte_is_seen(at: prop::sample::Index, to: u8) {
            let note = format!("{TEXT}\n{LINE}");
            let mut bytes = note.clone().into_bytes();
            let at = at.index(bytes.len());
            prop_assume!(bytes[at] != to);
            bytes[at] = to;
            if let Ok(changed) = String::from_utf8(bytes) {
                prop_assert!(opened(&changed).is_err());
            }
        }
    }
}
