//! `google.protobuf.Any`: the type stands in `@type`, which may come last.
//!
//! A late `@type` is found by look-ahead over the text. One look-ahead notes the types of all objects it
//! passes, so nested ones cost no second scan and hostile nesting stays linear.

use std::collections::HashMap;

use super::{Reader, UNBOUND};
use crate::json::{Fault, Kind, Scanner};
use crate::name;
use crate::plan::MessagePlan;
use crate::wellknown::WellKnown;

impl<'a> Reader<'a> {
    /// The content of an Any: `type_url` and `value`.
    pub(super) fn any(&mut self) -> Result<(), Fault> {
        self.expect(Kind::Object, "Any")?;
        let Some(url) = self.type_url()? else {
            return self.untyped();
        };
        let plan = self.lookup(&url)?;
        self.out.bytes(1, url.as_bytes());
        self.may_open(1)?;
        self.enter(UNBOUND);
        let mark = self.out.mark();
        let open = self.out.open(2);
        match plan.special {
            None => self.object(plan, true).map(drop)?,
            Some(special) => self.special_any(plan, special)?,
        }
        if self.out.is_empty(&open) {
            self.out.rewind(mark);
        } else {
            self.out.close(open);
        }
        self.leave();
        Ok(())
    }

    /// `{}` is an empty Any; anything else needs its type.
    fn untyped(&mut self) -> Result<(), Fault> {
        self.scan.open()?;
        if self.scan.key(&mut true)?.is_some() {
            return Err(self.scan.fault("INVALID_VALUE", "an Any needs `@type`, the URL of its type"));
        }
        Ok(())
    }

    fn lookup(&self, url: &str) -> Result<&'a MessagePlan, Fault> {
        self.plans.of_url(url).ok_or_else(|| {
            let shown = name::shown(url);
            let text = format!(
                "`{shown}` is no type this service knows; write `type.googleapis.com/` and a full message name"
            );
            self.scan.fault("INVALID_VALUE", text)
        })
    }

    /// A type with a JSON form of its own stands in `value`.
    fn special_any(&mut self, plan: &'a MessagePlan, special: WellKnown) -> Result<(), Fault> {
        self.scan.open()?;
        let (mut first, mut found, mut has_type) = (true, false, false);
        while let Some(key) = self.scan.key(&mut first)? {
            match key.as_ref() {
                "@type" if std::mem::replace(&mut has_type, true) => return Err(self.second_type()),
                "@type" => self.scan.skip()?,
                "value" if !found => {
                    self.scan.peek()?;
                    self.message(plan)?;
                    found = true;
                }
                _ if self.ignore_unknown => self.scan.skip()?,
                _ => {
                    let text = "an Any of this type holds `@type` and `value` alone, each once";
                    return Err(self.scan.fault("UNKNOWN_FIELD", text));
                }
            }
        }
        if found || special == WellKnown::Empty {
            return Ok(());
        }
        Err(self.scan.fault("INVALID_VALUE", "an Any of this type needs `value`"))
    }

    /// The `@type` of the object that begins here, without passing it.
    fn type_url(&mut self) -> Result<Option<String>, Fault> {
        let mut ahead = self.scan.clone();
        let brace = ahead.at();
        if self.types.is_none() {
            // Nearly always the type comes first.
            ahead.open()?;
            if ahead.key(&mut true)?.as_deref() == Some("@type") {
                return read_type(&mut ahead).map(Some);
            }
            let mut types = HashMap::new();
            let mut all = self.scan.clone();
            note_types(&mut all, &mut types)?;
            self.types = Some(types);
        }
        let Some(at) = self.types.as_ref().and_then(|types| types.get(&brace)) else {
            return self.type_beyond(brace);
        };
        let mut found = self.scan.clone();
        found.seek(*at);
        read_type(&mut found).map(Some)
    }

    /// An object after the part that was looked ahead: look again from here.
    fn type_beyond(&mut self, brace: usize) -> Result<Option<String>, Fault> {
        let types = self.types.get_or_insert_default();
        let mut all = self.scan.clone();
        note_types(&mut all, types)?;
        let Some(at) = types.get(&brace).copied() else {
            return Ok(None);
        };
        let mut found = self.scan.clone();
        found.seek(at);
        read_type(&mut found).map(Some)
    }
}

fn read_type(scan: &mut Scanner<'_>) -> Result<String, Fault> {
    if scan.peek()? != Kind::String {
        return Err(scan.fault("INVALID_VALUE", "`@type` must be a string"));
    }
    scan.string().map(std::borrow::Cow::into_owned)
}

/// Passes one value and notes, for each object in it, where its `@type` value begins.
fn note_types(scan: &mut Scanner<'_>, types: &mut HashMap<usize, usize>) -> Result<(), Fault> {
    match scan.peek()? {
        Kind::Object => {
            let brace = scan.at();
            scan.open()?;
            let mut first = true;
            while let Some(key) = scan.key(&mut first)? {
                scan.peek()?;
                if key == "@type" && types.insert(brace, scan.at()).is_some_and(|at| at != scan.at()) {
                    return Err(scan.fault("DUPLICATE_FIELD", "`@type` is given twice; keep one"));
                }
                note_types(scan, types)?;
            }
            Ok(())
        }
        Kind::Array => {
            scan.open()?;
            let mut first = true;
            while scan.element(&mut first)? {
                note_types(scan, types)?;
            }
            Ok(())
        }
        _ => scan.skip(),
    }
}
