//! Templates as OpenAPI paths: each wildcard becomes a parameter with a telling name.
//!
//! What must hold: two paths differ in more than the names of their parameters, because to OpenAPI they are one path otherwise;
//! every parameter that an operation declares is in its path.

use std::collections::BTreeMap;

use prost_reflect::FieldDescriptor;
use serde_json::{Map, Value};

use crate::binding::{Binding, Variable};
use crate::template::Segment;

/// A parameter of an expanded path.
pub(super) struct Parameter<'b> {
    pub(super) name: String,
    /// The variable that it is the whole or a part of.
    pub(super) variable: Option<&'b Variable>,
    pub(super) is_whole: bool,
    /// The name is another operation's.
    pub(super) is_renamed: bool,
    /// The value may hold slashes.
    pub(super) multi: bool,
}

impl<'b> Parameter<'b> {
    /// The field, where the parameter is its whole value.
    pub(super) fn field(&self) -> Option<&'b FieldDescriptor> {
        self.variable.filter(|_| self.is_whole).and_then(|variable| variable.fields.last())
    }
}

/// The paths of the document, by what they are without the names of their parameters.
#[derive(Default)]
pub(super) struct Paths(BTreeMap<String, Path>);

struct Path {
    text: String,
    /// Of its parameters, as the first operation has them.
    names: Vec<String>,
    operations: Map<String, Value>,
}

impl Paths {
    /// Where the operation of this binding stands. Of two that would stand in one place the `**` leaves it: its first segments are
    /// written out, so that the document says less of it than the edge takes, and nothing untrue.
    pub(super) fn place<'b>(&self, binding: &'b Binding, method: &str) -> ExpandedPath<'b> {
        let mut path = ExpandedPath::of(binding, 0);
        let is_taken = |path: &ExpandedPath<'_>| {
            self.0.get(&path.shape).is_some_and(|known| known.operations.contains_key(method))
        };
        for written_out in 1.. {
            if binding.template.deep().is_none() || !is_taken(&path) {
                break;
            }
            path = ExpandedPath::of(binding, written_out);
        }
        if let Some(known) = self.0.get(&path.shape) {
            path.rename(known);
        }
        path
    }

    /// Puts an operation where it stands.
    pub(super) fn insert(&mut self, path: &ExpandedPath<'_>, method: &str, operation: Value) {
        let known = self.0.entry(path.shape.clone()).or_insert_with(|| Path {
            text: path.text.clone(),
            names: path.parameters.iter().map(|parameter| parameter.name.clone()).collect(),
            operations: Map::new(),
        });
        known.operations.insert(method.to_owned(), operation);
    }

    /// All of them by their texts.
    pub(super) fn finish(self) -> BTreeMap<String, Value> {
        self.0.into_values().map(|path| (path.text, path.operations.into())).collect()
    }
}

/// A path as OpenAPI writes it.
pub(super) struct ExpandedPath<'b> {
    text: String,
    /// The text without the names of the parameters.
    shape: String,
    pub(super) parameters: Vec<Parameter<'b>>,
}

impl<'b> ExpandedPath<'b> {
    /// `written_out` segments of a `**` are parameters of their own before the rest.
    fn of(binding: &'b Binding, written_out: usize) -> Self {
        let mut path = Self { text: String::new(), shape: String::new(), parameters: Vec::new() };
        let mut before = "";
        for (index, segment) in binding.template.segments.iter().enumerate() {
            if let Segment::Literal(text) = segment {
                path.push(&format!("/{text}"));
                before = text;
                continue;
            }
            let covers = |variable: &&Variable| (variable.start..variable.start + variable.len).contains(&index);
            let variable = binding.variables.iter().find(covers);
            let is_deep = *segment == Segment::Deep;
            let count = if is_deep { 1 + written_out } else { 1 };
            for number in 1..=count {
                let is_whole = count == 1 && variable.is_some_and(|variable| variable.len == 1);
                path.parameter(Parameter {
                    name: path.name(segment, variable, before),
                    variable,
                    is_whole,
                    is_renamed: false,
                    multi: is_deep && number == count,
                });
            }
            before = "";
        }
        if let Some(verb) = &binding.template.verb {
            path.push(&format!(":{verb}"));
        }
        path
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.shape.push_str(text);
    }

    fn parameter(&mut self, parameter: Parameter<'b>) {
        self.text.push_str(&format!("/{{{}}}", parameter.name));
        self.shape.push_str("/{}");
        self.parameters.push(parameter);
    }

    /// Takes the names of another path of this shape.
    fn rename(&mut self, known: &Path) {
        self.text.clone_from(&known.text);
        for (parameter, name) in self.parameters.iter_mut().zip(&known.names) {
            parameter.is_renamed = parameter.name != *name;
            parameter.name.clone_from(name);
        }
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
