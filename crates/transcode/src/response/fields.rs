//! `$fields`: which parts of an answer are printed, as paths separated by commas.

use std::collections::BTreeMap;

use crate::name;
use crate::plan::{FieldPlan, MessagePlan, Plans};

/// A tree of field numbers; `everything` says that all below is printed, an empty level without it nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields {
    below: BTreeMap<u32, Fields>,
    everything: bool,
}

/// Paths of one mask and names of one path.
const MAX_PATHS: usize = 1_000;
const MAX_NAMES: usize = 64;

impl Fields {
    /// Parses `a,b.c,d/e`; `*` is everything.
    pub(super) fn parse(text: &str, plans: &Plans, message: Option<&MessagePlan>) -> Result<Self, String> {
        let mut fields = Self::default();
        for (count, path) in text.split(',').enumerate() {
            if count == MAX_PATHS {
                return Err(format!("more than {MAX_PATHS} paths"));
            }
            fields.add(path.trim(), plans, message)?;
        }
        Ok(fields)
    }

    /// The mask below a field: `None` if the field is not printed.
    pub(crate) fn below(&self, number: u32) -> Option<&Self> {
        if self.everything {
            return Some(self);
        }
        self.below.get(&number)
    }

    fn add(&mut self, path: &str, plans: &Plans, message: Option<&MessagePlan>) -> Result<(), String> {
        let (mut level, mut message) = (self, message);
        for (depth, name) in path.split(['.', '/']).enumerate() {
            if name == "*" {
                break;
            }
            let parent = message.filter(|_| depth < MAX_NAMES).ok_or_else(|| {
                format!(
                    "`{}` goes through a field that has no fields; separate paths by `,` and names by `.`",
                    name::shown(path)
                )
            })?;
            let field = parent.by_name(name).ok_or_else(|| {
                let advice = name::nearest(&parent.json_names(), name);
                format!("`{}` is no field of the answer{advice}", name::shown(path))
            })?;
            level = level.below.entry(field.number).or_default();
            message = printed_below(plans, field);
        }
        level.everything = true;
        Ok(())
    }
}

/// The message of a field, through lists and map values, if it is printed as an object of fields.
pub(crate) fn printed_below<'p>(plans: &'p Plans, field: &'p FieldPlan) -> Option<&'p MessagePlan> {
    match plans.entry(field) {
        Some((_, value)) => printed_below(plans, value),
        None => plans.child(field).filter(|message| message.special.is_none()),
    }
}
