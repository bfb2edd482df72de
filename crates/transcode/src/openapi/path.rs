//! Templates as OpenAPI paths: each wildcard becomes a parameter with a telling name.

use prost_reflect::FieldDescriptor;

use crate::binding::{Binding, Variable};
use crate::template::Segment;

/// A parameter of an expanded path.
pub(super) struct Parameter<'b> {
    pub(super) name: String,
    /// The field, where the parameter is the whole value of a variable.
    pub(super) field: Option<&'b FieldDescriptor>,
    /// What the parameter is a part of, for its description.
    pub(super) part_of: Option<&'b Variable>,
    /// The value may hold slashes.
    pub(super) multi: bool,
}

/// A path as OpenAPI writes it.
pub(super) struct ExpandedPath<'b> {
    pub(super) text: String,
    pub(super) parameters: Vec<Parameter<'b>>,
}

impl<'b> ExpandedPath<'b> {
    pub(super) fn of(binding: &'b Binding) -> Self {
        let mut path = Self { text: String::new(), parameters: Vec::new() };
        let mut before = "";
        for (index, segment) in binding.template.segments.iter().enumerate() {
            path.text.push('/');
            if let Segment::Literal(text) = segment {
                path.text.push_str(text);
                before = text;
                continue;
            }
            let covers = |variable: &&Variable| (variable.start..variable.start + variable.len).contains(&index);
            let variable = binding.variables.iter().find(covers);
            let name = path.name(segment, variable, before);
            path.text.push_str(&format!("{{{name}}}"));
            let whole = variable.filter(|variable| variable.len == 1);
            path.parameters.push(Parameter {
                name,
                field: whole.and_then(|variable| variable.fields.last()),
                part_of: variable.filter(|variable| variable.len > 1),
                multi: *segment == Segment::Deep,
            });
            before = "";
        }
        if let Some(verb) = &binding.template.verb {
            path.text.push_str(&format!(":{verb}"));
        }
        path
    }

    /// The singular of the collection before it, else the field's name; unique within the path.
    fn name(&self, segment: &Segment, variable: Option<&Variable>, before: &str) -> String {
        let field = variable.and_then(|variable| variable.fields.last());
        let alone = variable.is_some_and(|variable| variable.len == 1);
        let collection = (!alone && !before.is_empty() && *segment == Segment::Star).then(|| singular(before));
        let name =
            collection.or_else(|| field.map(|field| field.name().to_owned())).unwrap_or_else(|| "value".to_owned());
        let taken = |name: &str| self.parameters.iter().any(|parameter| parameter.name == name);
        if !taken(&name) {
            return name;
        }
        (2..).map(|number| format!("{name}{number}")).find(|name| !taken(name)).unwrap_or(name)
    }
}

/// `libraries` -> `library`, `addresses` -> `address`, `users` -> `user`, anything else as it is.
fn singular(collection: &str) -> String {
    if let Some(stem) = collection.strip_suffix("ies") {
        return format!("{stem}y");
    }
    for ending in ["sses", "xes", "ches", "shes"] {
        if let Some(stem) = collection.strip_suffix(ending) {
            return format!("{stem}{}", &ending[..ending.len() - 2]);
        }
    }
    match collection.strip_suffix('s') {
        Some(stem) if !stem.ends_with('s') && !stem.is_empty() => stem.to_owned(),
        _ => collection.to_owned(),
    }
}
