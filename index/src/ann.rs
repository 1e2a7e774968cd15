//! The index of one segment: its codes, with a graph over them where they are many. The door of
//! this crate.
//!
//! Invariant: a search returns at least `min(limit, allowed rows)` candidates, sorted by (distance,
//! position), whichever way it went; the bytes are a pure function of codes, order and parameters
//! where the build is.

use crate::codes::Codes;
use crate::decode_error::DecodeError;
use crate::graph::{self, BuildParams, FrozenGraph, Stop};
use crate::quantize::{Query, Space};
use crate::search::{
    Allow, Candidate, Counters, Extent, Goal, Horizon, Reach, Scratch, Through, Way, refine, scan, walk, way,
};
use crate::source::Source;
use roaring::RoaringBitmap;
use zeroize::Zeroizing;

/// An index of codes for approximate nearest neighbours.
pub enum Ann {
    /// Every search scans all codes.
    Flat(Codes),
    /// Searches walk the graph.
    Graph(Codes, FrozenGraph),
}

impl Ann {
    /// Indexes `codes`, whose positions follow a keyed order of the records, so that the first of
    /// them are a random sample. Runs in the current `rayon` pool; `None` once told to `stop`.
    pub fn build(space: &Space, codes: Codes, params: &BuildParams, stop: Stop<'_>) -> Option<Self> {
        if codes.len() < params.flat_below.max(2) {
            return Some(Self::Flat(codes));
        }
        let graph = graph::build(space, &codes, params, stop)?;
        Some(Self::Graph(codes, graph))
    }

    /// The candidates for the nearest allowed rows: at least `min(limit, allowed rows)`, nearest
    /// first, positions breaking ties, without those whose errors cannot make them belong. A greater
    /// `ef` finds more of the true neighbours and takes longer.
    pub fn search(&self, query: &Query, reach: Reach, allow: Allow<'_>, scratch: &mut Scratch) -> Vec<Candidate> {
        let mut found = Vec::new();
        self.search_into(query, reach, allow, scratch, &mut found);
        found
    }

    /// [`search`](Self::search) into a buffer, which is cleared first; allocates nothing once
    /// buffer and scratch have grown to their size.
    pub fn search_into(
        &self,
        query: &Query,
        reach: Reach,
        allow: Allow<'_>,
        scratch: &mut Scratch,
        found: &mut Vec<Candidate>,
    ) {
        found.clear();
        scratch.reset_counters();
        let codes = self.codes();
        let rows = codes.len() as u32;
        let matching = allow.count(rows);
        if matching == 0 || reach.limit == 0 {
            return;
        }
        let goal = Roughly { codes, query };
        let is_found = self.graph().is_some_and(|graph| self.walks(graph, &goal, reach, (allow, matching), scratch));
        if !is_found {
            scan(rows, &goal, (reach, reach.width_of_scan()), allow, scratch);
            scratch.count_bytes(matching * codes.rough_row_bytes(query));
        }
        if !codes.has_no_rough_keys(query) {
            refine(&Exactly { codes, query }, scratch);
            scratch.count_bytes(scratch.found().len() as u64 * codes.row_bytes());
        }
        self.candidates(query, reach, scratch, found);
    }

    /// Walks the graph, unless a scan is better; says whether that found enough.
    fn walks(
        &self,
        graph: &FrozenGraph,
        goal: &Roughly<'_>,
        reach: Reach,
        (allow, matching): (Allow<'_>, u64),
        scratch: &mut Scratch,
    ) -> bool {
        let codes = self.codes();
        // A walk for some of the rows is given up once it took as long as the scan that then follows.
        let most = if matching < codes.len() as u64 { matching } else { u64::MAX };
        let is_whole = match way(codes.len() as u64, matching, reach) {
            Way::Scan => return false,
            Way::Along { more } => {
                walk(graph, goal, &Extent { reach, width: reach.width() + more, most }, allow, scratch)
            }
            Way::Through { ef } => {
                let reach = Reach { ef, ..reach };
                let share = matching as f64 / codes.len() as f64;
                let mut room = scratch.take_room();
                let cells = graph.cells(|| codes.between_rows(goal.query));
                let through = Through::new((graph, graph.degree(), cells), goal, (allow, share), &mut room);
                // Pivots lie side by side: each takes as long as a row that is scanned.
                scratch.count_compared(cells.len() as u64);
                let most = most.saturating_add(cells.len() as u64);
                let extent = Extent { reach, width: reach.width_among_others(), most };
                let is_whole = walk(&through, goal, &extent, Allow::All, scratch);
                scratch.give_room(room);
                is_whole
            }
        };
        let Counters { hops, compared, .. } = scratch.counters();
        scratch.count_bytes(compared * codes.rough_row_bytes(goal.query) + hops * graph.list_bytes());
        is_whole && scratch.found().len() as u64 >= matching.min(reach.limit as u64)
    }

    /// What was found and may belong to the nearest that are wanted, nearest first; of more than the width of the search
    /// that are in doubt, the nearest.
    fn candidates(&self, query: &Query, reach: Reach, scratch: &mut Scratch, found: &mut Vec<Candidate>) {
        let (codes, limit) = (self.codes(), reach.limit);
        scratch.found().iter().for_each(|(position, _)| codes.prefetch_error(position));
        scratch.sort_found();
        // The greatest of what the nearest can be at most: others must be able to be nearer.
        let mut last_chance = f32::NEG_INFINITY;
        for (at, (position, key)) in scratch.found().iter().take(reach.width()).enumerate() {
            let distance = query.distance(key);
            if at >= limit && distance - codes.greatest_error(query, distance) > last_chance {
                break;
            }
            let error = codes.error(query, position, distance);
            if at < limit {
                last_chance = last_chance.max(distance + error);
            } else if distance - error > last_chance {
                continue;
            }
            found.push(Candidate { position, distance, error });
        }
    }

    /// The index of the rows that are left when those in `removed` go, with the graph repaired, not
    /// rebuilt: it leads to all of them, but by edges chosen when the others were there. `None` once told to `stop`.
    pub fn without(
        &self,
        space: &Space,
        removed: &RoaringBitmap,
        params: &BuildParams,
        stop: Stop<'_>,
    ) -> Option<Self> {
        let rows = self.codes().len() as u32;
        let kept = || (0..rows).filter(|row| !removed.contains(*row));
        let mut codes = Codes::with_capacity(space, kept().count());
        kept().for_each(|row| codes.push_copy(self.codes(), row));
        match self.graph() {
            Some(old) if codes.len() >= params.flat_below.max(2) => {
                let graph = graph::without(space, &codes, old, removed, stop)?;
                Some(Self::Graph(codes, graph))
            }
            _ => Some(Self::Flat(codes)),
        }
    }

    /// The index that these rows would have had from the start: forgets what repairs left of others. `None` once told
    /// to `stop`.
    pub fn rebuilt(self, space: &Space, params: &BuildParams, stop: Stop<'_>) -> Option<Self> {
        let (Self::Flat(codes) | Self::Graph(codes, _)) = self;
        Self::build(space, codes, params, stop)
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

    /// Whether the system agreed to keep all of it out of swap.
    pub fn is_locked(&self) -> bool {
        self.codes().is_locked() && self.graph().is_none_or(FrozenGraph::is_locked)
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
        Self::read(space, codes, graph)
    }

    /// [`decode`](Self::decode) from wherever the bytes are. Runs in the current `rayon` pool.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and those of the sources.
    pub fn read<S: Source + ?Sized>(space: &Space, codes: &S, graph: &S) -> Result<Self, S::Error> {
        let codes = Codes::decode(space, codes)?;
        if graph.length() == 0 {
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

    fn prefetch(&self, positions: &[u32]) {
        self.codes.prefetch(self.query, positions, false);
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

    #[inline]
    fn prefetch(&self, positions: &[u32]) {
        self.codes.prefetch(self.query, positions, true);
    }
}

impl Horizon for Roughly<'_> {
    #[inline]
    fn beyond(&self, key: i32, slack: f32) -> i32 {
        self.query.beyond_roughly(key, slack, self.codes.long())
    }

    #[inline]
    fn doubtful(&self, key: i32) -> i32 {
        self.codes.doubtful_roughly(self.query, key)
    }
}

#[cfg(test)]
mod tests;
