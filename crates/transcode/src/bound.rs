//! What path and query have bound, and the rule that every leaf is bound once.
//!
//! Leaves are compared by field, not by spelling. Within one source a second value is an error; from
//! another source an equal value passes and a differing one is an error: nothing is overridden silently,
//! because overriding a path value is an authorization bypass (grpc-gateway#3069). Of a oneof one member
//! may be bound over all sources. A message bound whole excludes its own fields.

use std::collections::{BTreeMap, HashMap};

use crate::plan::{FieldPlan, Tags};
use crate::problem::Problem;
use crate::wire::{Payload, Writer};

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Path,
    Query,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Path => "the path",
            Self::Query => "the query",
        }
    }
}

/// The value of a bound leaf.
#[derive(Debug)]
enum Value {
    One(Payload),
    Many(Vec<Payload>),
    /// Entries by the wire form of their key.
    Map(BTreeMap<Vec<u8>, Vec<u8>>),
}

#[derive(Debug)]
struct Leaf {
    /// Of its parents and itself.
    tags: Vec<Tags>,
    value: Value,
    source: Source,
    spelling: String,
}

/// A value to bind.
pub(crate) enum New {
    /// The only value of a singular field.
    One(Payload),
    /// One more element of a list.
    Element(Payload),
    /// One more entry of a map.
    Entry(Payload, Payload),
}

/// All leaves bound so far, by the field numbers of their paths.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    leaves: BTreeMap<Vec<u32>, Leaf>,
    /// Chosen member per oneof: path of the message and index of the oneof -> field number.
    oneofs: HashMap<(Vec<u32>, u16), (u32, String)>,
}

impl Bound {
    /// Binds `new` at the field path `fields`, written by the caller as `spelling`.
    pub(crate) fn bind(
        &mut self,
        fields: &[&FieldPlan],
        new: New,
        source: Source,
        spelling: &str,
    ) -> Result<(), Problem> {
        let path: Vec<u32> = fields.iter().map(|field| field.number).collect();
        self.choose_members(fields, &path, spelling)?;
        self.refuse_overlap(&path, spelling)?;
        match self.leaves.get_mut(&path) {
            Some(leaf) => leaf.add(new, source, spelling),
            None => {
                let value = match new {
                    New::One(payload) => Value::One(payload),
                    New::Element(payload) => Value::Many(vec![payload]),
                    New::Entry(key, value) => Value::Map(BTreeMap::from([entry(&key, &value)])),
                };
                let tags = fields.iter().map(|field| field.tags()).collect();
                let leaf = Leaf { tags, value, source, spelling: spelling.to_owned() };
                self.leaves.insert(path, leaf);
                Ok(())
            }
        }
    }

    /// The field paths of all leaves.
    pub(crate) fn paths(&self) -> Vec<&[u32]> {
        self.leaves.keys().map(Vec::as_slice).collect()
    }

    /// Whether nothing is bound.
    pub(crate) fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// Whether this very leaf, or one below it, is bound.
    pub(crate) fn holds(&self, path: &[u32]) -> bool {
        self.leaves.range(path.to_vec()..).next().is_some_and(|(known, _)| known.starts_with(path))
    }

    /// The single value bound at `path`, with the spelling it was bound by.
    pub(crate) fn value(&self, path: &[u32]) -> Option<(&Payload, &str)> {
        let leaf = self.leaves.get(path)?;
        match &leaf.value {
            Value::One(payload) => Some((payload, &leaf.spelling)),
            Value::Many(_) | Value::Map(_) => None,
        }
    }

    /// The number of the member chosen for a oneof of the message at `path`.
    pub(crate) fn member(&self, path: &[u32], oneof: u16) -> Option<u32> {
        self.oneofs.get(&(path.to_vec(), oneof)).map(|(number, _)| *number)
    }

    /// Writes every leaf with its parents. What occurs twice so, here or in the body, is joined at the end.
    pub(crate) fn write(&self, writer: &mut Writer) {
        for leaf in self.leaves.values() {
            let Some((tags, parents)) = leaf.tags.split_last() else {
                continue;
            };
            let open: Vec<_> = parents.iter().map(|parent| (parent, writer.open_tags(parent))).collect();
            match &leaf.value {
                Value::One(payload) => writer.value(tags, payload),
                Value::Many(payloads) => {
                    payloads.iter().for_each(|payload| writer.value(tags, payload));
                }
                Value::Map(entries) => {
                    for (key, value) in entries {
                        writer.tag(&tags.first);
                        writer.delimited(&[key.as_slice(), value.as_slice()].concat());
                    }
                }
            }
            open.into_iter().rev().for_each(|(parent, open)| writer.close_tags(parent, open));
        }
    }

    fn choose_members(&mut self, fields: &[&FieldPlan], path: &[u32], spelling: &str) -> Result<(), Problem> {
        for (depth, field) in fields.iter().enumerate() {
            let Some(oneof) = field.oneof else {
                continue;
            };
            let key = (path[..depth].to_vec(), oneof);
            let chosen = self.oneofs.entry(key).or_insert_with(|| (field.number, spelling.to_owned()));
            if chosen.0 != field.number {
                return Err(Problem::field(
                    "CONFLICTING_VALUE",
                    spelling,
                    format!("it and `{}` are members of one oneof, of which one may be set; keep one", chosen.1),
                ));
            }
        }
        Ok(())
    }

    /// A message bound whole and a field of it exclude each other.
    fn refuse_overlap(&self, path: &[u32], spelling: &str) -> Result<(), Problem> {
        let above = (1..path.len()).find_map(|depth| self.leaves.get(&path[..depth]));
        let below = || {
            self.leaves
                .range(path.to_vec()..)
                .find(|(known, _)| known.as_slice() != path)
                .filter(|(known, _)| known.starts_with(path))
                .map(|(_, leaf)| leaf)
        };
        match above.or_else(below) {
            None => Ok(()),
            Some(leaf) => Err(Problem::field(
                "CONFLICTING_VALUE",
                spelling,
                format!("it is part of what `{}` binds already; keep one of the two", leaf.spelling),
            )),
        }
    }
}

impl Leaf {
    fn add(&mut self, new: New, source: Source, spelling: &str) -> Result<(), Problem> {
        let first = &self.spelling;
        match (&mut self.value, new) {
            (Value::Many(payloads), New::Element(payload)) => payloads.push(payload),
            (Value::Map(entries), New::Entry(key, value)) => {
                let (key, value) = entry(&key, &value);
                if entries.insert(key, value).is_some() {
                    return Err(twice(spelling, "this key is given twice"));
                }
            }
            (Value::One(known), New::One(payload)) if self.source != source => {
                if *known != payload {
                    return Err(differs(spelling, first, self.source));
                }
            }
            _ => {
                let text = format!("it is bound twice (first as `{first}`); give it once");
                return Err(twice(spelling, &text));
            }
        }
        Ok(())
    }
}

fn twice(spelling: &str, text: &str) -> Problem {
    Problem::field("DUPLICATE_PARAMETER", spelling, text)
}

fn differs(spelling: &str, first: &str, source: Source) -> Problem {
    Problem::field(
        "CONFLICTING_VALUE",
        spelling,
        format!("it differs from `{first}` in {}; leave it out or send the same value", source.name()),
    )
}

/// A map entry as wire bytes of its two fields.
fn entry(key: &Payload, value: &Payload) -> (Vec<u8>, Vec<u8>) {
    let field = |number, payload| {
        let mut writer = Writer::default();
        writer.field(number, payload);
        writer.finish()
    };
    (field(1, key), field(2, value))
}
