//! Who may do what: keys, what they permit, and where.
//!
//! ```text
//! API key ── proves ──► principal ── roles ──► permissions ∩ what keys of its class may do
//!                           └────── scope ──► environment, collections, data subjects
//! ```
//!
//! Leaves first: the named [`permission`]s; the [`role`]s, which are sets of them; the [`scope`], where they count; the
//! [`network`]s that a key may come from; the [`api_key`] itself; what is kept of one ([`grant`]); the [`book`] of all grants and
//! roles; whose tokens of end users are believed ([`trust`]), what such a token claims ([`claims`]) and the [`rule`]s that
//! turn that into conditions; and the [`approval`] by several people,
//! with the text of it ([`ballot`]). All of it computes: who asks brings the time and the randomness.

pub mod api_key;
pub mod approval;
pub mod ballot;
pub mod book;
pub mod claims;
pub mod grant;
pub mod network;
pub mod permission;
pub mod role;
pub mod rule;
pub mod scope;
pub mod trust;

pub use api_key::{ApiKey, ApiKeyError, ApiKeyId, Class};
pub use approval::{Approved, Critical, Operation, Quorum, QuorumError, Spent, Unapproved, Vote};
pub use ballot::{Approval, BallotError, VoterKey};
pub use book::{Book, BookError, ChangeError};
pub use claims::{Claim, Claims};
pub use grant::{Bound, Grant, Refused, SealedId};
pub use network::{Network, NetworkError};
pub use permission::{Permission, Permissions};
pub use role::{BuiltIn, RoleName, RoleNameError};
pub use rule::{Asked, CollectionRules, Condition, Denied, Rule, RuleError, Ruled, Rules};
pub use scope::{Entities, Scope, ScopeError};
pub use trust::{Algorithm, KeySource, Trust, TrustError};
