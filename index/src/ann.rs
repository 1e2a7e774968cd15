//! The index of one segment: its codes, with a graph over them where they are many. The door of
//! this crate.
//!
//! Invariant: a search returns at least `min(ef, allowed rows)` candidates, sorted by (distance,
//! position), whichever way it went; the bytes are a pure function of codes, order and parameters
//! where the build is.

use crate::codec::DecodeError;
use crate::codes::Codes;
use crate::graph::{self, BuildParams, FrozenGraph};
use crate::quantize::{Query, Space};
use crate::search::{Allow, Candidate, Goal, Scratch, refine, scan, walk};
use roaring::RoaringBitmap;
use zeroize::Zeroizing;

/// Filters that leave no more rows than this are answered by a scan, unless they leave most rows.
const SCAN_UP_TO: u64 = 16_384;

/// An index of codes for approximate nearest neighbours.
pub enum Ann {
    /// Every search scans all codes.
    Flat(Codes),
    /// Searches walk the graph.
    Graph(Codes, FrozenGraph),
}

impl Ann {
    /// Indexes `codes`, whose positions follow a keyed order of the records: rows enter the graph in
    /// it. Runs in the current `rayon` pool.
    pub fn build(space: &Space, codes: Codes, params: &BuildParams) -> Self {
        if codes.len() < params.flat_below.max(2) {
            return Self::Flat(codes);
        }
        let graph = graph::build(space, &codes, params);
        Self::Graph(codes, graph)
    }

    /// The candidates for the nearest allowed rows: at least `min(ef, allowed rows)`, nearest
    /// first, positions breaking ties. A greater `ef` finds more of the true neighbours and takes
    /// longer.
    pub fn search(&self, query: &Query, ef: usize, allow: Allow<'_>, scratch: &mut Scratch) -> Vec<Candidate> {
        let mut found = Vec::new();
        self.search_into(query, ef, allow, scratch, &mut found);
        found
    }

    /// [`search`](Self::search) into a buffer, which is cleared first; allocates nothing once
    /// buffer and scratch have grown to their size.
    pub fn search_into(
        &self,
        query: &Query,
        ef: usize,
        allow: Allow<'_>,
        scratch: &mut Scratch,
        found: &mut Vec<Candidate>,
    ) {
        found.clear();
        scratch.reset_counters();
        let codes = self.codes();
        let rows = codes.len() as u64;
        let matching = allow.count(codes.len() as u32);
        if matching == 0 || ef == 0 {
            return;
        }
        let candidate = |(position, key)| Candidate {
            position,
            distance: query.distance(key),
            error: codes.error(query, position),
        };
        if let Self::Graph(_, graph) = self
            && !is_selective(matching, rows)
        {
            // Among the nearest rows, matches are as rare as elsewhere or rarer; a wider pool makes
            // up for it.
            let width = (ef as f64 * (rows as f64 / matching as f64).sqrt()).ceil() as usize;
            walk(graph, &Roughly { codes, query }, (ef, width), allow, scratch);
            if scratch.found().len() as u64 >= matching.min(ef as u64) {
                if codes.is_packed() {
                    refine(&Exactly { codes, query }, scratch);
                }
                found.extend(scratch.found().iter().map(candidate));
                return;
            }
        }
        scan(rows as u32, &Exactly { codes, query }, ef, allow, scratch);
        found.extend(scratch.found().iter().map(candidate));
    }

    /// The index of the rows that are left when those in `removed` go, with the graph repaired, not
    /// rebuilt: it leads to all of them, but by edges chosen when the others were there.
    pub fn without(&self, space: &Space, removed: &RoaringBitmap, params: &BuildParams) -> Self {
        let rows = self.codes().len() as u32;
        let kept = || (0..rows).filter(|row| !removed.contains(*row));
        let mut codes = Codes::with_capacity(space, kept().count());
        let mut code = Zeroizing::new(vec![0; space.stride()]);
        for row in kept() {
            self.codes().read(row, &mut code);
            codes.push_code(&code, self.codes().norm(row));
        }
        match self.graph() {
            Some(old) if codes.len() >= params.flat_below.max(2) => {
                let graph = graph::without(space, &codes, old, removed);
                Self::Graph(codes, graph)
            }
            _ => Self::Flat(codes),
        }
    }

    /// The codes.
    pub fn codes(&self) -> &Codes {
        match self {
            Self::Flat(codes) | Self::Graph(codes, _) => codes,
        }
    }

    /// The graph, if there is one.
    pub fn graph(&self) -> Option<&FrozenGraph> {
        match self {
            Self::Flat(_) => None,
            Self::Graph(_, graph) => Some(graph),
        }
    }

    /// Bytes of memory held.
    pub fn resident_bytes(&self) -> usize {
        self.codes().resident_bytes() + self.graph().map_or(0, FrozenGraph::resident_bytes)
    }

    /// The codes as bytes, for [`decode`](Self::decode).
    pub fn encode_codes(&self) -> Zeroizing<Vec<u8>> {
        self.codes().encode()
    }

    /// The graph as bytes, for [`decode`](Self::decode); empty if there is none.
    pub fn encode_graph(&self) -> Zeroizing<Vec<u8>> {
        self.graph().map_or_else(Zeroizing::default, FrozenGraph::encode)
    }

    /// Reads an index back. Empty `graph` bytes mean that there is none.
    ///
    /// # Errors
    /// If the bytes are not codes of this space, or not a graph over as many rows.
    pub fn decode(space: &Space, codes: &[u8], graph: &[u8]) -> Result<Self, DecodeError> {
        let codes = Codes::decode(space, codes)?;
        if graph.is_empty() {
            return Ok(Self::Flat(codes));
        }
        let graph = FrozenGraph::decode(graph, codes.len())?;
        Ok(Self::Graph(codes, graph))
    }
}

/// Nearness to a query.
struct Exactly<'a> {
    codes: &'a Codes,
    query: &'a Query,
}

impl Goal for Exactly<'_> {
    #[inline]
    fn keys(&self, positions: &[u32], keys: &mut [i32]) {
        self.codes.keys(self.query, positions, keys);
    }
}

/// Nearness to a query, well enough to walk by.
struct Roughly<'a> {
    codes: &'a Codes,
    query: &'a Query,
}

impl Goal for Roughly<'_> {
    #[inline]
    fn keys(&self, positions: &[u32], keys: &mut [i32]) {
        self.codes.rough_keys(self.query, positions, keys);
    }
}

/// Whether a scan of the `matching` rows beats a walk over all `rows`.
fn is_selective(matching: u64, rows: u64) -> bool {
    let most = 5 * matching >= 2 * rows;
    100 * matching < rows || (matching <= SCAN_UP_TO && !most)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]
    use super::*;
    use crate::metric::Metric;
    use crate::samples::{clusters, codes};
    use proptest::prelude::*;

    const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Dot, Metric::L2];

    fn index(space: &Space, vectors: &[Vec<f32>]) -> Ann {
        let params = BuildParams { flat_below: 64, ..BuildParams::default() };
        Ann::build(space, codes(space, vectors), &params)
    }

    /// The share of the exact ten nearest that are first after ranking the candidates again by
    /// exact distance.
    fn recall(space: &Space, ann: &Ann, vectors: &[Vec<f32>], queries: &[Vec<f32>], ef: usize) -> f64 {
        let mut scratch = Scratch::new();
        let mut hits = 0;
        for vector in queries {
            let exact = |positions: &mut dyn Iterator<Item = u32>| {
                let distance = |position| space.metric().distance(vector, &vectors[position as usize]);
                let mut all: Vec<(f32, u32)> = positions.map(|position| (distance(position), position)).collect();
                all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                all.into_iter().take(10).map(|(_, position)| position).collect::<Vec<_>>()
            };
            let truth = exact(&mut (0..vectors.len() as u32));
            let found = ann.search(&space.query(vector), ef, Allow::All, &mut scratch);
            let found = exact(&mut found.iter().map(|candidate| candidate.position));
            hits += found.iter().filter(|position| truth.contains(position)).count();
        }
        hits as f64 / (10 * queries.len()) as f64
    }

    #[test]
    fn codes_and_graph_find_the_exact_neighbours() {
        for metric in METRICS {
            let space = Space::new(metric, 48, &[4; 32]);
            let mut vectors = clusters(3040, 48, 10);
            let queries = vectors.split_off(3000);
            let graph = index(&space, &vectors);
            assert!(graph.graph().is_some());
            let flat = Ann::Flat(codes(&space, &vectors));
            let by_codes = recall(&space, &flat, &vectors, &queries, 32);
            let by_graph = recall(&space, &graph, &vectors, &queries, 64);
            assert!(by_codes >= 0.99 && by_graph >= 0.98, "{metric}: codes {by_codes}, graph {by_graph}");
        }
    }

    #[test]
    fn every_filter_gives_enough_allowed_sorted_candidates() {
        let space = Space::new(Metric::L2, 16, &[4; 32]);
        let vectors = clusters(1500, 16, 11);
        let ann = index(&space, &vectors);
        let mut scratch = Scratch::new();
        for every in [1, 2, 3, 100, 1499] {
            let chosen: RoaringBitmap = (0..1500).step_by(every).chain(5000..5100).collect();
            for (allow, matching) in [
                (Allow::All, 1500),
                (Allow::Only(&chosen), chosen.range_cardinality(..1500) as usize),
                (Allow::Except(&chosen), 1500 - chosen.range_cardinality(..1500) as usize),
            ] {
                for ef in [0, 1, 10, 400, 2000] {
                    let found = ann.search(&space.query(&vectors[3]), ef, allow, &mut scratch);
                    assert!(found.len() >= ef.min(matching), "{every} {ef}: {} of {matching}", found.len());
                    assert!(found.iter().all(|c| c.position < 1500 && allow.contains(c.position)));
                    let key = |c: &Candidate| (c.distance, c.position);
                    assert!(found.is_sorted_by(|a, b| key(a) < key(b)));
                }
            }
        }
    }

    #[test]
    fn small_segments_are_flat_and_empty_ones_answer() {
        let space = Space::new(Metric::Dot, 5, &[4; 32]);
        for n in [0, 1, 63] {
            let ann = index(&space, &clusters(n, 5, 12));
            assert!(matches!(ann, Ann::Flat(_)) && ann.encode_graph().is_empty());
            let found = ann.search(&space.query(&[1.0; 5]), 10, Allow::All, &mut Scratch::new());
            assert_eq!(found.len(), n.min(10));
            assert!(found.iter().all(|c| c.error > 0.0 && c.error < 1.0));
        }
    }

    fn encoded() -> (Space, Vec<u8>, Vec<u8>) {
        let space = Space::new(Metric::Cosine, 8, &[4; 32]);
        let ann = index(&space, &clusters(100, 8, 13));
        let (codes, graph) = (ann.encode_codes().to_vec(), ann.encode_graph().to_vec());
        (space, codes, graph)
    }

    #[test]
    fn bytes_round_trip_and_belong_to_their_space() {
        let (space, codes, graph) = encoded();
        let ann = Ann::decode(&space, &codes, &graph).unwrap();
        assert_eq!((&*ann.encode_codes(), &*ann.encode_graph()), (&codes, &graph));
        let other = |space: Space| Ann::decode(&space, &codes, &graph).err();
        assert_eq!(other(Space::new(Metric::Dot, 8, &[4; 32])), Some(DecodeError::OtherSpace));
        assert_eq!(other(Space::new(Metric::Cosine, 9, &[4; 32])), Some(DecodeError::OtherSpace));
        let no_version = [&[0], &codes[1..]].concat();
        assert_eq!(Ann::decode(&space, &no_version, &[]).err(), Some(DecodeError::Range { what: "version" }));
        let mut bad_norm = codes.clone();
        bad_norm[8..12].copy_from_slice(&f32::NAN.to_le_bytes());
        assert_eq!(Ann::decode(&space, &bad_norm, &[]).err(), Some(DecodeError::Range { what: "norm" }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// One changed byte or a cut: an error, or an index that still answers in full.
        #[test]
        fn damage_gives_an_error_or_a_usable_index(
            at in any::<prop::sample::Index>(), flip in 1_u8.., of_graph: bool, cut: bool
        ) {
            let (space, mut codes, mut graph) = encoded();
            let bytes = if of_graph { &mut graph } else { &mut codes };
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
            if let Ok(ann) = Ann::decode(&space, &codes, &graph) {
                let found = ann.search(&space.query(&[1.0; 8]), 20, Allow::All, &mut Scratch::new());
                prop_assert!(found.len() >= 20.min(ann.codes().len()));
            }
        }
    }
}
