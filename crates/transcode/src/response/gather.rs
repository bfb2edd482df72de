//! The slow path: fields that return are gathered before anything of their message is printed.
//!
//! Lists and maps continue, of scalars the last wins, messages merge, and of a oneof the last member wins.
//! What is merged is merged as the encoding guide defines it: by putting the bytes of the parts together.

use super::message::{Stop, known};
use super::{Fields, Printer};
use crate::plan::{FieldPlan, Kind, MessagePlan, Shape};
use crate::wire::{Cursor, Key};

/// A value on the wire: its field by index, its tag, and where it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occurrence<'w> {
    index: usize,
    key: Key,
    value: Cursor<'w>,
}

impl<'p> Printer<'p> {
    /// As [`Printer::members`], by number.
    pub(super) fn gathered(
        &mut self,
        plan: &'p MessagePlan,
        wire: &[u8],
        fields: Option<&Fields>,
        mut some: bool,
    ) -> Result<bool, Stop> {
        let mut next = 0;
        for occurrences in self.collect(plan, wire)?.chunk_by(|left, right| left.index == right.index) {
            let Some((index, field)) = field_of(plan, occurrences) else {
                continue;
            };
            if self.options.defaults {
                self.defaults(&plan.fields[next..index], fields, &mut some)?;
                next = index + 1;
            }
            let below = match fields.map(|fields| fields.below(field.number)) {
                Some(None) => continue,
                below => below.flatten(),
            };
            let before = (self.out.len(), some);
            self.key(field, &mut some);
            if !self.together(field, occurrences, below)? && !self.keeps_empty(field) {
                self.out.truncate(before.0);
                some = before.1;
            }
        }
        if self.options.defaults {
            self.defaults(&plan.fields[next..], fields, &mut some)?;
        }
        Ok(some)
    }

    /// The value of the field at `index` without its key, or its default.
    pub(super) fn gathered_value(
        &mut self,
        plan: &'p MessagePlan,
        index: usize,
        wire: &[u8],
        fields: Option<&Fields>,
    ) -> Result<(), Stop> {
        let mut all = self.collect(plan, wire)?;
        all.retain(|occurrence| occurrence.index == index);
        match (field_of(plan, &all), plan.fields.get(index)) {
            (Some((_, field)), _) => self.together(field, &all, fields).map(drop),
            (None, Some(field)) => self.default(field),
            (None, None) => Ok(()),
        }
    }

    /// Whether the field at `index` is set.
    pub(super) fn sets(&self, plan: &MessagePlan, index: usize, wire: &[u8]) -> Result<bool, Stop> {
        Ok(self.collect(plan, wire)?.iter().any(|occurrence| occurrence.index == index))
    }

    /// The value of the one field that is set, of messages that stand for it; `false` if none is.
    pub(super) fn gathered_only(&mut self, plan: &'p MessagePlan, wire: &[u8]) -> Result<bool, Stop> {
        let all = self.collect(plan, wire)?;
        match field_of(plan, &all) {
            Some((_, field)) => self.together(field, &all, None).map(|_| true),
            None => Ok(false),
        }
    }

    /// All that is set, by field and then in wire order.
    fn collect<'w>(&self, plan: &MessagePlan, wire: &'w [u8]) -> Result<Vec<Occurrence<'w>>, Stop> {
        let mut found = Vec::new();
        let mut cursor = Cursor::new(wire);
        while let Some(key) = cursor.key()? {
            let value = cursor;
            cursor.skip(key)?;
            if let Some((index, field)) = known(plan, key)
                && self.is_kept(field, value)?
            {
                found.push(Occurrence { index, key, value });
            }
        }
        let mut winners: Vec<Option<(usize, bool)>> = vec![None; plan.oneofs.len()];
        // From the end: the last member wins, and what it had before another one came is gone.
        for place in (0..found.len()).rev() {
            let index = found[place].index;
            let Some(oneof) = plan.fields.get(index).and_then(|field| field.oneof) else {
                continue;
            };
            let Some(winner) = winners.get_mut(usize::from(oneof)) else {
                continue;
            };
            let (last, ended) = winner.get_or_insert((index, false));
            *ended |= *last != index;
            if *ended {
                found[place].index = usize::MAX;
            }
        }
        found.retain(|occurrence| occurrence.index != usize::MAX);
        found.sort_by_key(|occurrence| occurrence.index);
        Ok(found)
    }

    /// Whether a value counts: a number that a closed enum does not have is an unknown field.
    fn is_kept(&self, field: &FieldPlan, mut value: Cursor<'_>) -> Result<bool, Stop> {
        match field.kind {
            Kind::Enum(id) if field.shape == Shape::Singular => {
                Ok(self.plans.enumeration(id).keeps(value.varint()? as i32))
            }
            _ => Ok(true),
        }
    }

    /// One field from all its occurrences; `false` if nothing is in it.
    fn together(
        &mut self,
        field: &'p FieldPlan,
        occurrences: &[Occurrence<'_>],
        fields: Option<&Fields>,
    ) -> Result<bool, Stop> {
        match field.shape {
            Shape::List => {
                self.begin(b'[')?;
                let mut some = false;
                for each in occurrences {
                    let mut value = each.value;
                    self.elements(field, each.key, &mut value, fields, &mut some)?;
                }
                self.end(b']', some);
                Ok(some)
            }
            Shape::Map => {
                let entries: Result<Vec<&[u8]>, _> = occurrences.iter().map(|each| content(field, each)).collect();
                self.sorted_map(field, &entries?, fields)
            }
            Shape::Singular => match (self.plans.child(field), occurrences) {
                (Some(plan), [_, _, ..]) => {
                    let mut joined = Vec::new();
                    for each in occurrences {
                        joined.extend_from_slice(content(field, each)?);
                    }
                    self.message(plan, &joined, fields).map(|()| true)
                }
                (_, [.., last]) => {
                    let mut value = last.value;
                    self.element(field, last.key, &mut value, fields)
                }
                (_, []) => Ok(false),
            },
        }
    }

    /// The last value of a field as plain text: ids of events.
    pub(super) fn last_text(&self, plan: &MessagePlan, number: u32, wire: &[u8]) -> Result<Option<String>, Stop> {
        let found = self.collect(plan, wire)?;
        let field = |each: &&Occurrence<'_>| plan.fields.get(each.index).filter(|field| field.number == number);
        let Some(last) = found.iter().rfind(|each| field(each).is_some()) else {
            return Ok(None);
        };
        let Some(field) = field(&last) else {
            return Ok(None);
        };
        let mut value = last.value;
        Ok(match field.kind {
            Kind::String => Some(super::value::utf8(value.bytes()?)?.to_owned()),
            Kind::Int32 => Some((value.varint()? as i32).to_string()),
            Kind::Int64 => Some((value.varint()? as i64).to_string()),
            Kind::Uint32 => Some((value.varint()? as u32).to_string()),
            Kind::Uint64 => Some(value.varint()?.to_string()),
            _ => None,
        })
    }
}

/// The field that all occurrences are of.
fn field_of<'p>(plan: &'p MessagePlan, occurrences: &[Occurrence<'_>]) -> Option<(usize, &'p FieldPlan)> {
    let index = occurrences.first()?.index;
    Some((index, plan.fields.get(index)?))
}

fn content<'w>(field: &FieldPlan, occurrence: &Occurrence<'w>) -> Result<&'w [u8], Stop> {
    let mut value = occurrence.value;
    Ok(if field.delimited { value.group(field.number)? } else { value.bytes()? })
}
