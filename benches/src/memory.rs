//! The resident set of this process, as the system counts it.
#![expect(clippy::disallowed_methods, reason = "reads what the kernel says about this process")]

/// Bytes in a page, on the systems that have the file read here.
const PAGE_BYTES: i64 = 4096;

/// Resident bytes of this process; `None` where `/proc` does not tell.
pub fn resident_bytes() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * PAGE_BYTES)
}

/// Bytes by which the resident set grew since it was `before`; 0 where the system does not tell.
pub fn growth(before: Option<i64>) -> i64 {
    resident_bytes().zip(before).map_or(0, |(now, before)| now - before)
}
