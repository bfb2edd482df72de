//! The value of one field: singular or a list; maps have a file of their own.

use super::scalar::Scalar;
use super::{Reader, UNBOUND, differs};
use crate::json::{Fault, Kind as Found};
use crate::mask::Recorder;
use crate::plan::{FieldPlan, Kind, MessagePlan, Shape, Tag};

impl<'a> Reader<'a> {
    /// The value of `field` in the open message; null has been dealt with.
    pub(super) fn field(&mut self, field: &'a FieldPlan) -> Result<(), Fault> {
        if self.mask.is_some() {
            return self.recorded(field);
        }
        self.shaped(field)
    }

    fn shaped(&mut self, field: &'a FieldPlan) -> Result<(), Fault> {
        match field.shape {
            Shape::Singular => self.singular(field),
            Shape::List => self.list(field),
            Shape::Map => self.map(field),
        }
    }

    /// As [`Reader::field`], for a mask that descends into messages and takes everything else whole.
    fn recorded(&mut self, field: &'a FieldPlan) -> Result<(), Fault> {
        if let Some(plan) = self.plans.plain(field) {
            return self.recorded_message(field, plan);
        }
        self.record(field);
        let paused = self.mask.as_mut().map(Recorder::pause);
        self.shaped(field)?;
        if let (Some(mask), Some(state)) = (self.mask.as_mut(), paused) {
            mask.resume(state);
        }
        Ok(())
    }

    /// Notes the key of a field whose value is taken whole, unless the path binds it.
    pub(super) fn record(&mut self, field: &FieldPlan) {
        let Some(mask) = self.mask.as_mut() else {
            return;
        };
        self.path.push(field.number);
        if !self.bound.holds(&self.path) {
            mask.record(field);
        }
        self.path.pop();
    }

    /// A message into which the mask descends: its keys are recorded, or itself if it has none.
    fn recorded_message(&mut self, field: &'a FieldPlan, plan: &'a MessagePlan) -> Result<(), Fault> {
        self.may_open(1)?;
        let before = self.mask.as_mut().map(|mask| mask.enter(field));
        self.enter(field.number);
        let mut keys = 0;
        self.delimited(field, |reader| {
            keys = reader.object(plan, false)?;
            Ok(())
        })?;
        self.leave();
        if let (Some(mask), Some(before)) = (self.mask.as_mut(), before) {
            mask.leave(before);
        }
        if keys == 0 {
            self.record(field);
        }
        Ok(())
    }

    /// One value, left out if it is what an absent field means.
    pub(super) fn singular(&mut self, field: &'a FieldPlan) -> Result<(), Fault> {
        if let Kind::Message(id) = field.kind {
            return self.nested(field, self.plans.message(id));
        }
        let at = self.scan.at();
        let Some(scalar) = self.scalar(field.kind)? else {
            return Ok(());
        };
        if self.tracks && self.is_bound(field) {
            return self.compared(field, scalar, at);
        }
        if !field.presence && scalar.is_default() {
            return Ok(());
        }
        self.emit(Some(&field.tag), scalar)
    }

    /// A single scalar as most writers have it; `false` passes nothing.
    #[inline]
    pub(super) fn lone(&mut self, field: &FieldPlan) -> bool {
        if field.is_text() {
            return self.plain_text(&field.tag, field.presence);
        }
        let Some(number) = self.usual(field.kind) else {
            return false;
        };
        if field.presence || !number.is_default() {
            self.number(Some(&field.tag), number);
        }
        true
    }

    /// A text without escapes that stands here just so, left out if it is empty and not `kept`; `false` passes nothing.
    #[inline]
    pub(super) fn plain_text(&mut self, tag: &Tag, kept: bool) -> bool {
        if let Some(near) = self.scan.near_string() {
            if kept || near.len() > 0 {
                self.out.text_near(tag, near);
            }
            return true;
        }
        let Some(text) = self.scan.next_plain_string() else {
            return false;
        };
        if kept || !text.is_empty() {
            self.out.text(tag, text.as_bytes());
        }
        true
    }

    fn is_bound(&mut self, field: &FieldPlan) -> bool {
        self.path.push(field.number);
        let is_bound = self.bound.value(&self.path).is_some();
        self.path.pop();
        is_bound
    }

    /// A leaf another source has bound: it must be the same, and then stands on the wire already.
    fn compared(&mut self, field: &FieldPlan, scalar: Scalar<'a>, at: usize) -> Result<(), Fault> {
        let payload = self.payload(scalar)?;
        self.enter(field.number);
        let differing = self.bound.value(&self.path).filter(|(known, _)| **known != payload);
        let fault = differing.map(|(_, spelling)| differs(at, spelling));
        self.leave();
        match fault {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    /// A message as a field of the open one.
    pub(super) fn nested(&mut self, field: &'a FieldPlan, plan: &'a MessagePlan) -> Result<(), Fault> {
        self.may_open(1)?;
        self.enter(field.number);
        self.delimited(field, |reader| reader.message(plan))?;
        self.leave();
        Ok(())
    }

    /// What `content` writes, behind a length or between the tags of a group.
    fn delimited(
        &mut self,
        field: &FieldPlan,
        content: impl FnOnce(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if field.delimited {
            self.out.open_group(&field.tag);
            content(self)?;
            self.out.close_group(&field.second_tag);
            return Ok(());
        }
        let open = self.out.open_tag(&field.tag);
        content(self)?;
        self.out.close(open);
        Ok(())
    }

    fn list(&mut self, field: &'a FieldPlan) -> Result<(), Fault> {
        if self.scan.peek()? != Found::Array {
            return self.expect(Found::Array, &format!("the list `{}`", field.json_name));
        }
        self.scan.open()?;
        self.may_open(1)?;
        self.enter(UNBOUND);
        if field.packed {
            self.packed(field)?;
        } else {
            let mut first = true;
            while self.scan.element(&mut first)? {
                if field.is_text() && !self.tracks && self.plain_text(&field.tag, true) {
                    continue;
                }
                self.refuse_null(field, "an element of a list")?;
                self.element(field)?;
            }
        }
        self.leave();
        Ok(())
    }

    /// All elements in one piece; nothing if there are none.
    fn packed(&mut self, field: &'a FieldPlan) -> Result<(), Fault> {
        let mark = self.out.mark();
        let open = self.out.open_tag(&field.second_tag);
        let mut first = true;
        while self.scan.element(&mut first)? {
            self.refuse_null(field, "an element of a list")?;
            if let Some(scalar) = self.scalar(field.kind)? {
                self.emit(None, scalar)?;
            }
        }
        if self.out.is_empty(&open) {
            self.out.rewind(mark);
        } else {
            self.out.close(open);
        }
        Ok(())
    }

    /// One element with its tag; `false` where an unknown enum name is ignored.
    pub(super) fn element(&mut self, field: &'a FieldPlan) -> Result<bool, Fault> {
        if let Kind::Message(id) = field.kind {
            self.nested(field, self.plans.message(id))?;
            return Ok(true);
        }
        match self.scalar(field.kind)? {
            Some(scalar) => self.emit(Some(&field.tag), scalar).map(|()| true),
            None => Ok(false),
        }
    }

    pub(super) fn refuse_null(&mut self, field: &FieldPlan, whole: &str) -> Result<(), Fault> {
        if self.scan.peek()? != Found::Null || field.takes_null {
            return Ok(());
        }
        Err(self.scan.fault("INVALID_VALUE", format!("{whole} cannot be null; leave it out")))
    }
}
