//! The middle of several rounds, which one disturbed round does not move.

/// The middle figure, the mean of the two middle ones of an even number; `None` of none.
pub fn median(figures: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    let (above, below) = (figures.get(middle)?, figures.get(middle.checked_sub(1).unwrap_or(middle))?);
    Some(if figures.len().is_multiple_of(2) { (above + below) / 2.0 } else { *above })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_counts() {
        assert_eq!(median([]), None);
        assert_eq!(median([4.0]), Some(4.0));
        assert_eq!(median([1000.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([8.0, 1.0, 4.0, 2.0]), Some(3.0));
    }
}
