//! What the path binds below a message, as body and query of the document see it.

use prost_reflect::{FieldDescriptor, OneofDescriptor};

use crate::binding::Variable;

/// The variables that lie below one message, each with the rest of its field path.
#[derive(Clone, Default)]
pub(super) struct Bound<'b>(Vec<(&'b [FieldDescriptor], &'b Variable)>);

/// What is bound at a field.
pub(super) enum Below<'b> {
    /// All of it, by this variable.
    Whole(&'b Variable),
    /// What lies in it; mostly nothing.
    Parts(Bound<'b>),
}

impl<'b> Bound<'b> {
    /// What a rule's path binds in the request message.
    pub(super) fn of(variables: &'b [Variable]) -> Self {
        Self(variables.iter().map(|variable| (variable.fields.as_slice(), variable)).collect())
    }

    /// Nothing is bound here.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is bound at a field of the message.
    pub(super) fn at(&self, field: &FieldDescriptor) -> Below<'b> {
        let under = self.0.iter().filter_map(|(path, variable)| {
            let (first, rest) = path.split_first()?;
            (first == field).then_some((rest, *variable))
        });
        let under: Vec<_> = under.collect();
        match under.iter().find(|(rest, _)| rest.is_empty()) {
            Some((_, variable)) => Below::Whole(variable),
            None => Below::Parts(Self(under)),
        }
    }

    /// The field, or something below it, is bound.
    pub(super) fn holds(&self, field: &FieldDescriptor) -> bool {
        self.0.iter().any(|(path, _)| path.first() == Some(field))
    }

    /// Another member of the oneof is bound, so this field must not be set.
    pub(super) fn chooses_another(&self, oneof: &OneofDescriptor, field: &FieldDescriptor) -> bool {
        oneof.fields().any(|member| member != *field && self.holds(&member))
    }
}
