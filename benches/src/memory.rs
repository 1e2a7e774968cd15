//! The memory that this process holds, as the system counts it: resident pages without those of mapped files, which are
//! the system's cache and go when it needs them.
#![expect(clippy::disallowed_methods, reason = "reads what the kernel says about this process")]

/// Bytes in a page, on the systems that have the file read here.
const PAGE_BYTES: i64 = 4096;

/// Bytes of this process's own resident memory; `None` where `/proc` does not tell.
pub fn resident_bytes() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split(' ').skip(1).map(str::parse::<i64>);
    let (resident, of_files) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some((resident - of_files) * PAGE_BYTES)
}

/// Bytes by which that memory grew since it was `before`; 0 where the system does not tell.
pub fn growth(before: Option<i64>) -> i64 {
    resident_bytes().zip(before).map_or(0, |(now, before)| now - before)
}
