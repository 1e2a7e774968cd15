//! What can be done that the log tells of: one kind for every act, with its own number and fields.
//!
//! Invariant: the number, the name and the fields of a kind never change; what an act tells more, later, is another
//! kind. So every version reads what every earlier one wrote, and a kind that it does not know it hands on as it
//! found it. No kind has a field for an id, a vector, a payload or a question: a person is a [`Pseudonym`], and
//! whatever else is said of one is sealed beside the act.

use minicbor::encode::Write;
use minicbor::{Decoder, Encoder};

use super::field::{Field, Name};
use super::later::LaterAct;
use super::pseudonym::Pseudonym;
use super::tree::Hash;
use crate::cbor::{Malformed, Sink, Written, fixed};
use crate::secret::Fingerprint;

macro_rules! acts {
    ($($(#[$doc:meta])* $code:literal $action:literal $name:ident {
        $($(#[$field_doc:meta])* $field:ident: $kind:ty,)*
    })*) => {
        /// What was done, or attempted.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Act {
            $($(#[$doc])* $name { $($(#[$field_doc])* $field: $kind,)* },)*
            /// An act that a later version knows.
            Unknown(LaterAct),
        }

        impl Act {
            /// What [`Act::action`] can say.
            pub const ACTIONS: &[&str] = &[$($action,)* "unknown"];

            /// The act as the audit interface names it; `unknown` for one of a later version.
            pub fn action(&self) -> &'static str {
                match self {
                    $(Act::$name { .. } => $action,)*
                    Act::Unknown(_) => "unknown",
                }
            }

            /// Its fields by name, as answers have them: numbers in decimal, bytes in hex; none for one of a later version.
            pub fn fields(&self) -> Vec<(&'static str, String)> {
                match self {
                    $(Act::$name { $($field),* } => vec![$((stringify!($field), $field.show())),*],)*
                    Act::Unknown(_) => Vec::new(),
                }
            }
        }

        impl Field for Act {
            fn write(&self, e: &mut Encoder<Sink>) -> Written {
                match self {
                    $(Act::$name { $($field),* } => {
                        e.array(2)?.u64($code)?.array(<[&str]>::len(&[$(stringify!($field)),*]) as u64)?;
                        $($field.write(e)?;)*
                        Ok(())
                    })*
                    Act::Unknown(later) => {
                        e.array(2)?.u64(later.code())?;
                        let Ok(()) = e.writer_mut().write_all(later.fields());
                        Ok(())
                    }
                }
            }

            fn read(d: &mut Decoder<'_>) -> Result<Self, Malformed> {
                fixed(d, 2)?;
                match d.u64()? {
                    $($code => {
                        fixed(d, <[&str]>::len(&[$(stringify!($field)),*]) as u64)?;
                        Ok(Act::$name { $($field: Field::read(d)?),* })
                    })*
                    code => LaterAct::read(code, d).map(Act::Unknown),
                }
            }

            fn show(&self) -> String {
                self.action().to_owned()
            }

            #[cfg(test)]
            fn example(seed: u8) -> Self {
                let mut every = Self::every(seed);
                every.swap_remove(usize::from(seed) % every.len())
            }
        }

        #[cfg(test)]
        impl Act {
            /// One of each kind.
            pub(super) fn every(seed: u8) -> Vec<Act> {
                let mut seeds = (0..=u8::MAX).cycle().skip(usize::from(seed));
                let mut next = || seeds.next().unwrap_or_default();
                vec![$(Act::$name { $($field: Field::example(next())),* }),*]
            }
        }
    };
}

acts! {
    /// The environment was opened.
    1 "environment.opened" Opened {
        /// The epoch of its keyring.
        epoch: u64,
    }
    /// A collection was made.
    2 "collection.created" CollectionCreated {
        /// Its id.
        collection: [u8; 16],
    }
    /// A collection's settings were changed.
    3 "collection.changed" CollectionChanged {
        /// Its id.
        collection: [u8; 16],
    }
    /// A collection was removed with all its records.
    4 "collection.dropped" CollectionDropped {
        /// Its id.
        collection: [u8; 16],
    }
    /// A batch of records was written.
    5 "records.written" RecordsWritten {
        /// Into which collection.
        collection: [u8; 16],
        /// How many.
        count: u64,
        /// The sequence of the last.
        last: u64,
    }
    /// Records were deleted by id or by filter.
    6 "records.deleted" RecordsDeleted {
        /// From which collection.
        collection: [u8; 16],
        /// How many.
        count: u64,
        /// The sequence of the last.
        last: u64,
    }
    /// Records were read out in bulk.
    7 "records.exported" RecordsExported {
        /// Of which collection.
        collection: [u8; 16],
        /// How many.
        count: u64,
    }
    /// One search.
    8 "search" Searched {
        /// Over which collection.
        collection: [u8; 16],
    }
    /// The searches of one minute by one actor.
    9 "search.counted" SearchesCounted {
        /// Over which collection.
        collection: [u8; 16],
        /// The minute, counted from the Unix epoch.
        minute: u64,
        /// How many.
        count: u64,
    }
    /// All records of one entity were handed out (access, portability).
    10 "entity.exported" EntityExported {
        /// Whose.
        subject: Pseudonym,
        /// How many records.
        count: u64,
    }
    /// An erasure has hidden an entity and will destroy its keys.
    11 "entity.hidden" ErasureBegun {
        /// Whose. Nobody can tell any more once the erasure has destroyed the blind.
        subject: Pseudonym,
        /// The number of the job.
        job: u64,
    }
    /// An erasure is done and its receipt signed.
    12 "entity.erased" ErasureFinished {
        /// The number of the job, also in the receipt: who has id and salt can tell whose pseudonym the job has hidden.
        job: u64,
        /// SHA-256 of the receipt's signed body.
        receipt: Hash,
        /// How many records went.
        records: u64,
    }
    /// An entity must not be erased for now (legal hold).
    13 "entity.held" HoldPlaced {
        /// Who, by the pseudonym of lists.
        subject: Pseudonym,
    }
    /// A legal hold ended.
    14 "entity.released" HoldLifted {
        /// Whose, by the pseudonym of lists.
        subject: Pseudonym,
    }
    /// An entity revoked its consent: nothing more of it is taken in.
    15 "consent.revoked" ConsentRevoked {
        /// Whose, by the pseudonym of lists.
        subject: Pseudonym,
    }
    /// The KEK was rotated.
    16 "keys.rotated" KeysRotated {
        /// The new epoch.
        epoch: u64,
    }
    /// The root key was replaced.
    17 "keys.root.rotated" RootKeyRotated {
        /// The fingerprint of the new one.
        root_key: Fingerprint,
    }
    /// The root key was wrapped under another passphrase.
    18 "keys.passphrase.changed" PassphraseChanged {}
    /// The root key was split into shares.
    19 "keys.shares.issued" SharesIssued {
        /// How many of them give the key.
        threshold: u64,
        /// How many there are.
        count: u64,
    }
    /// The environment was opened with a root key that shares gave.
    20 "keys.unsealed" Unsealed {}
    /// An API key was made.
    21 "apikey.created" ApiKeyCreated {
        /// Its public part.
        key: Name,
    }
    /// An API key was revoked.
    22 "apikey.revoked" ApiKeyRevoked {
        /// Its public part.
        key: Name,
    }
    /// A role was defined, changed or given.
    23 "role.changed" RoleChanged {
        /// Its name.
        role: Name,
    }
    /// A collection's retention was set.
    24 "retention.set" RetentionSet {
        /// Which collection's.
        collection: [u8; 16],
        /// The window in milliseconds; none keeps records for ever.
        window_ms: Option<u64>,
    }
    /// Records past their window were removed.
    25 "retention.ran" RetentionRan {
        /// From which collection.
        collection: [u8; 16],
        /// How many; none where its keys were of rows that were deleted or replaced before.
        count: u64,
    }
    /// The clock jumped; retention waits until someone confirms it.
    26 "clock.doubted" ClockDoubted {
        /// What it showed before, in milliseconds since the Unix epoch.
        before_ms: u64,
        /// What it shows now.
        now_ms: u64,
    }
    /// The clock was confirmed after a jump.
    27 "clock.confirmed" ClockConfirmed {
        /// What it shows, in milliseconds since the Unix epoch.
        now_ms: u64,
    }
    /// A backup was made.
    28 "backup.created" BackupCreated {
        /// The last write in it.
        last: u64,
    }
    /// A backup was restored.
    29 "backup.restored" BackupRestored {
        /// The last write in it.
        last: u64,
        /// How many of its rows were of erased entities and dropped out.
        dropped: u64,
    }
    /// A privacy budget was raised.
    30 "budget.granted" BudgetGranted {
        /// Which collection's.
        collection: [u8; 16],
        /// The ε that was added, in units of 2⁻²⁰.
        epsilon: u64,
    }
    /// A noisy aggregate was released.
    31 "aggregate.released" AggregateReleased {
        /// Over which collection.
        collection: [u8; 16],
        /// The entry of the ledger that paid for it.
        ledger: u64,
        /// The ε that it cost, in units of 2⁻²⁰.
        epsilon: u64,
    }
    /// A setting was changed.
    32 "settings.changed" SettingsChanged {
        /// Its name.
        setting: Name,
    }
    /// The audit log was read.
    33 "audit.read" AuditRead {
        /// From this event.
        first: u64,
        /// Through this one.
        last: u64,
    }
    /// The beginning of the audit log was removed; its checkpoint stays.
    34 "audit.pruned" AuditPruned {
        /// How many events were removed.
        size: u64,
        /// The root of the tree over them.
        root: Hash,
    }
    /// Files, or all stored bytes, were verified.
    35 "verified" Verified {
        /// Whether every stored byte was authenticated.
        is_deep: bool,
    }
    /// A request was refused for want of a permission.
    36 "access.denied" AccessDenied {
        /// The permission.
        permission: Name,
    }
    /// An environment was made; in the system log.
    37 "environment.created" EnvironmentCreated {
        /// Its id.
        environment: [u8; 16],
    }
    /// An environment was removed; in the system log.
    38 "environment.dropped" EnvironmentDropped {
        /// Its id.
        environment: [u8; 16],
    }
    /// The checkpoint of an environment's log; in the system log.
    39 "audit.checkpoint" EnvironmentCheckpoint {
        /// The environment's id.
        environment: [u8; 16],
        /// The size of its log.
        size: u64,
        /// The root of the tree over it.
        root: Hash,
    }
    /// Another name was given to a collection, or taken from it.
    40 "alias.changed" AliasChanged {
        /// Which collection's.
        collection: [u8; 16],
    }
    /// A copy of the environment was opened with the live keyring, to see what a restore would give.
    41 "backup.drilled" BackupDrilled {}
    /// A backup was read and every byte of it authenticated.
    42 "backup.verified" BackupVerified {
        /// The last write in it.
        last: u64,
    }
    /// Old backups were removed.
    43 "backup.pruned" BackupsPruned {
        /// How many.
        count: u64,
        /// The number of the oldest that stays.
        first: u64,
    }
    /// A privacy budget was given another cap.
    44 "budget.set" BudgetSet {
        /// The row of the ledger that says so.
        ledger: u64,
        /// Which collection's; none for the environment's, or a ration.
        collection: Option<[u8; 16]>,
        /// Whose ration, by an opaque id.
        principal: Option<[u8; 16]>,
        /// The ε of the cap, in units of 2⁻²⁰; none for no cap.
        epsilon: Option<u64>,
    }
    /// Rows of the ledger were lost: all that could have been spent counts as spent.
    45 "budget.forfeited" BudgetForfeited {
        /// The row of the ledger that says so.
        ledger: u64,
    }
    /// The log before this one was lost or damaged. What is left of it is kept aside, and proves nothing any more.
    46 "audit.lost" AuditLost {}
    /// An API key was given another secret.
    47 "apikey.rotated" ApiKeyRotated {
        /// Its public part.
        key: Name,
    }
    /// The rules for end users of a collection were changed.
    48 "rules.changed" RulesChanged {
        /// The collection's name.
        collection: Name,
    }
    /// A critical operation was approved, and the approval spent.
    49 "approval.spent" ApprovalSpent {
        /// What kind of operation it is.
        operation: Name,
        /// How many different people voted for it.
        votes: u64,
    }
    /// Somebody looked: once, or as often as they did in a minute.
    50 "read" Read {
        /// The permission that let them.
        permission: Name,
        /// Into which collection; none where it was no look into one.
        collection: Option<[u8; 16]>,
        /// The minute, counted from the Unix epoch, if looks were counted.
        minute: Option<u64>,
        /// How many.
        count: u64,
    }
    /// More requests of one minute that were refused one actor for want of a permission; the first was told by itself.
    56 "access.denied.counted" AccessDeniedCounted {
        /// The permission.
        permission: Name,
        /// The minute, counted from the Unix epoch.
        minute: u64,
        /// How many.
        count: u64,
    }
}
