//! Maps: entries in the order they come, each key once.
//!
//! Keys that ascend, as most writers have them, need one comparison each. Others are sorted once at the end
//! of the map; a hostile order costs no more than that.

use super::{Reader, UNBOUND};
use crate::json::{Fault, Kind as Found};
use crate::plan::{FieldPlan, Kind};
use crate::scalar as text;

/// A key of an open map: where its wire bytes are in the output, and where its value is in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    from: usize,
    to: usize,
    at: usize,
}

/// The keys of one map among those of all open ones.
pub(super) struct Keys {
    base: usize,
    ascends: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn map(&mut self, field: &'a FieldPlan) -> Result<(), Fault> {
        if self.scan.peek()? != Found::Object {
            return self.expect(Found::Object, &format!("the map `{}`", field.json_name));
        }
        let Some((key, value)) = self.plans.entry(field) else {
            return Ok(());
        };
        self.scan.open()?;
        self.enter(UNBOUND);
        let (mut first, mut keys) = (true, self.keys());
        let texts = key.is_text() && value.is_text() && !self.tracks;
        while self.scan.member(&mut first)? {
            if !(texts && self.short_entry(field, key, value, &mut keys)) {
                self.entry(field, key, value, &mut keys)?;
            }
        }
        self.leave();
        self.unique(&keys)
    }

    /// An entry of two short texts as most writers have it; `false` passes nothing.
    #[inline]
    fn short_entry(&mut self, field: &FieldPlan, key: &FieldPlan, value: &FieldPlan, keys: &mut Keys) -> bool {
        let before = self.scan.at();
        if self.out.room() > 0
            && let Some(name) = self.scan.near_string()
            && self.scan.take(b":")
            && let at = self.scan.at()
            && let Some(text) = self.scan.near_string()
        {
            // Two tags and two lengths of a byte each.
            self.out.tagged(&field.tag, (name.len() + text.len() + 4) as u64);
            let from = self.out.len() + 1;
            self.out.text_near(&key.tag, name);
            self.note(keys, from, at);
            self.out.text_near(&value.tag, text);
            return true;
        }
        self.scan.seek(before);
        false
    }

    fn entry(
        &mut self,
        field: &'a FieldPlan,
        key: &FieldPlan,
        value: &'a FieldPlan,
        keys: &mut Keys,
    ) -> Result<(), Fault> {
        let name = self.scan.name()?;
        let at = self.scan.at();
        self.refuse_null(value, "a value of a map")?;
        self.may_open(1)?;
        let mark = self.out.mark();
        let open = self.out.open_tag(&field.tag);
        let from = self.out.len() + key.tag.bytes().len();
        if key.kind == Kind::String {
            self.out.text(&key.tag, name.as_bytes());
        } else {
            self.out.tag(&key.tag);
            let payload = text::parse(self.plans, key.kind, &name)
                .map_err(|expected| self.scan.fault("INVALID_VALUE", format!("the key of a map: {expected}")))?;
            self.out.payload(&payload);
        }
        self.note(keys, from, at);
        if self.element(value)? {
            self.out.close_still(open);
        } else {
            self.out.rewind(mark);
            self.keys.pop();
        }
        Ok(())
    }

    /// Begins a map.
    pub(super) fn keys(&self) -> Keys {
        Keys { base: self.keys.len(), ascends: true }
    }

    /// Notes the key whose wire bytes are the last ones, from `from` on.
    pub(super) fn note(&mut self, keys: &mut Keys, from: usize, at: usize) {
        let to = self.out.len();
        if let Some(last) = self.keys.get(keys.base..).and_then(<[Key]>::last) {
            keys.ascends &= self.out.written(last.from, last.to) < self.out.written(from, to);
        }
        self.keys.push(Key { from, to, at });
    }

    /// Ends a map whose keys must all differ.
    pub(super) fn unique(&mut self, keys: &Keys) -> Result<(), Fault> {
        if !keys.ascends
            && let Some(all) = self.keys.get_mut(keys.base..)
        {
            let bytes = |key: &Key| self.out.written(key.from, key.to);
            all.sort_unstable_by(|left, right| bytes(left).cmp(bytes(right)).then(left.at.cmp(&right.at)));
            let twice = all.windows(2).filter(|pair| bytes(&pair[0]) == bytes(&pair[1]));
            if let Some(at) = twice.map(|pair| pair[1].at).min() {
                return Err(Fault::new(at, "DUPLICATE_FIELD", "the key is given twice; keep one"));
            }
        }
        self.keys.truncate(keys.base);
        Ok(())
    }
}
