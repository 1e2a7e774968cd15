//! What can be typed after `lethedb`, and which file runs it.

use clap::{Parser, Subcommand};

use super::context::{Common, Context};
use super::failure::Failure;
use super::{
    aggregate, aliases, api_keys, audit, backup, bench, budget, collections, config, consent, demo, erase, export,
    hold, import, indexes, keys, policy, receipt, records, restore, retention, salvage, search, serve, verify,
    verify_erasure,
};

/// The vector database that can forget: encrypted, erasable, embedded.
#[derive(Parser)]
#[command(name = "lethedb", version, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server, REST and gRPC, until SIGTERM or Ctrl-C.
    Serve(serve::Args),
    /// Show which settings are in force, and why.
    #[command(subcommand)]
    Config(config::Command),
    /// Show on real words what encryption and erasure do. Under a minute, in a temporary directory.
    Demo(demo::Args),
    /// Store the records of a file: jsonl, parquet, hdf5, npy, fbin, u8bin, fvecs or bvecs.
    Import(import::Args),
    /// Write the records of a collection to a file, in the clear: jsonl, parquet, npy or fbin.
    Export(export::Args),
    /// Make, list, describe, change and drop collections.
    #[command(subcommand)]
    Collections(collections::Command),
    /// Give collections other names, which readers and writers can use instead.
    #[command(subcommand)]
    Aliases(aliases::Command),
    /// Index fields of payloads.
    #[command(subcommand)]
    Indexes(indexes::Command),
    /// Look at, count, change and delete records.
    #[command(subcommand)]
    Records(records::Command),
    /// Find the records nearest to a vector or to other records, alone, by groups or in batches.
    Search(search::Args),
    /// Erase people: records, codes, graph, log and keys. Cannot be undone.
    Erase(erase::Args),
    /// Show or check what an erasure left for others to check.
    #[command(subcommand)]
    Receipt(receipt::Command),
    /// Read or check the account of what was done.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Make, list, revoke and rotate API keys: who may use the server.
    #[command(subcommand)]
    ApiKeys(api_keys::Command),
    /// Say which records end users are shown, for what their tokens claim.
    #[command(subcommand)]
    Rules(policy::Rules),
    /// Say whose tokens of end users are believed.
    #[command(subcommand)]
    EndUsers(policy::EndUsers),
    /// Say who approves critical operations.
    #[command(subcommand)]
    Approvers(policy::Approvers),
    /// Vote for a critical operation, with the key of somebody who approves.
    Approve(policy::Approve),
    /// Look at the keys, replace them, and look after the ways to the root key.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Hold a person's data, so that it is not erased.
    #[command(subcommand)]
    Hold(hold::Command),
    /// Keep records for a time only, and remove those past it.
    #[command(subcommand)]
    Retention(retention::Command),
    /// Ask for noisy answers about many people, which say little about any one.
    #[command(subcommand)]
    Aggregate(aggregate::Command),
    /// Show what may be spent of people's privacy and what was, and allow more.
    #[command(subcommand)]
    Budget(budget::Command),
    /// Check the receipt of an erasure, the keys, the rows and every byte, without the engine that erased.
    VerifyErasure(verify_erasure::Args),
    /// Revoke a person's consent, so that their data is never taken in again. Cannot be undone.
    #[command(subcommand)]
    Consent(consent::Command),
    /// Re-authenticate every stored byte of an environment.
    Verify(verify::Args),
    /// Make, list and verify backups.
    #[command(subcommand)]
    Backup(backup::Command),
    /// Give an environment back what a backup holds of it. Only tells what that is, unless given --yes.
    Restore(restore::Args),
    /// Open a damaged environment with what is left of it. Only tells what that is, unless given --yes.
    Salvage(salvage::Args),
    /// Measure recall and speed.
    #[command(subcommand)]
    Bench(bench::Command),
}

/// Runs the command that the user gave.
///
/// # Errors
/// What went wrong, with the exit code that says it to scripts.
pub fn run(cli: Cli) -> Result<(), Failure> {
    let context = Context::new(cli.common)?;
    match cli.command {
        Command::Serve(args) => serve::run(context, args),
        Command::Config(command) => config::run(&context, &command),
        Command::Demo(args) => demo::run(&context, &args),
        Command::Import(args) => import::run(&context, &args),
        Command::Export(args) => export::run(&context, &args),
        Command::Collections(command) => collections::run(&context, &command),
        Command::Aliases(command) => aliases::run(&context, &command),
        Command::Indexes(command) => indexes::run(&context, &command),
        Command::Records(command) => records::run(&context, &command),
        Command::Search(args) => search::run(&context, &args),
        Command::Erase(args) => erase::run(&context, args),
        Command::Receipt(command) => receipt::run(&context, &command),
        Command::Audit(command) => audit::run(&context, command),
        Command::ApiKeys(command) => api_keys::run(&context, command),
        Command::Rules(command) => policy::rules(&context, command),
        Command::EndUsers(command) => policy::end_users(&context, command),
        Command::Approvers(command) => policy::approvers(&context, command),
        Command::Approve(args) => policy::approve(&context, &args),
        Command::Keys(command) => keys::run(&context, &command),
        Command::Hold(command) => hold::run(&context, command),
        Command::Retention(command) => retention::run(&context, command),
        Command::Aggregate(command) => aggregate::run(&context, command),
        Command::Budget(command) => budget::run(&context, command),
        Command::VerifyErasure(args) => verify_erasure::run(&context, &args),
        Command::Consent(command) => consent::run(&context, command),
        Command::Verify(args) => verify::run(&context, &args),
        Command::Backup(command) => backup::run(&context, &command),
        Command::Restore(args) => restore::run(&context, &args),
        Command::Salvage(args) => salvage::run(&context, &args),
        Command::Bench(command) => bench::run(&context, command),
    }
}
