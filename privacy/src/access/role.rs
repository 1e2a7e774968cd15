//! Roles: names for sets of permissions. Some are built in; others are made of what their maker has.
//!
//! Invariant: what a built-in role permits is written here and nowhere stored, so that a stored role of the same name
//! can neither take its place nor widen it. Default deny: a role that nobody knows permits nothing.

use thiserror::Error;

use super::permission::{Permission, Permissions};

use Permission::*;

/// The longest name of a role, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// The name of a role: 1 to 64 of `A-Z a-z 0-9 _ -`, starting with a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(String);

/// A text that is no [`RoleName`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the name of a role has 1 to {NAME_BYTES_MAX} letters, digits, '_' or '-' and starts with a letter")]
pub struct RoleNameError;

impl RoleName {
    /// Checks and takes a name.
    pub fn new(name: &str) -> Result<RoleName, RoleNameError> {
        let starts_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
        let fits = name.len() <= NAME_BYTES_MAX;
        if starts_well && fits && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
            return Ok(RoleName(name.to_owned()));
        }
        Err(RoleNameError)
    }

    /// The name as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A role that every database has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BuiltIn {
    /// Everything but what belongs to the holders of shares.
    Owner,
    /// Everything inside its environment but the budget.
    Admin,
    /// Collections, backups, rotation, retention.
    Operator,
    /// Collections, records, search, rules.
    Developer,
    /// Search and private aggregates.
    Analyst,
    /// Reads and searches.
    ReadOnly,
    /// Writes records, and reads none.
    Ingest,
    /// Acts for data subjects.
    PrivacyOfficer,
    /// Sees the audit log and what is set, and no data.
    Auditor,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [BuiltIn; 9] = [
        BuiltIn::Owner,
        BuiltIn::Admin,
        BuiltIn::Operator,
        BuiltIn::Developer,
        BuiltIn::Analyst,
        BuiltIn::ReadOnly,
        BuiltIn::Ingest,
        BuiltIn::PrivacyOfficer,
        BuiltIn::Auditor,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            BuiltIn::Owner => "Owner",
            BuiltIn::Admin => "Admin",
            BuiltIn::Operator => "Operator",
            BuiltIn::Developer => "Developer",
            BuiltIn::Analyst => "Analyst",
            BuiltIn::ReadOnly => "ReadOnly",
            BuiltIn::Ingest => "Ingest",
            BuiltIn::PrivacyOfficer => "PrivacyOfficer",
            BuiltIn::Auditor => "Auditor",
        }
    }

    /// The built-in role of this name, whatever its case: a stored role must not look like one.
    pub fn parse(name: &str) -> Option<BuiltIn> {
        BuiltIn::ALL.into_iter().find(|role| role.as_str().eq_ignore_ascii_case(name))
    }

    /// What it permits.
    pub fn permissions(self) -> Permissions {
        match self {
            BuiltIn::Owner => Permissions::all().but_not(of(&[KeyUnseal, ApprovalVote])),
            BuiltIn::Admin => BuiltIn::Owner.permissions().but_not(of(&ABOVE_ENVIRONMENT)),
            BuiltIn::Operator => {
                all_of(&["collection", "snapshot", "retention"]).or(of(&[EnvRead, EnvUpdate, KeyRead, KeyRotate]))
            }
            BuiltIn::Developer => all_of(&["collection", "record", "search", "rule"]).or(EnvRead.into()),
            BuiltIn::Analyst => all_of(&["search"]).or(of(&[CollectionList, AggregateDp])),
            BuiltIn::ReadOnly => all_of(&["search"]).or(of(&[CollectionList, RecordRead])),
            BuiltIn::Ingest => RecordWrite.into(),
            BuiltIn::PrivacyOfficer => all_of(&["entity", "consent"]).or(AuditRead.into()),
            BuiltIn::Auditor => all_of(&["audit"]).or(of(&[
                EnvRead,
                CollectionList,
                RetentionRead,
                KeyRead,
                ApiKeyList,
                RoleRead,
                RuleRead,
                TokenRead,
                ApprovalRead,
                DpRead,
            ])),
        }
    }
}

/// What reaches beyond one environment, or ends it, or spends what cannot be earned again.
const ABOVE_ENVIRONMENT: [Permission; 7] =
    [EnvCreate, EnvDelete, KeyRoot, DpGrant, SystemConfig, ApprovalWrite, MetricsRead];

fn of(permissions: &[Permission]) -> Permissions {
    permissions.iter().copied().collect()
}

/// Every permission whose name begins with one of these rooms.
fn all_of(rooms: &[&str]) -> Permissions {
    let is_in =
        |permission: &Permission| permission.as_str().split_once('.').is_some_and(|(room, _)| rooms.contains(&room));
    Permission::ALL.iter().copied().filter(is_in).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written out, so that a change of the table shows as a change of what somebody may do.
    #[test]
    fn roles_permit_what_they_say() {
        let names = |role: BuiltIn| role.permissions().iter().map(Permission::as_str).collect::<Vec<_>>().join(" ");
        assert_eq!(names(BuiltIn::Ingest), "record.write");
        assert_eq!(names(BuiltIn::Analyst), "collection.list search.query search.similar search.scan aggregate.dp");
        assert_eq!(names(BuiltIn::ReadOnly), "collection.list record.read search.query search.similar search.scan");
        assert_eq!(
            names(BuiltIn::Developer),
            "env.read collection.list collection.create collection.update collection.delete record.read \
             record.read_vector record.write record.delete search.query search.similar search.scan rule.write rule.read"
        );
        assert_eq!(
            names(BuiltIn::Operator),
            "env.read env.update collection.list collection.create collection.update collection.delete \
             retention.read retention.write key.read key.rotate snapshot.create snapshot.restore snapshot.delete"
        );
        assert_eq!(
            names(BuiltIn::PrivacyOfficer),
            "entity.read entity.export entity.erase entity.hold consent.read consent.grant consent.revoke audit.read"
        );
        assert_eq!(
            names(BuiltIn::Auditor),
            "env.read collection.list retention.read key.read apikey.list role.read rule.read token.read \
             approval.read audit.read audit.verify audit.export dp.read"
        );
        let lacks = |role: BuiltIn| {
            let lacking = Permissions::all().but_not(role.permissions());
            lacking.iter().map(Permission::as_str).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(lacks(BuiltIn::Owner), "key.unseal approval.vote");
        assert_eq!(
            lacks(BuiltIn::Admin),
            "env.create env.delete key.root key.unseal approval.write dp.grant approval.vote system.config metrics.read"
        );
    }

    #[test]
    fn nobody_below_the_officer_and_the_admins_touches_a_person() {
        for role in [BuiltIn::Operator, BuiltIn::Developer, BuiltIn::Analyst, BuiltIn::ReadOnly, BuiltIn::Auditor] {
            assert!(role.permissions().and(all_of(&["entity", "consent"])).is_empty(), "{role:?}");
        }
        let reads = of(&[RecordRead, RecordReadVector, SearchQuery, SearchSimilar, SearchScan, EntityExport]);
        for role in [BuiltIn::Auditor, BuiltIn::Ingest, BuiltIn::Operator] {
            assert!(role.permissions().and(reads).is_empty(), "{role:?} reads no data");
        }
    }

    #[test]
    fn names_are_narrow_and_those_built_in_are_taken_in_any_case() {
        for good in ["a", "Support-1", "x_y", &"r".repeat(64)] {
            assert!(RoleName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "-a", "a b", "a/b", "é", &"r".repeat(65)] {
            assert_eq!(RoleName::new(bad), Err(RoleNameError), "{bad}");
        }
        assert_eq!((BuiltIn::parse("oWNER"), BuiltIn::parse("Root")), (Some(BuiltIn::Owner), None));
    }
}
