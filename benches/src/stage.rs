//! What a run is busy with, for whoever watches it.

/// What a run is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Making rows up, with their exact neighbours.
    Synth,
    /// Storing rows.
    Import,
    /// Building the index.
    Build,
    /// Deleting and updating.
    Change,
    /// Erasing.
    Erase,
    /// Building the other engine's index.
    Baseline,
    /// Other engines building and sweeping their settings.
    Peers,
    /// Asking queries.
    Search,
    /// Telling events.
    Tell,
    /// Hashing events.
    Verify,
}

impl Stage {
    /// The stage in one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Synth => "making up",
            Self::Import => "importing",
            Self::Build => "building",
            Self::Change => "changing",
            Self::Erase => "erasing",
            Self::Baseline => "baseline",
            Self::Peers => "peers",
            Self::Search => "searching",
            Self::Tell => "telling",
            Self::Verify => "verifying",
        }
    }
}
