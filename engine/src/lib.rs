//! lethedb: the vector database that can forget.
//!
//! An embedded engine for searching embeddings of people's data. Everything on disk is encrypted per
//! environment; a person can be erased from live data and from old copies alike.
//!
//! Control stays in the walks, one file each: `write` (and `update`), `search` (with `group`), `read`, `scroll`, `sample`
//! and `facet` (which all `select` what a filter leaves, and it `resolve`s that by what indexes know), `rewrite` (and
//! `aside`), `flush`, `erase`, `retain`, `rotate`, `rebuild`, `declare`, `alias`, `consent`, `hold`, `budget`, `aggregate`,
//! `portable`, `session` (which lets callers in), `access` (their keys and roles) and `policy` (what end users are shown, and who
//! approves what is critical), `admit` and `approve` before all of them, and
//! `recover` for opening; `backup`, `prune` and `restore` with an `archive`; `verify`, `scrub`, `drill` and `witness` look without
//! touching. What they share is in `state`; the
//! handles [`Database`], [`Environment`] and [`Collection`] only forward to them. Data flows one way:
//! rooms below the engine return values and never call back.

#![forbid(unsafe_code)]

mod access;
mod admit;
mod ages;
mod aggregate;
mod aim;
mod alias;
mod anchors;
mod answers;
mod approve;
mod archive;
mod aside;
mod audit;
mod audit_check;
mod audit_event;
mod audit_line;
mod backup;
mod balance;
mod batch;
mod bootstrap;
mod bounds;
mod budget;
mod budget_book;
mod builder;
mod catalog;
mod change;
mod clock;
mod collection;
mod collection_state;
mod condition;
mod consent;
mod consents;
mod database;
mod debit;
mod declare;
mod declared;
mod denials;
mod door;
mod doubt;
mod draft;
mod drill;
pub mod durability;
mod end_user;
mod entrance;
mod entropy;
mod environment;
mod environments;
mod erase;
mod erasure;
mod erasure_plan;
mod error;
mod example;
mod facet;
mod fields;
mod files;
mod filter;
mod flush;
mod gather;
mod gathering;
mod group;
mod health;
mod hold;
mod hold_book;
mod home;
mod identity;
mod info;
mod inquiry;
mod inspect;
mod job;
mod journals;
mod judge;
mod kept;
mod key_status;
mod keys;
mod legacy;
mod limits;
mod maintain;
mod memtable;
mod metric_code;
mod name;
mod nearest;
mod opened;
mod pages;
mod pending;
mod permit;
mod policy;
mod pool;
mod portable;
mod prune;
mod purge;
mod query;
mod read;
#[cfg(doctest)]
mod readme;
mod rebuild;
mod receipt;
mod record;
mod recover;
mod released;
mod relog;
mod repair;
mod replay;
mod rerank;
mod reserve;
mod resolve;
mod restore;
mod retain;
mod retention;
mod rewrite;
mod root_key;
mod roots;
mod rotate;
mod rules;
mod run;
mod salvage;
mod sample;
mod scan;
mod schema;
mod scopes;
mod scroll;
mod scrub;
mod search;
mod segment;
mod segment_files;
mod select;
mod session;
mod settings;
mod shape;
mod site;
mod snapshot;
mod sorted;
mod state;
mod step;
mod succession;
mod system;
mod takeover;
mod tell;
mod trail;
mod update;
mod values;
mod verify;
mod wiped;
mod witness;
mod worker;
mod write;

pub use access::{Access, ApiKeyInfo, ApiKeyRequest, IssuedApiKey};
pub use alias::Alias;
pub use approve::{ApprovalNeeded, new_voter_key};
pub use archive::Archive;
pub use audit::{Audit, AuditExport, AuditPage, AuditReport};
pub use audit_check::{AuditCheck, AuditFileReport};
pub use audit_event::AuditEvent;
pub use backup::{Backup, BackupInfo, BackupReport, Listed, Progress};
pub use balance::{BudgetStanding, audit_field};
pub use budget::{Budget, BudgetOf, BudgetReport};
pub use builder::Builder;
pub use clock::{Clock, SystemClock};
pub use collection::Collection;
pub use collection::aggregate::Aggregate;
pub use collection::scroll::{Count, Facet, Order, Sample, Scroll};
pub use collection::search::{Grouping, Search};
pub use collection::update::Update;
pub use consent::Consent;
pub use database::Database;
pub use declared::FieldType;
pub use drill::Drill;
pub use entropy::{Entropy, OsEntropy};
pub use environment::{CollectionBuilder, Environment};
pub use erasure::{Erase, Erasure, Wait};
pub use erasure_plan::ErasurePlan;
pub use error::{Error, ErrorKind, Result, Wrong};
pub use example::Example;
pub use filter::{FILTER_FAULT, FILTER_TOO_COMPLEX, Filter, NoOperand, Operand};
pub use gathering::Gathering;
pub use health::Health;
pub use hold::LegalHold;
pub use home::{KeyHome, KeyHomes};
pub use index::{Builder as IndexBuilder, Metric};
pub use info::{CollectionInfo, IndexKind, PayloadIndex, SegmentInfo, Upkeep};
pub use inspect::Problem;
pub use kept::Retention;
pub use key_status::{EnvironmentKeys, KeyMemory, KeyStatus};
pub use limits::Limits;
pub use name::NAME_BYTES_MAX;
pub use opened::DrillReport;
pub use policy::{quorum_of, rules_of, trust_of};
pub use portable::EntityExport;
pub use privacy::access::{
    Algorithm as TokenAlgorithm, Approval, Asked, BallotError, BuiltIn as BuiltInRole, Claim, Claims,
    Class as ApiKeyClass, KeySource as TokenKeys, Operation, Permission, Permissions, Quorum, Rule, Rules, Trust, Vote,
    VoterKey,
};
pub use privacy::audit::Source;
pub use privacy::erasure::{Erased, Receipt, ReceiptError, ReceiptView, Subject, UnverifiedReceipt};
pub use privacy::{EntityId, Grade as AnchorGrade, Passphrase, Salt, Share, VerifyingKey, Window, WindowError};
pub use prune::Pruned;
pub use query::{
    AsOf, Counted, Counters, Deleted, FacetCount, Facets, Filtered, Group, Groups, Hit, Hits, Page, Phases, Updated,
    Upserted,
};
pub use receipt::StoredReceipt;
pub use record::{ParseRecordIdError, Record, RecordId};
pub use released::{Predicted, Released, ReleasedGroup};
pub use rerank::Rerank;
pub use restore::{Restore, RestoreReport};
pub use retention::{ExpiredRecords, Retain, RetentionPlan, RetentionRun};
pub use root_key::{
    PASSPHRASE_CREDENTIAL, PASSPHRASE_FILE_VARIABLE, ROOT_KEY_CREDENTIAL, ROOT_KEY_FILE_VARIABLE, ROOT_KEY_VARIABLE,
    RootKey, SHARES_FILE_VARIABLE,
};
pub use salvage::{Salvage, SalvagedLog, SalvagedSegment};
pub use schema::Schema;
pub use scrub::Scrub;
pub use session::{Credentials, Session};
pub use settings::{AuditReads, Settings};
pub use step::Step;
pub use succession::Succession;
pub use trail::{AuditSink, AuditWatch, SinkStanding};
pub use verify::VerifyReport;
pub use witness::{Fates, RowFates, Witness};
