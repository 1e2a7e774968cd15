//! The named permissions, and sets of them.
//!
//! Invariant: one table makes all of them, and a name never changes its meaning, because names are what is stored. A set
//! with a name that this version does not know is not read at all: nobody can say what it would grant.

use std::fmt;
use std::iter;

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:literal $variant:ident,)*) => {
        /// One thing that somebody may do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission {
            $($(#[$doc])* $variant,)*
        }

        impl Permission {
            /// Every permission, in the order of the table.
            pub const ALL: &[Permission] = &[$(Permission::$variant),*];

            /// Its name, as roles, answers and the audit log have it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Permission::$variant => $name,)*
                }
            }
        }
    };
}

permissions! {
    /// See that the environment is there, and how it is.
    "env.read" EnvRead,
    /// Make environments.
    "env.create" EnvCreate,
    /// Change the environment's settings; flush and compact it.
    "env.update" EnvUpdate,
    /// Remove the environment.
    "env.delete" EnvDelete,
    /// See which collections and aliases there are, and what they are like.
    "collection.list" CollectionList,
    /// Make collections.
    "collection.create" CollectionCreate,
    /// Change schema, limits, indexes and aliases.
    "collection.update" CollectionUpdate,
    /// Drop collections.
    "collection.delete" CollectionDelete,
    /// Read records by their ids.
    "record.read" RecordRead,
    /// Be given vectors, which can be turned back into what they were made from.
    "record.read_vector" RecordReadVector,
    /// Store and update records.
    "record.write" RecordWrite,
    /// Delete records.
    "record.delete" RecordDelete,
    /// Search by a vector.
    "search.query" SearchQuery,
    /// Search by records that are there.
    "search.similar" SearchSimilar,
    /// Go through what a filter leaves: scroll, count, facet, sample.
    "search.scan" SearchScan,
    /// Release private aggregates, which spend the budget.
    "aggregate.dp" AggregateDp,
    /// Compute exact aggregates.
    "aggregate.exact" AggregateExact,
    /// See receipts and holds.
    "entity.read" EntityRead,
    /// Be given everything that is stored about a data subject.
    "entity.export" EntityExport,
    /// Erase a data subject.
    "entity.erase" EntityErase,
    /// Place and lift legal holds.
    "entity.hold" EntityHold,
    /// See whether consent was revoked.
    "consent.read" ConsentRead,
    /// Note consent that was given. The latch knows no way back, so nothing asks for it today.
    "consent.grant" ConsentGrant,
    /// Revoke consent for a data subject, for ever.
    "consent.revoke" ConsentRevoke,
    /// See windows of retention, and what is past them.
    "retention.read" RetentionRead,
    /// Set windows of retention, run it, confirm the clock.
    "retention.write" RetentionWrite,
    /// See how keys stand.
    "key.read" KeyRead,
    /// Replace the key that wraps the keyring.
    "key.rotate" KeyRotate,
    /// Seal all rows anew.
    "key.reencrypt" KeyReencrypt,
    /// Replace the root key.
    "key.root" KeyRoot,
    /// Give shares of the root key.
    "key.unseal" KeyUnseal,
    /// See which API keys there are.
    "apikey.list" ApiKeyList,
    /// Make and rotate API keys.
    "apikey.create" ApiKeyCreate,
    /// Revoke API keys.
    "apikey.revoke" ApiKeyRevoke,
    /// See roles.
    "role.read" RoleRead,
    /// Define roles.
    "role.write" RoleWrite,
    /// Give roles to keys.
    "role.assign" RoleAssign,
    /// Set the rules for end users.
    "rule.write" RuleWrite,
    /// See the rules for end users.
    "rule.read" RuleRead,
    /// See whose tokens of end users are believed.
    "token.read" TokenRead,
    /// Say whose tokens of end users are believed.
    "token.write" TokenWrite,
    /// See who approves critical operations.
    "approval.read" ApprovalRead,
    /// Say who approves critical operations.
    "approval.write" ApprovalWrite,
    /// Read the audit log.
    "audit.read" AuditRead,
    /// Verify the audit log, and stored bytes.
    "audit.verify" AuditVerify,
    /// Export the audit log.
    "audit.export" AuditExport,
    /// See the privacy budget.
    "dp.read" DpRead,
    /// Raise the privacy budget.
    "dp.grant" DpGrant,
    /// Make, list and verify backups.
    "snapshot.create" SnapshotCreate,
    /// Restore backups, and open them for a drill.
    "snapshot.restore" SnapshotRestore,
    /// Remove backups.
    "snapshot.delete" SnapshotDelete,
    /// Vote on critical operations.
    "approval.vote" ApprovalVote,
    /// Decide what may be sent elsewhere.
    "egress.write" EgressWrite,
    /// Change settings of the whole system.
    "system.config" SystemConfig,
    /// See what the server counts, of all environments.
    "metrics.read" MetricsRead,
}

impl Permission {
    /// The permission of this name.
    pub fn parse(name: &str) -> Option<Permission> {
        Permission::ALL.iter().copied().find(|permission| permission.as_str() == name)
    }

    fn bit(self) -> u64 {
        1 << self as u64
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Permissions(u64);

impl Permissions {
    /// No permission.
    pub const NONE: Permissions = Permissions(0);

    /// Every permission.
    pub fn all() -> Permissions {
        Permission::ALL.iter().copied().collect()
    }

    /// Whether `permission` is in it.
    pub fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// Whether it has all that `other` has.
    pub fn covers(self, other: Permissions) -> bool {
        other.0 & !self.0 == 0
    }

    /// What is in either.
    #[must_use]
    pub fn or(self, other: Permissions) -> Permissions {
        Permissions(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Permissions) -> Permissions {
        Permissions(self.0 & other.0)
    }

    /// What is in this and not in `other`.
    #[must_use]
    pub fn but_not(self, other: Permissions) -> Permissions {
        Permissions(self.0 & !other.0)
    }

    /// The permissions in it, in the order of the table.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.contains(*permission))
    }

    /// How many are in it.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Permissions(permissions.into_iter().fold(0, |bits, permission| bits | permission.bit()))
    }
}

impl From<Permission> for Permissions {
    fn from(permission: Permission) -> Self {
        iter::once(permission).collect()
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn some() -> impl Strategy<Value = BTreeSet<Permission>> {
        prop::collection::btree_set(prop::sample::select(Permission::ALL), 0..20)
    }

    #[test]
    fn names_are_unique_and_lead_back() {
        let names: BTreeSet<&str> = Permission::ALL.iter().map(|permission| permission.as_str()).collect();
        assert_eq!((names.len(), Permission::ALL.len()), (55, 55), "one bit each, in 64");
        for permission in Permission::ALL {
            assert_eq!(Permission::parse(permission.as_str()), Some(*permission));
            let (room, act) = permission.as_str().split_once('.').unwrap_or_default();
            assert!(!room.is_empty() && act.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{permission}");
        }
        assert_eq!(Permission::parse("record.*"), None, "no wildcards");
    }

    proptest! {
        #[test]
        fn sets_are_sets(a in some(), b in some()) {
            let of = |set: &BTreeSet<Permission>| set.iter().copied().collect::<Permissions>();
            let (x, y) = (of(&a), of(&b));
            prop_assert_eq!(x.iter().collect::<BTreeSet<_>>(), a.clone());
            prop_assert_eq!(x.or(y), of(&(&a | &b)));
            prop_assert_eq!(x.and(y), of(&(&a & &b)));
            prop_assert_eq!(x.but_not(y), of(&(&a - &b)));
            prop_assert_eq!(x.covers(y), a.is_superset(&b));
            prop_assert_eq!((x.len(), x.is_empty()), (a.len(), a.is_empty()));
            for permission in Permission::ALL {
                prop_assert_eq!(x.contains(*permission), a.contains(permission));
            }
        }
    }
}
