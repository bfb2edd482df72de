//! Maps as objects: keys sorted, so that an answer is stable whatever order the service's own map has.
//!
//! Entries whose keys ascend on the wire are printed as they come; when one does not, all are sorted first, and of equal
//! keys the last wins. An entry is a message and obeys every rule of messages.

use super::message::{MAX_DEPTH, Stop, known};
use super::{Fields, Printer};
use crate::ink::Near;
use crate::json;
use crate::plan::{FieldPlan, Kind, MessagePlan};
use crate::wire::{Cursor, Key, unzigzag};

/// A map key as it compares; of one map all are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Name<'w> {
    Text(&'w [u8]),
    Signed(i64),
    Unsigned(u64),
    Bool(bool),
}

/// An entry taken apart.
#[derive(Debug, Clone, Copy)]
struct Entry<'w> {
    name: Name<'w>,
    value: Option<(Key, Cursor<'w>)>,
    /// The value is a message in several parts, which merge: all of the entry's bytes.
    split: Option<&'w [u8]>,
}

/// Entries of one field that stand together; `Clone` is a look-ahead.
#[derive(Clone, Copy)]
struct Entries<'w, 'f> {
    cursor: Cursor<'w>,
    tag: &'f [u8],
    begun: bool,
}

impl<'w> Entries<'w, '_> {
    fn next(&mut self) -> Result<Option<&'w [u8]>, Stop> {
        if self.begun && !self.cursor.take_if(self.tag) {
            return Ok(None);
        }
        self.begun = true;
        Ok(Some(self.cursor.bytes()?))
    }

    /// Key and value of the next entry if it is two short texts, in this order and nothing else; to be called on a copy, because `None`
    /// stands anywhere.
    #[inline]
    fn short(&mut self) -> Option<(Near<'w>, Near<'w>)> {
        if self.begun && !self.cursor.take_if(self.tag) {
            return None;
        }
        self.begun = true;
        let length = self.cursor.byte()?;
        let whole = self.cursor.remaining();
        let name = self.cursor.take_if(&[0x0a]).then(|| self.cursor.near())??;
        let value = self.cursor.take_if(&[0x12]).then(|| self.cursor.near())??;
        (whole - self.cursor.remaining() == usize::from(length)).then_some((name, value))
    }
}

impl<'p> Printer<'p> {
    /// A map whose first entry's tag has been read, and all that stand behind it.
    pub(super) fn map(
        &mut self,
        field: &'p FieldPlan,
        cursor: &mut Cursor<'_>,
        fields: Option<&Fields>,
    ) -> Result<bool, Stop> {
        let plan = self.entry_plan(field)?;
        let begin = Entries { cursor: *cursor, tag: field.tag.bytes(), begun: false };
        // What is printed for nothing must not hold maps of its own: with each level the time would double.
        if plan.fields.get(1).is_some_and(|value| value.kind.is_message()) && !self.ascends(plan, begin)? {
            return self.unordered_map(field, begin, cursor, fields);
        }
        let before = (self.out.len(), self.depth);
        let (mut entries, mut last, mut some) = (begin, None, false);
        self.begin(b'{')?;
        let texts = self.plain && self.messages < MAX_DEPTH && plan.fields.iter().all(FieldPlan::is_text);
        loop {
            if texts && let Some(name) = self.short_entry(&mut entries, last, some) {
                (last, some) = (Some(name), true);
                continue;
            }
            let Some(bytes) = entries.next()? else { break };
            let Some(entry) = self.entry(plan, bytes)? else { continue };
            let name = Some(entry.name);
            if last >= name {
                // Not in order: what was printed so far is taken back.
                self.out.truncate(before.0);
                self.depth = before.1;
                return self.unordered_map(field, begin, cursor, fields);
            }
            last = name;
            self.print(plan, &entry, fields, &mut some)?;
        }
        *cursor = entries.cursor;
        self.end(b'}', some);
        Ok(some)
    }

    /// Prints an entry of two short, plain texts that is written as most writers do and comes in order, and returns its key. `None`
    /// passes and prints nothing.
    #[inline]
    fn short_entry<'w>(
        &mut self,
        entries: &mut Entries<'w, '_>,
        last: Option<Name<'w>>,
        some: bool,
    ) -> Option<Name<'w>> {
        let (mut ahead, before) = (*entries, self.out.len());
        let (name, value) = ahead.short()?;
        let key = Name::Text(name.text());
        if last >= Some(key) {
            return None;
        }
        if some {
            self.out.push(b',');
        }
        let mut printed = json::plain_near(name, &mut self.out);
        self.out.push(b':');
        printed &= json::plain_near(value, &mut self.out);
        if !printed {
            self.out.truncate(before);
            return None;
        }
        *entries = ahead;
        Some(key)
    }

    /// Whether each key is greater than the one before.
    fn ascends(&self, plan: &MessagePlan, mut entries: Entries<'_, '_>) -> Result<bool, Stop> {
        let mut last = None;
        while let Some(bytes) = entries.next()? {
            let Some(entry) = self.entry(plan, bytes)? else { continue };
            if last >= Some(entry.name) {
                return Ok(false);
            }
            last = Some(entry.name);
        }
        Ok(true)
    }

    /// A map whose entries must be sorted first.
    fn unordered_map<'w>(
        &mut self,
        field: &'p FieldPlan,
        mut entries: Entries<'w, '_>,
        cursor: &mut Cursor<'w>,
        fields: Option<&Fields>,
    ) -> Result<bool, Stop> {
        let mut all = Vec::new();
        while let Some(bytes) = entries.next()? {
            all.push(bytes);
        }
        *cursor = entries.cursor;
        self.sorted_map(field, &all, fields)
    }

    /// A map from entries in any order.
    pub(super) fn sorted_map(
        &mut self,
        field: &'p FieldPlan,
        all: &[&[u8]],
        fields: Option<&Fields>,
    ) -> Result<bool, Stop> {
        let plan = self.entry_plan(field)?;
        let mut entries = Vec::with_capacity(all.len());
        for bytes in all {
            entries.extend(self.entry(plan, bytes)?);
        }
        // Stable: of equal keys the last on the wire stays last.
        entries.sort_by_key(|entry| entry.name);
        self.begin(b'{')?;
        let mut some = false;
        for (index, entry) in entries.iter().enumerate() {
            if entries.get(index + 1).is_none_or(|next| next.name != entry.name) {
                self.print(plan, entry, fields, &mut some)?;
            }
        }
        self.end(b'}', some);
        Ok(some)
    }

    fn entry_plan(&self, field: &FieldPlan) -> Result<&'p MessagePlan, Stop> {
        match self.plans.child(field) {
            Some(plan) if plan.fields.len() == 2 => Ok(plan),
            _ => Err(Stop::Unprintable(&"a map has no entry type")),
        }
    }

    /// Takes an entry apart; `None` if its enum has a number the map does not keep.
    fn entry<'w>(&self, plan: &MessagePlan, bytes: &'w [u8]) -> Result<Option<Entry<'w>>, Stop> {
        let [key_field, value_field] = &*plan.fields else {
            return Ok(None);
        };
        let mut entry = Entry { name: absent(key_field.kind), value: None, split: None };
        let mut cursor = Cursor::new(bytes);
        while let Some(key) = cursor.key()? {
            match known(plan, key) {
                Some((0, _)) => entry.name = name(key_field.kind, &mut cursor)?,
                Some(_) => {
                    if entry.value.is_some() && value_field.kind.is_message() {
                        entry.split = Some(bytes);
                    }
                    entry.value = Some((key, cursor));
                    if let Kind::Enum(id) = value_field.kind {
                        let number = cursor.varint()? as i32;
                        if !self.plans.enumeration(id).keeps(number) {
                            return Ok(None);
                        }
                    } else {
                        cursor.skip(key)?;
                    }
                }
                None => cursor.skip(key)?,
            }
        }
        Ok(Some(entry))
    }

    fn print(
        &mut self,
        plan: &'p MessagePlan,
        entry: &Entry<'_>,
        fields: Option<&Fields>,
        some: &mut bool,
    ) -> Result<(), Stop> {
        let Some(value_field) = plan.fields.get(1) else {
            return Ok(());
        };
        self.comma(some);
        self.name(entry.name)?;
        // An entry is a message too, for the depth of which a decoder keeps count.
        self.enter()?;
        match (entry.split, entry.value) {
            (Some(bytes), _) => self.gathered_value(plan, 1, bytes, fields)?,
            (None, Some((key, mut cursor))) => {
                self.element(value_field, key, &mut cursor, fields)?;
            }
            (None, None) => self.default(value_field)?,
        }
        self.messages -= 1;
        Ok(())
    }

    /// A key with its colon.
    fn name(&mut self, name: Name<'_>) -> Result<(), Stop> {
        let mut buffer = itoa::Buffer::new();
        match name {
            Name::Text(bytes) => self.text(bytes)?,
            Name::Signed(number) => self.text(buffer.format(number).as_bytes())?,
            Name::Unsigned(number) => self.text(buffer.format(number).as_bytes())?,
            Name::Bool(value) => self.text(if value { b"true" } else { b"false" })?,
        }
        self.out.push(b':');
        if self.options.pretty {
            self.out.push(b' ');
        }
        Ok(())
    }
}

/// The key an entry without one has.
fn absent(kind: Kind) -> Name<'static> {
    match kind {
        Kind::String => Name::Text(b""),
        Kind::Bool => Name::Bool(false),
        Kind::Uint32 | Kind::Uint64 | Kind::Fixed32 | Kind::Fixed64 => Name::Unsigned(0),
        _ => Name::Signed(0),
    }
}

fn name<'w>(kind: Kind, cursor: &mut Cursor<'w>) -> Result<Name<'w>, Stop> {
    Ok(match kind {
        Kind::String => Name::Text(cursor.bytes()?),
        Kind::Bool => Name::Bool(cursor.varint()? != 0),
        Kind::Uint32 => Name::Unsigned(u64::from(cursor.varint()? as u32)),
        Kind::Uint64 => Name::Unsigned(cursor.varint()?),
        Kind::Fixed32 => Name::Unsigned(u64::from(cursor.fixed32()?)),
        Kind::Fixed64 => Name::Unsigned(cursor.fixed64()?),
        Kind::Int32 => Name::Signed(i64::from(cursor.varint()? as i32)),
        Kind::Int64 => Name::Signed(cursor.varint()? as i64),
        Kind::Sint32 => Name::Signed(unzigzag(u64::from(cursor.varint()? as u32))),
        Kind::Sint64 => Name::Signed(unzigzag(cursor.varint()?)),
        Kind::Sfixed32 => Name::Signed(i64::from(cursor.fixed32()? as i32)),
        Kind::Sfixed64 => Name::Signed(cursor.fixed64()? as i64),
        _ => return Err(Stop::Unprintable(&"a map has keys of a kind that does not exist")),
    })
}
