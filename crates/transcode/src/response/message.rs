//! Messages as JSON objects, straight from the wire and in its order.
//!
//! One bit per field tells whether it has been printed. When a field returns that should have been printed
//! in one piece, or has no JSON form, this pass gives up for the whole answer, which is then printed again through `gather`:
//! two passes at most, however deep and hostile the nesting.

use super::{Fields, ResponseOptions};
use crate::ink::Ink;
use crate::plan::{Bits, FieldPlan, Kind, MessagePlan, Plans, Shape};
use crate::wellknown::WellKnown;
use crate::wire::{Cursor, Key, Malformed};

/// Objects and arrays, and likewise messages, that may be open at once.
pub(super) const MAX_DEPTH: usize = 100;

/// Why printing has ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The order on the wire does not allow one pass: print again, carefully.
    Again,
    /// The message has no JSON form; a clause about it, without its values. Behind a thin pointer: see [`Malformed`].
    Unprintable(&'static &'static str),
}

impl From<Malformed> for Stop {
    fn from(malformed: Malformed) -> Self {
        Self::Unprintable(malformed.0)
    }
}

/// Prints into `out`.
pub(crate) struct Printer<'p> {
    pub(crate) out: Ink,
    pub(super) plans: &'p Plans,
    pub(super) options: &'p ResponseOptions,
    /// An Any of unknown type is printed with its bytes instead of refused: in error details.
    pub(super) keep_unknown: bool,
    /// Whether nothing is asked for that is asked of each field: no defaults, no line breaks.
    pub(super) plain: bool,
    /// Whether fields are gathered before they are printed.
    pub(super) careful: bool,
    /// Objects and arrays that are open.
    pub(super) depth: usize,
    /// Messages that are open.
    pub(super) messages: usize,
}

impl<'p> Printer<'p> {
    pub(crate) fn new(plans: &'p Plans, options: &'p ResponseOptions, capacity: usize) -> Self {
        Self {
            out: Ink::with_capacity(capacity),
            plans,
            options,
            keep_unknown: false,
            plain: !options.defaults && !options.pretty,
            careful: options.by_number,
            depth: 0,
            messages: 0,
        }
    }

    /// For the details of an error, which nobody may lose because their type is unknown.
    pub(crate) fn for_details(plans: &'p Plans, options: &'p ResponseOptions) -> Self {
        Self { keep_unknown: true, ..Self::new(plans, options, 512) }
    }

    /// Runs `print`, and once more, carefully, if the order on the wire demands it. What has no JSON form on the first way may be
    /// overwritten by what comes later: that too the careful way decides.
    pub(crate) fn run(&mut self, print: impl Fn(&mut Self) -> Result<(), Stop>) -> Result<(), &'static str> {
        let mut printed = print(self);
        if printed.is_err() && !self.careful {
            self.out.truncate(0);
            (self.careful, self.depth, self.messages) = (true, 0, 0);
            printed = print(self);
        }
        printed.map_err(|stop| match stop {
            Stop::Again => "its fields cannot be brought into an order",
            Stop::Unprintable(why) => *why,
        })
    }

    /// A message in its special form or as an object.
    pub(crate) fn message(&mut self, plan: &'p MessagePlan, wire: &[u8], fields: Option<&Fields>) -> Result<(), Stop> {
        match plan.special {
            None | Some(WellKnown::Empty) => self.object(|printer| printer.members(plan, wire, fields, false)),
            Some(special) => {
                self.enter()?;
                self.special(special, plan, wire)?;
                self.messages -= 1;
                Ok(())
            }
        }
    }

    /// One level deeper, an object; `members` prints what is in it and tells whether there was anything.
    fn object(&mut self, members: impl FnOnce(&mut Self) -> Result<bool, Stop>) -> Result<(), Stop> {
        self.enter()?;
        self.begin(b'{')?;
        let some = members(self)?;
        self.end(b'}', some);
        self.messages -= 1;
        Ok(())
    }

    /// The fields of a message inside an open object; `some` tells whether the object has members.
    pub(super) fn members(
        &mut self,
        plan: &'p MessagePlan,
        wire: &[u8],
        fields: Option<&Fields>,
        some: bool,
    ) -> Result<bool, Stop> {
        if self.careful {
            return self.gathered(plan, wire, fields, some);
        }
        self.ordered(plan, &mut Cursor::new(wire), None, fields, some)
    }

    /// The fields in wire order, up to the end or to the end of `group`.
    #[inline]
    fn ordered(
        &mut self,
        plan: &'p MessagePlan,
        cursor: &mut Cursor<'_>,
        group: Option<u32>,
        fields: Option<&Fields>,
        some: bool,
    ) -> Result<bool, Stop> {
        match fields {
            None if self.plain => self.pass::<true>(plan, cursor, group, None, some),
            _ => self.pass::<false>(plan, cursor, group, fields, some),
        }
    }

    /// As [`Printer::ordered`]; `PLAIN` if no option and no mask has to be asked for each field.
    fn pass<const PLAIN: bool>(
        &mut self,
        plan: &'p MessagePlan,
        cursor: &mut Cursor<'_>,
        group: Option<u32>,
        fields: Option<&Fields>,
        mut some: bool,
    ) -> Result<bool, Stop> {
        let fields = if PLAIN { None } else { fields };
        let (mut seen, mut members, mut next, mut guess) = (Bits::default(), Bits::default(), 0, 0);
        let mut open = group;
        while let Some(key) = cursor.key()? {
            let Some((index, field)) = guessed(plan, key, guess) else {
                if key.wire_type() == Key::END_GROUP && group == Some(key.number()) {
                    open = None;
                    break;
                }
                cursor.skip(key)?;
                continue;
            };
            guess = index + 1;
            if !seen.insert(index) || field.oneof.is_some_and(|oneof| !members.insert(usize::from(oneof))) {
                return Err(Stop::Again);
            }
            if !PLAIN && self.options.defaults {
                if index < next {
                    return Err(Stop::Again);
                }
                self.defaults(&plan.fields[next..index], fields, &mut some)?;
                next = index + 1;
            }
            let below = match fields.map(|fields| fields.below(field.number)) {
                None => None,
                Some(Some(below)) => Some(below),
                Some(None) => {
                    cursor.skip(key)?;
                    continue;
                }
            };
            let before = (self.out.len(), some);
            if PLAIN {
                self.compact_key(field, &mut some)
            } else {
                self.key(field, &mut some)
            }
            if PLAIN && field.lone && field.is_text() {
                self.short_text(cursor)?;
            } else if !self.value(field, key, cursor, below)? && !self.keeps_empty(field) {
                self.out.truncate(before.0);
                some = before.1;
            }
        }
        if open.is_some() {
            return Err(Stop::Unprintable(&"a group is not closed"));
        }
        if !PLAIN && self.options.defaults {
            self.defaults(&plan.fields[next..], fields, &mut some)?;
        }
        Ok(some)
    }

    /// The value of a field: for a list or map all that stands together. `false` if nothing is in it.
    pub(super) fn value(
        &mut self,
        field: &'p FieldPlan,
        key: Key,
        cursor: &mut Cursor<'_>,
        fields: Option<&Fields>,
    ) -> Result<bool, Stop> {
        match field.shape {
            Shape::Singular => self.element(field, key, cursor, fields),
            Shape::List => self.list(field, key, cursor, fields),
            Shape::Map => self.map(field, cursor, fields),
        }
    }

    /// One value; `false` for an enum number the field does not keep, of which nothing is printed.
    pub(super) fn element(
        &mut self,
        field: &'p FieldPlan,
        key: Key,
        cursor: &mut Cursor<'_>,
        fields: Option<&Fields>,
    ) -> Result<bool, Stop> {
        let Kind::Message(id) = field.kind else {
            return self.scalar(field.kind, cursor);
        };
        let plan = self.plans.message(id);
        if !field.delimited {
            self.message(plan, cursor.bytes()?, fields)?;
        } else if self.careful || !matches!(plan.special, None | Some(WellKnown::Empty)) {
            self.message(plan, cursor.group(key.number())?, fields)?;
        } else {
            self.object(|printer| printer.ordered(plan, cursor, Some(key.number()), fields, false))?;
        }
        Ok(true)
    }

    /// One message deeper.
    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), Stop> {
        if self.messages == MAX_DEPTH {
            return Err(Stop::Unprintable(&"it nests more than 100 messages"));
        }
        self.messages += 1;
        Ok(())
    }

    /// Opens an array or an object.
    #[inline]
    pub(super) fn begin(&mut self, bracket: u8) -> Result<(), Stop> {
        if self.depth == MAX_DEPTH {
            return Err(Stop::Unprintable(&"it nests more than 100 levels"));
        }
        self.depth += 1;
        self.out.push(bracket);
        Ok(())
    }

    /// Closes it.
    #[inline]
    pub(super) fn end(&mut self, bracket: u8, some: bool) {
        self.depth -= 1;
        if some && self.options.pretty {
            self.line();
        }
        self.out.push(bracket);
    }

    /// The comma and line break before an item.
    #[inline]
    pub(super) fn comma(&mut self, some: &mut bool) {
        if *some {
            self.out.push(b',');
        }
        *some = true;
        if self.options.pretty {
            self.line();
        }
    }

    /// A field's key with what stands before and behind it.
    #[inline]
    pub(super) fn key(&mut self, field: &FieldPlan, some: &mut bool) {
        if !self.options.pretty {
            return self.compact_key(field, some);
        }
        self.comma(some);
        self.out.extend_from_slice(&field.key(self.options.proto_names)[1..]);
        self.out.push(b' ');
    }

    /// As [`Printer::key`], without line breaks.
    #[inline(always)]
    fn compact_key(&mut self, field: &FieldPlan, some: &mut bool) {
        let key = field.key(self.options.proto_names);
        match std::mem::replace(some, true) {
            true => self.out.stamp(key),
            false => self.out.extend_from_slice(&key[1..]),
        }
    }

    fn line(&mut self) {
        self.out.push(b'\n');
        (0..self.depth).for_each(|_| self.out.extend_from_slice(b"  "));
    }

    /// Whether a list or map without elements is printed.
    #[inline]
    pub(super) fn keeps_empty(&self, field: &FieldPlan) -> bool {
        self.options.defaults && field.shape != Shape::Singular
    }
}

/// The field a tag belongs to, which most often is the one behind the last: most writers send fields in the order of their numbers.
#[inline]
fn guessed(plan: &MessagePlan, key: Key, guess: usize) -> Option<(usize, &FieldPlan)> {
    match plan.fields.get(guess) {
        Some(field) if field.key == key => Some((guess, field)),
        _ => known(plan, key),
    }
}

/// The field a tag belongs to; a tag of another wire type belongs to none.
#[inline]
pub(super) fn known(plan: &MessagePlan, key: Key) -> Option<(usize, &FieldPlan)> {
    let index = plan.index_of(key.number())?;
    let field = plan.fields.get(index)?;
    fits(field, key.wire_type()).then_some((index, field))
}

#[inline]
pub(super) fn fits(field: &FieldPlan, wire_type: u32) -> bool {
    match field.delimited {
        true => wire_type == Key::START_GROUP,
        false => wire_type == field.kind.wire_type() || (wire_type == Key::LENGTH && field.is_packable()),
    }
}
