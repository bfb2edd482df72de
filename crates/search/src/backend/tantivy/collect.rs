//! What is gathered over the matches: the best after a place with the total, and the values of a facet.
use std::{
    collections::{BinaryHeap, HashMap},
    io,
    sync::Arc,
};

use tantivy::{
    DocAddress, DocId, Score, SegmentOrdinal, SegmentReader,
    collector::{Collector, SegmentCollector},
    columnar::{Column, StrColumn},
};

use super::schema::{ID_HIGH, ID_LOW, UPDATED};
use crate::backend::Position;

/// Gathers the best matches after a place.
pub(super) struct Best {
    pub(super) after: Option<Position>,
    pub(super) limit: usize,
    pub(super) scored: bool,
}

/// Number of matches, and the best of them in order.
pub(super) type Found = (u64, Vec<(Position, DocAddress)>);

pub(super) struct BestOfSegment {
    after: Option<Position>,
    limit: usize,
    segment: SegmentOrdinal,
    updated: Column<i64>,
    id_high: Column<u64>,
    id_low: Column<u64>,
    total: u64,
    /// The worst on top.
    heap: BinaryHeap<(Position, DocAddress)>,
}

impl Collector for Best {
    type Fruit = Found;
    type Child = BestOfSegment;

    fn for_segment(&self, segment: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<BestOfSegment> {
        let columns = reader.fast_fields();
        Ok(BestOfSegment {
            after: self.after,
            limit: self.limit,
            segment,
            updated: columns.i64(UPDATED)?,
            id_high: columns.u64(ID_HIGH)?,
            id_low: columns.u64(ID_LOW)?,
            total: 0,
            heap: BinaryHeap::with_capacity(self.limit + 1),
        })
    }

    fn requires_scoring(&self) -> bool {
        self.scored
    }

    fn merge_fruits(&self, fruits: Vec<Found>) -> tantivy::Result<Found> {
        let total = fruits.iter().map(|(total, _)| total).sum();
        let mut best: Vec<_> = fruits.into_iter().flat_map(|(_, best)| best).collect();
        best.sort_unstable();
        best.truncate(self.limit);
        Ok((total, best))
    }
}

impl SegmentCollector for BestOfSegment {
    type Fruit = Found;

    fn collect(&mut self, document: DocId, score: Score) {
        self.total += 1;
        let score = Position::steps(score);
        let full = self.heap.len() >= self.limit;
        if full && self.heap.peek().is_none_or(|(worst, _)| score < worst.score) {
            return;
        }
        let half = |column: &Column<u64>| column.first(document).unwrap_or_default();
        let id = (half(&self.id_high), half(&self.id_low));
        let position = Position { score, updated: self.updated.first(document).unwrap_or_default(), id };
        if self.after.is_some_and(|after| position <= after) {
            return;
        }
        self.heap.push((position, DocAddress::new(self.segment, document)));
        if full {
            self.heap.pop();
        }
    }

    fn harvest(self) -> Found {
        (self.total, self.heap.into_vec())
    }
}

/// Counts the values of a column.
pub(super) struct Values(pub(super) &'static str);

/// How often each value occurs.
pub(super) type Counts = HashMap<String, u64>;

pub(super) struct ValuesOfSegment {
    column: Option<StrColumn>,
    counts: HashMap<u64, u64>,
}

impl Collector for Values {
    type Fruit = Counts;
    type Child = ValuesOfSegment;

    fn for_segment(&self, _: SegmentOrdinal, reader: &SegmentReader) -> tantivy::Result<ValuesOfSegment> {
        Ok(ValuesOfSegment { column: reader.fast_fields().str(self.0)?, counts: HashMap::new() })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, fruits: Vec<io::Result<Counts>>) -> tantivy::Result<Counts> {
        let mut merged = Counts::new();
        for counts in fruits {
            for (value, count) in counts.map_err(|error| tantivy::TantivyError::IoError(Arc::new(error)))? {
                *merged.entry(value).or_default() += count;
            }
        }
        Ok(merged)
    }
}

impl SegmentCollector for ValuesOfSegment {
    type Fruit = io::Result<Counts>;

    fn collect(&mut self, document: DocId, _: Score) {
        let Some(column) = &self.column else { return };
        for value in column.term_ords(document) {
            *self.counts.entry(value).or_default() += 1;
        }
    }

    fn harvest(self) -> io::Result<Counts> {
        let Some(column) = self.column else { return Ok(Counts::new()) };
        let mut values = Counts::with_capacity(self.counts.len());
        for (value, count) in self.counts {
            let mut text = String::new();
            column.ord_to_str(value, &mut text)?;
            values.insert(text, count);
        }
        Ok(values)
    }
}
