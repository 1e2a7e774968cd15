//! Numbers that look like chance and are always the same.
//!
//! Invariant: pure. What is measured with them can be measured again.

/// A number for each number (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
pub fn chance(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_evenly() {
        let mut counts = [0_u32; 64];
        (0..64_000).for_each(|number| counts[(chance(number) % 64) as usize] += 1);
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
