//! Fields that the contract marks REQUIRED (AIP-203) and a request leaves out: all of them are named at once.
//!
//! Asked of the finished wire bytes, so path, query and body count alike. Numbers, booleans and enums without presence are
//! not asked for: their default may be meant. Costs nothing where no field below a message is REQUIRED.
use crate::plan::{Bits, FieldPlan, Kind, MessageId, MessagePlan, Plans, Shape};
use crate::problem::{FieldViolation, Problem};
use crate::wire::{Cursor, Key, Malformed};

/// Most fields that one refusal names.
const NAMED: usize = 32;

/// Refuses a request that leaves required fields out. `deep` asks inside of messages too, which an update with a mask does
/// not: what it leaves out stays as it is. `spell` gives the caller's name of a proto path.
pub(crate) fn check(
    plans: &Plans,
    message: MessageId,
    wire: &[u8],
    deep: bool,
    spell: &dyn Fn(&str) -> String,
) -> Result<(), Problem> {
    let plan = plans.message(message);
    if !plan.asks {
        return Ok(());
    }
    let mut search = Search { plans, deep, missing: Vec::new() };
    search.message(plan, &[wire], "").map_err(|malformed| {
        Problem::internal("REQUEST_MALFORMED", format!("the request broke on its way: {}", malformed.0))
    })?;
    let violations: Vec<_> = search
        .missing
        .iter()
        .map(|path| FieldViolation { field: spell(path), description: "it is required; send it".to_owned() })
        .collect();
    let Some(first) = violations.first() else { return Ok(()) };
    let more = if violations.len() > 1 {
        format!(" (and {} more, see the violations)", violations.len() - 1)
    } else {
        String::new()
    };
    let mut problem = Problem::invalid("FIELD_INVALID", format!("`{}`: {}{more}", first.field, first.description));
    problem.violations = violations;
    Err(problem)
}

struct Search<'p> {
    plans: &'p Plans,
    deep: bool,
    /// Proto paths.
    missing: Vec<String>,
}

impl<'p> Search<'p> {
    /// Looks through one message, which may have come in several parts that merge.
    fn message(&mut self, plan: &'p MessagePlan, parts: &[&[u8]], path: &str) -> Result<(), Malformed> {
        let mut met = Bits::default();
        let mut children: Vec<(&FieldPlan, Vec<&[u8]>)> = Vec::new();
        for part in parts {
            let mut cursor = Cursor::new(part);
            while let Some(key) = cursor.key()? {
                let Some((index, field)) = plan.index_of(key.number()).and_then(|at| Some((at, plan.fields.get(at)?)))
                else {
                    cursor.skip(key)?;
                    continue;
                };
                let value = match key.wire_type() {
                    Key::LENGTH => Some(cursor.bytes()?),
                    Key::START_GROUP => Some(cursor.group(key.number())?),
                    _ => cursor.skip(key).map(|()| None)?,
                };
                let is_empty_text =
                    value.is_some_and(<[u8]>::is_empty) && matches!(field.kind, Kind::String | Kind::Bytes);
                if !is_empty_text || field.shape == Shape::List {
                    met.insert(index);
                }
                if let (true, Some(value)) = (self.deep && self.asks(field), value) {
                    match children.iter_mut().find(|(known, _)| known.number == field.number) {
                        Some((_, parts)) => parts.push(value),
                        None => children.push((field, vec![value])),
                    }
                }
            }
        }
        for (index, field) in plan.fields.iter().enumerate() {
            if field.required && met.insert(index) && self.missing.len() < NAMED {
                self.missing.push(format!("{path}{}", field.name));
            }
        }
        children.into_iter().try_for_each(|(field, parts)| self.child(field, &parts, path))
    }

    fn child(&mut self, field: &'p FieldPlan, parts: &[&[u8]], path: &str) -> Result<(), Malformed> {
        let Some(plan) = self.plans.child(field) else { return Ok(()) };
        if field.shape == Shape::Singular {
            return self.message(plan, parts, &format!("{path}{}.", field.name));
        }
        let mut elements = parts.iter().enumerate();
        elements.try_for_each(|(at, part)| self.message(plan, &[part], &format!("{path}{}[{at}].", field.name)))
    }

    fn asks(&self, field: &FieldPlan) -> bool {
        field.shape != Shape::Map && self.plans.child(field).is_some_and(|child| child.asks)
    }
}

/// Whether the contract asks for the field in a way that its absence can be told from its default.
pub(crate) fn can_be_missed(field: &FieldPlan) -> bool {
    let text = matches!(field.kind, Kind::String | Kind::Bytes | Kind::Message(_));
    !field.service_writes && (text || field.presence || field.shape != Shape::Singular)
}
