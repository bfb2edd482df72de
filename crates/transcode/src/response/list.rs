//! Lists as arrays: elements that stand together on the wire, in pieces or one by one.

use super::message::{Stop, fits};
use super::{Fields, Printer};
use crate::plan::FieldPlan;
use crate::wire::{Cursor, Key};

impl<'p> Printer<'p> {
    /// All elements of a list that stand together; `false` if there are none.
    pub(super) fn list(
        &mut self,
        field: &'p FieldPlan,
        mut key: Key,
        cursor: &mut Cursor<'_>,
        fields: Option<&Fields>,
    ) -> Result<bool, Stop> {
        self.begin(b'[')?;
        let mut some = false;
        if self.plain && field.is_text() {
            self.short_text(cursor)?;
            while goes_on(field, &mut key, cursor)? {
                self.out.push(b',');
                self.short_text(cursor)?;
            }
            some = true;
        } else {
            self.elements(field, key, cursor, fields, &mut some)?;
            while goes_on(field, &mut key, cursor)? {
                self.elements(field, key, cursor, fields, &mut some)?;
            }
        }
        self.end(b']', some);
        Ok(some)
    }

    /// One element of an open array, or a packed piece of it.
    pub(super) fn elements(
        &mut self,
        field: &'p FieldPlan,
        key: Key,
        cursor: &mut Cursor<'_>,
        fields: Option<&Fields>,
        some: &mut bool,
    ) -> Result<(), Stop> {
        if field.is_packable() && key.wire_type() == Key::LENGTH {
            let mut piece = Cursor::new(cursor.bytes()?);
            while !piece.is_empty() {
                self.item(some, |printer| printer.scalar(field.kind, &mut piece))?;
            }
            return Ok(());
        }
        self.item(some, |printer| printer.element(field, key, cursor, fields))
    }

    /// An item of an open array, with its comma unless nothing is printed.
    fn item(&mut self, some: &mut bool, print: impl FnOnce(&mut Self) -> Result<bool, Stop>) -> Result<(), Stop> {
        let before = (self.out.len(), *some);
        self.comma(some);
        if !print(self)? {
            self.out.truncate(before.0);
            *some = before.1;
        }
        Ok(())
    }
}

/// Whether one more element of the list stands here; its tag is passed.
#[inline]
fn goes_on(field: &FieldPlan, key: &mut Key, cursor: &mut Cursor<'_>) -> Result<bool, Stop> {
    if key.wire_type() == field.kind.wire_type() && cursor.take_if(field.tag.bytes()) {
        return Ok(true);
    }
    let mut ahead = *cursor;
    match ahead.key()? {
        Some(next) if next.number() == field.number && fits(field, next.wire_type()) => {
            (*key, *cursor) = (next, ahead);
            Ok(true)
        }
        _ => Ok(false),
    }
}
