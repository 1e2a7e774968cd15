//! What several suites need: a world with a seeded entropy source and a clock that only tests move, a naive
//! model to hold the engine against, workloads with the judge of what they leave, the history of many threads, and the
//! real server under load with a ledger beside it.

#![forbid(unsafe_code)]

pub mod autopsy;
pub mod backups;
pub mod case;
pub mod copied;
pub mod crash;
pub mod damage;
pub mod damage_backup;
pub mod damage_seen;
pub mod decode;
pub mod errors;
pub mod filters;
pub mod forge;
pub mod full;
pub mod furnished;
pub mod groups;
pub mod guard;
pub mod history;
pub mod kill;
pub mod known;
pub mod ledger;
pub mod lies;
pub mod load;
pub mod model;
pub mod mount;
pub mod mutation;
pub mod needles;
pub mod oracle;
pub mod paid;
pub mod parallel;
pub mod part;
pub mod partial;
pub mod places;
pub mod power;
pub mod progress;
pub mod readers;
pub mod reading;
pub mod reopening;
pub mod scene;
pub mod server;
pub mod tended;
pub mod thin;
pub mod time_travel;
pub mod told;
pub mod tree;
pub mod trials;
pub mod vaults;
pub mod workload;
pub mod world;
