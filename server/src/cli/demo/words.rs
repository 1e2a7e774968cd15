//! The bundled words, each with an invented owner.
//!
//! Invariant: a word's position is its record id, and position decides the owner, so that everything can be checked
//! without asking the database.

use datasets::Words;
use engine::Record;
use serde_json::{Value, json};

/// How many people own the words.
const OWNERS: usize = 400;
/// Shares no factor with [`OWNERS`], so that owners come in no visible order and own equally many words.
const STRIDE: usize = 7919;
/// Who is erased.
const LEAVER: usize = 42;

/// Words, vectors and owners.
pub struct Lexicon {
    words: Words,
}

impl Lexicon {
    /// The words inside this binary.
    pub fn bundled() -> Self {
        Self { words: datasets::words() }
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.words.words.len()
    }

    /// How many numbers a vector has.
    pub fn dimension(&self) -> usize {
        self.words.vectors.dimension()
    }

    /// The word at `position`.
    pub fn word(&self, position: usize) -> &'static str {
        self.words.words.get(position).copied().unwrap_or_default()
    }

    /// Where `word` stands.
    pub fn position(&self, word: &str) -> Option<usize> {
        self.words.words.iter().position(|known| *known == word)
    }

    /// The vector of the word at `position`.
    pub fn vector(&self, position: usize) -> &[f32] {
        self.words.vectors.row(position)
    }

    /// All owners.
    pub fn owners(&self) -> impl Iterator<Item = String> {
        (0..OWNERS).map(name)
    }

    /// Who is erased.
    pub fn leaver(&self) -> String {
        name(LEAVER)
    }

    /// Whether the word at `position` belongs to whoever is erased.
    pub fn is_leavers(&self, position: usize) -> bool {
        owner(position) == LEAVER
    }

    /// The record of the word at `position`.
    pub fn record(&self, position: usize) -> Record {
        let record = Record::new(position as u64, self.vector(position).to_vec());
        record.entity(name(owner(position))).payload(json!({ "word": self.word(position) }))
    }

    /// Whether `record` is exactly that of the word at `position`.
    pub fn is_record(&self, record: &Record, position: usize) -> bool {
        position < self.len()
            && record.vector() == self.vector(position)
            && record.entity_id() == Some(name(owner(position)).as_str())
            && word(record.payload_json()) == Some(self.word(position))
    }
}

/// The word in a payload.
pub fn word(payload: Option<&Value>) -> Option<&str> {
    payload?.get("word")?.as_str()
}

fn owner(position: usize) -> usize {
    position * STRIDE % OWNERS
}

fn name(owner: usize) -> String {
    format!("owner-{owner:04}@example.org")
}
