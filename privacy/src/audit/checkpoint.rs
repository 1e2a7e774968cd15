//! Checkpoints: a log's size and root under its signature (C2SP tlog-checkpoint, <https://c2sp.org/tlog-checkpoint>),
//! and what one that was kept elsewhere says of the log that is here now.
//!
//! Invariant: a checkpoint read from a note was signed by the key asked for, for the log asked for. A log that is
//! shorter than a checkpoint of its own was cut, whatever else it says; one that is as long with another root was
//! written anew. Against whoever replaces log and every kept checkpoint together nothing here helps, hence anchor
//! stores and witnesses.

use data_encoding::{BASE64, HEXLOWER};
use thiserror::Error;

use super::note::{self, NoteError};
use super::tree::Hash;
use crate::seal::Scope;
use crate::secret::SigningKey;
use crate::signature::VerifyingKey;

/// The name of an environment's log, under which its checkpoints are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// The name of the log of this environment.
    pub fn of(scope: Scope) -> Origin {
        Origin(format!("lethedb/{}/{}", HEXLOWER.encode(&scope.database), HEXLOWER.encode(&scope.environment)))
    }

    /// The name of the log that the environment has after it lost so many: two logs under one name would be one log that
    /// says different things to different people.
    pub fn after(scope: Scope, lost: u64) -> Origin {
        let Origin(first) = Origin::of(scope);
        if lost == 0 { Origin(first) } else { Origin(format!("{first}/{lost}")) }
    }

    /// The name that a note gives its log, if that is one of this environment's; anybody may have written it.
    pub fn named_in(note: &str, scope: Scope) -> Option<Origin> {
        let (name, _) = note.split_once('\n')?;
        let lost = name.strip_prefix(Origin::of(scope).as_str())?;
        let lost = lost.strip_prefix('/').map_or(Some(0), |lost| lost.parse().ok())?;
        Some(Origin::after(scope, lost)).filter(|origin| origin.as_str() == name)
    }

    /// The name that stands in a text which may be anybody's, and whose log it is.
    pub fn parse(name: &str) -> Option<(Scope, Origin)> {
        let mut parts = name.splitn(4, '/');
        let mut id = || HEXLOWER.decode(parts.next()?.as_bytes()).ok()?.try_into().ok();
        let scope = match (name.starts_with("lethedb/"), id(), id(), id()) {
            (true, None, Some(database), Some(environment)) => Scope { database, environment },
            _ => return None,
        };
        Origin::named_in(&format!("{name}\n"), scope).map(|origin| (scope, origin))
    }

    /// How many logs the environment had lost when it was given this name.
    pub fn lost(&self) -> u64 {
        self.0.splitn(4, '/').nth(3).and_then(|lost| lost.parse().ok()).unwrap_or_default()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How long a log is, and the root of the tree over its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// How many events there are.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

/// Why a text is no checkpoint of this log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// The note is none, or not signed by this key.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Signed, but for another log.
    #[error("the checkpoint is of another log")]
    Foreign,
    /// Signed, but not three lines of origin, size and root.
    #[error("the signed text is no checkpoint")]
    Malformed,
}

/// What a checkpoint that was kept elsewhere says of the log that is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The log is as it was then.
    Same,
    /// The log begins as it was then and has grown since.
    Grown {
        /// By how many events.
        by: u64,
    },
    /// Events are gone from the end.
    Truncated {
        /// At least this many.
        missing: u64,
    },
    /// The log is long enough, but its events were not these.
    Rewritten,
}

impl Standing {
    /// Whether the log holds all that it held then, unchanged.
    pub fn is_sound(self) -> bool {
        matches!(self, Standing::Same | Standing::Grown { .. })
    }
}

impl Checkpoint {
    /// This checkpoint as a signed note.
    pub fn sign(&self, origin: &Origin, key: &SigningKey) -> String {
        let text = format!("{}\n{}\n{}\n", origin.0, self.size, BASE64.encode(&self.root));
        note::sign(&text, &origin.0, key)
    }

    /// Reads a signed note. Lines after the third are another version's and carry nothing that this one needs.
    pub fn open(note: &str, origin: &Origin, key: &VerifyingKey) -> Result<Checkpoint, CheckpointError> {
        let text = note::open(note, &origin.0, key)?;
        let mut lines = text.strip_suffix('\n').unwrap_or_default().split('\n');
        let mut line = || lines.next().filter(|line| !line.is_empty()).ok_or(CheckpointError::Malformed);
        let (of, size, root) = (line()?, line()?, line()?);
        if of != origin.0 {
            return Err(CheckpointError::Foreign);
        }
        let number: u64 = size.parse().map_err(|_| CheckpointError::Malformed)?;
        let root = BASE64.decode(root.as_bytes()).ok().and_then(|root| root.try_into().ok());
        if number.to_string() != size || lines.any(str::is_empty) {
            return Err(CheckpointError::Malformed);
        }
        Ok(Checkpoint { size: number, root: root.ok_or(CheckpointError::Malformed)? })
    }

    /// What this checkpoint, kept elsewhere, says of a log of `size` events. `root_at` gives the root that the log has
    /// over its first so many events, and is asked only for sizes up to `size`.
    ///
    /// # Errors
    /// What `root_at` gives.
    pub fn standing<E>(&self, size: u64, root_at: impl FnOnce(u64) -> Result<Hash, E>) -> Result<Standing, E> {
        if size < self.size {
            return Ok(Standing::Truncated { missing: self.size - size });
        }
        if root_at(self.size)? != self.root {
            return Ok(Standing::Rewritten);
        }
        Ok(if size == self.size { Standing::Same } else { Standing::Grown { by: size - self.size } })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::super::tree::reference;
    use super::*;

    fn origin() -> Origin {
        Origin::of(Scope { database: [0xab; 16], environment: [0x01; 16] })
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes([5; 32])
    }

    fn signed(text: &str) -> Result<Checkpoint, CheckpointError> {
        Checkpoint::open(&note::sign(text, origin().as_str(), &key()), &origin(), &key().verifying_key())
    }

    /// The text is the one that <https://c2sp.org/tlog-checkpoint> shows, but for the origin.
    #[test]
    fn the_text_has_the_published_form() {
        let root = BASE64.decode(b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=").unwrap().try_into().unwrap();
        let checkpoint = Checkpoint { size: 20_852_163, root };
        let note = checkpoint.sign(&origin(), &key());
        let name = format!("lethedb/{}/{}", "ab".repeat(16), "01".repeat(16));
        let head = format!("{name}\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\u{2014} {name} ");
        assert!(note.starts_with(&head), "{note}");
        assert_eq!(note.lines().count(), 5);
        assert_eq!(Checkpoint::open(&note, &origin(), &key().verifying_key()), Ok(checkpoint));
    }

    #[test]
    fn a_name_is_read_back_or_refused() {
        let scope = Scope { database: [0xab; 16], environment: [0x01; 16] };
        for lost in [0, 1, 12] {
            let origin = Origin::after(scope, lost);
            let read = Origin::parse(origin.as_str()).map(|(of, read)| ((of.database, of.environment), read));
            assert_eq!(read, Some(((scope.database, scope.environment), origin)));
        }
        let name = origin().0;
        for wrong in
            ["", "lethedb", "lethedb/ab/01", &name[1..], &format!("{name}/"), &format!("{name}/01"), &name[..60]]
        {
            assert!(Origin::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn other_texts_are_refused_even_if_signed() {
        let (name, root) = (origin().0, BASE64.encode(&[1; 32]));
        assert!(signed(&format!("{name}\n0\n{root}\n")).is_ok());
        assert!(signed(&format!("{name}\n7\n{root}\nanother line\n")).is_ok());
        assert_eq!(signed(&format!("elsewhere\n7\n{root}\n")), Err(CheckpointError::Foreign));
        for wrong in [
            format!("{name}\n7\n"),
            format!("{name}\n\n{root}\n"),
            format!("{name}\n07\n{root}\n"),
            format!("{name}\n+7\n{root}\n"),
            format!("{name}\n-7\n{root}\n"),
            format!("{name}\n18446744073709551616\n{root}\n"),
            format!("{name}\n7\n{}\n", &root[4..]),
            format!("{name}\n7\n{root}\n\nmore\n"),
        ] {
            assert_eq!(signed(&wrong), Err(CheckpointError::Malformed), "{wrong:?}");
        }
    }

    #[test]
    fn other_keys_and_logs_are_told_apart() {
        let note = Checkpoint { size: 1, root: [1; 32] }.sign(&origin(), &key());
        let other = SigningKey::from_bytes([6; 32]).verifying_key();
        let unsigned = Err(CheckpointError::Note(NoteError::Unsigned));
        assert_eq!(Checkpoint::open(&note, &origin(), &other), unsigned);
        let elsewhere = Origin::of(Scope { database: [0xab; 16], environment: [0x02; 16] });
        assert_eq!(Checkpoint::open(&note, &elsewhere, &key().verifying_key()), unsigned);
    }

    proptest! {
        #[test]
        fn a_cut_or_rewritten_log_is_seen(then in 0..70_u64, now in 0..70_u64, changed: Option<prop::sample::Index>) {
            let kept = Checkpoint { size: then, root: reference::root(&reference::leaves(then)) };
            let mut leaves = reference::leaves(now);
            let mut is_rewritten = false;
            if let Some(changed) = changed.filter(|_| now > 0) {
                let at = changed.index(leaves.len());
                leaves[at][0] ^= 1;
                is_rewritten = (at as u64) < then;
            }
            let root_at = |size: u64| Ok::<_, Infallible>(reference::root(&leaves[..size as usize]));
            let Ok(standing) = kept.standing(now, root_at);
            prop_assert_eq!(standing, match now.checked_sub(then) {
                None => Standing::Truncated { missing: then - now },
                Some(_) if is_rewritten => Standing::Rewritten,
                Some(0) => Standing::Same,
                Some(by) => Standing::Grown { by },
            });
            prop_assert_eq!(standing.is_sound(), now >= then && !is_rewritten);
        }
    }
}
