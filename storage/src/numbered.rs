//! A sealed file that is whole and never changed, and has a number: what manifests and the lists of backups have in
//! common.
//!
//! ```text
//! magic 8 │ format 2 │ number 8 │ crc32c 4 │ sealed section
//! ```
//!
//! Invariant: magic, format and checksum keep their places in every format to come, so that a newer file is told from a
//! damaged one. The checksum finds accidents; number and environment are authenticated by the section's context.

use privacy::{OpenError, Scope, SectionContext, SectionKey, SectionKind, open_section, seal_section};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

const HEADER_LEN: usize = 22;

/// What kind of file it is.
pub(crate) struct Numbered {
    pub magic: &'static [u8; 8],
    /// The newest format this build reads, and the one it writes; the first is 1.
    pub format: u16,
    pub kind: SectionKind,
}

/// Why one does not open.
pub(crate) enum NumberedError {
    /// Which part makes no sense.
    Damaged(&'static str),
    WrongKey,
    NewerFormat {
        found: u16,
        max: u16,
    },
}

impl Numbered {
    /// The bytes of file `number`.
    pub fn seal(
        &self,
        number: u64,
        (key, scope): (&SectionKey, Scope),
        plaintext: &[u8],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Vec<u8> {
        let mut bytes = self.header(self.format, number).to_vec();
        bytes.extend(seal_section(key, &self.context(scope, number), plaintext, rng));
        bytes
    }

    /// What [`Numbered::seal`] sealed as file `number`.
    pub fn open(
        &self,
        number: u64,
        (key, scope): (&SectionKey, Scope),
        bytes: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, NumberedError> {
        let sealed = self.check_header(bytes, number)?;
        open_section(key, &self.context(scope, number), sealed).map_err(|error| match error {
            OpenError::WrongKey => NumberedError::WrongKey,
            OpenError::Damaged | OpenError::TooShort => NumberedError::Damaged("contents"),
        })
    }

    fn header(&self, format: u16, number: u64) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[..8].copy_from_slice(self.magic);
        out[8..10].copy_from_slice(&format.to_le_bytes());
        out[10..18].copy_from_slice(&number.to_le_bytes());
        let checksum = crc32c::crc32c(&out[..18]);
        out[18..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    fn check_header<'a>(&self, bytes: &'a [u8], number: u64) -> Result<&'a [u8], NumberedError> {
        let damaged = NumberedError::Damaged("header");
        let Some((head, sealed)) = bytes.split_first_chunk::<HEADER_LEN>() else { return Err(damaged) };
        let checksum = crc32c::crc32c(&head[..18]).to_le_bytes();
        if !head.starts_with(self.magic) || head[18..] != checksum {
            return Err(damaged);
        }
        let format = u16::from_le_bytes([head[8], head[9]]);
        if format > self.format {
            return Err(NumberedError::NewerFormat { found: format, max: self.format });
        }
        if format == 0 || *head != self.header(format, number) { Err(damaged) } else { Ok(sealed) }
    }

    fn context(&self, scope: Scope, number: u64) -> SectionContext {
        SectionContext { scope, kind: self.kind, file: number, place: 0 }
    }
}
