//! Ten thousand English words with their GloVe vectors, inside the binary: real embeddings for examples, tests and the
//! demonstration, without a download.
//!
//! Invariant: as many rows as words, in order of frequency. The vectors are those of Pennington, Socher and Manning,
//! "GloVe: Global Vectors for Word Representation" (2014), published under the Public Domain Dedication and License 1.0,
//! here rounded to half precision.

use half::f16;

use crate::Matrix;

/// Values of each word's vector.
pub const DIMENSION: usize = 100;

/// One word a line.
static WORDS: &str = include_str!("../data/glove-words-10k.txt");

/// Row after row of little-endian half-precision floats.
static VECTORS: &[u8] = include_bytes!("../data/glove-words-10k.f16");

/// Words and their vectors: `vectors.row(i)` belongs to `words[i]`.
#[derive(Clone, Debug)]
pub struct Words {
    /// The words, most frequent first, lower case.
    pub words: Vec<&'static str>,
    /// One row of [`DIMENSION`] values for each word, as trained: not of unit length.
    pub vectors: Matrix,
}

impl Words {
    /// The vector of `word`, if it is among them.
    pub fn vector(&self, word: &str) -> Option<&[f32]> {
        let position = self.words.iter().position(|known| *known == word)?;
        Some(self.vectors.row(position))
    }
}

/// Decodes the bundled words. Takes a few milliseconds and 4 MB.
pub fn words() -> Words {
    let (halves, _) = VECTORS.as_chunks();
    let data = halves.iter().map(|half| f16::from_le_bytes(*half).to_f32()).collect();
    Words { words: WORDS.lines().collect(), vectors: Matrix { dimension: DIMENSION, data } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Distance;

    #[test]
    fn every_word_has_a_finite_vector_of_its_own() {
        let Words { words, vectors } = words();
        assert_eq!((words.len(), vectors.len(), vectors.as_slice().len()), (10_000, 10_000, 1_000_000));
        assert_eq!(VECTORS.len(), 2 * vectors.as_slice().len(), "no odd byte is left over");
        assert!(
            vectors
                .rows()
                .all(|row| row.iter().all(|value| value.is_finite()) && row.iter().any(|value| *value != 0.0))
        );
        let mut sorted = words;
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 10_000);
    }

    #[test]
    fn near_words_are_near() {
        let words = words();
        let far = |a, b| Distance::Cosine.between(words.vector(a).unwrap(), words.vector(b).unwrap());
        assert!(far("king", "queen") < far("king", "percent"));
        assert!(far("two", "three") < far("two", "people"));
        assert_eq!(words.vector("xylography"), None);
    }
}
