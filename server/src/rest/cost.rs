//! What work costs, in units: about what reading one record does.
//!
//! Invariant: the price of a request grows with what it has the engine do, as far as its head and body tell. The body's size
//! stands for the dimension and the number of vectors.

/// So many bytes of a body cost a unit.
pub const BYTES_A_UNIT: u64 = 16 << 10;
/// What an act of administration costs: most write to disk and to the audit log.
pub const ADMIN: u32 = 10;
/// What looking at every record costs, whatever comes of it.
pub const SCAN: u32 = RECORDS_SCANNED / RECORDS_A_UNIT;
/// What a key that is not good costs on top.
pub const BAD_KEY: u32 = 9;
/// What the token of an end user costs on top: its signature has to be verified.
pub const TOKEN: u32 = 4;

/// A collection has as many, for want of knowing better before it is opened.
const RECORDS_SCANNED: u32 = 4096;
/// So many records that are looked at or given cost a unit beside the first.
const RECORDS_A_UNIT: u32 = 64;

/// What a body of so many bytes costs.
pub fn bytes(bytes: u64) -> u32 {
    u32::try_from(bytes / BYTES_A_UNIT).unwrap_or(u32::MAX)
}

/// What looking at so many records costs, or giving them.
pub fn records(records: usize) -> u32 {
    u32::try_from(records / RECORDS_A_UNIT as usize).unwrap_or(u32::MAX)
}
