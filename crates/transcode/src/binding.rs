//! One http rule resolved against the fields of its request and response.
//!
//! After [`resolve`] nothing about a rule can be wrong any more: every variable names a singular leaf,
//! `body` and `response_body` are fields that exist. What the API guidelines advise against is served
//! and reported as a warning.

use http::Method;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::contract::MethodPlan;
use crate::name;
use crate::plan::{FieldId, Plans};
use crate::rule::{HttpRule, Pattern};
use crate::template::{Refusal, Template};
use crate::wellknown::{self, WellKnown};

/// A field as the contract describes it and where its plan is.
#[derive(Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) descriptor: FieldDescriptor,
    pub(crate) id: FieldId,
}

/// Where the request's body goes.
#[derive(Clone, PartialEq)]
pub(crate) enum Body {
    /// There is none.
    None,
    /// `body: "*"`: the body is the request message, less what the path binds.
    Whole,
    /// The body is this top-level field.
    Field(Field),
}

/// Where a `google.api.HttpBody` stands in a message.
#[derive(Clone, PartialEq)]
pub(crate) enum RawBody {
    /// The message is one.
    Whole,
    /// This top-level field is one.
    Field(FieldId),
}

/// A variable of the template and the field path it binds.
pub(crate) struct Variable {
    pub(crate) fields: Vec<FieldDescriptor>,
    /// Their plans.
    pub(crate) path: Vec<FieldId>,
    /// The field path as the template writes it.
    pub(crate) spelling: String,
    pub(crate) start: usize,
    pub(crate) len: usize,
    /// Covers exactly one segment: its value is decoded fully.
    pub(crate) single: bool,
}

/// A resolved rule.
pub(crate) struct Binding {
    /// Index of its RPC.
    pub(crate) rpc: usize,
    /// `None` stands for every method.
    pub(crate) method: Option<Method>,
    pub(crate) text: String,
    pub(crate) template: Template,
    pub(crate) variables: Vec<Variable>,
    pub(crate) body: Body,
    pub(crate) response_body: Option<Field>,
    /// The FieldMask to fill from a PATCH body's keys.
    pub(crate) mask: Option<FieldId>,
    pub(crate) raw_in: Option<RawBody>,
    pub(crate) raw_out: Option<RawBody>,
    /// The field of a streamed response that becomes the `id:` of a server-sent event.
    pub(crate) event_id: Option<FieldId>,
}

/// Resolves `rule` for the RPC `plan`, whose index is `rpc`.
pub(crate) fn resolve(
    rule: &HttpRule,
    rpc: usize,
    plan: &MethodPlan,
    plans: &Plans,
    event_id_fields: &[String],
) -> Result<Binding, Refusal> {
    let (method, text) = rule.parts().ok_or_else(|| {
        refusal("the rule has neither method nor path", "give one of get, put, post, delete, patch, custom")
    })?;
    let method = match method {
        "*" => None,
        name => Some(
            Method::from_bytes(name.as_bytes())
                .map_err(|_| refusal(format!("`{name}` is no HTTP method"), "name a method in upper case, or `*`"))?,
        ),
    };
    let template = Template::parse(text)?;
    let variables = variables(&template, &plan.input, plans)?;
    let body = match rule.body.as_str() {
        "" => Body::None,
        "*" => Body::Whole,
        name => Body::Field(top_level(&plan.input, name, "body", plans)?),
    };
    let response_body = match rule.response_body.as_str() {
        "" => None,
        name => Some(top_level(&plan.output, name, "response_body", plans)?),
    };
    Ok(Binding {
        rpc,
        mask: mask_field(method.as_ref(), &body, &plan.input).and_then(|field| plans.place(&field)),
        raw_in: raw_in(&body, &plan.input),
        raw_out: raw_out(response_body.as_ref(), &plan.output),
        event_id: event_id(plan, event_id_fields).and_then(|field| plans.place(&field)),
        method,
        text: text.to_owned(),
        template,
        variables,
        body,
        response_body,
    })
}

/// The RPC at its own path, as Connect has it: the body is the request message, the answer the response message.
pub(crate) fn at_own_path(
    rpc: usize,
    plan: &MethodPlan,
    plans: &Plans,
    event_id_fields: &[String],
) -> Result<Binding, Refusal> {
    let rule =
        HttpRule { pattern: Some(Pattern::Post(plan.rpc_path.clone())), body: "*".to_owned(), ..HttpRule::default() };
    let binding = resolve(&rule, rpc, plan, plans, event_id_fields)?;
    Ok(Binding { raw_in: None, raw_out: None, ..binding })
}

impl Binding {
    /// Deviations from AIP-127 and traps; they are served as written.
    pub(crate) fn warnings(&self, plan: &MethodPlan) -> Vec<String> {
        let mut warnings = Vec::new();
        let bodiless = matches!(self.method, Some(Method::GET | Method::DELETE));
        if bodiless && self.body != Body::None {
            warnings.push("GET and DELETE should have no body (AIP-127)".to_owned());
        }
        let shows_error = match &self.response_body {
            None => name::field(&plan.output, "error").is_some_and(|field| field.json_name() == "error"),
            Some(field) => wellknown::plain_message(&field.descriptor)
                .is_some_and(|message| message.get_field_by_json_name("error").is_some()),
        };
        if plan.server_streaming && shows_error && self.raw_out.is_none() {
            warnings.push(
                "a streamed message has a top-level field `error`, which clients take for the error record".to_owned(),
            );
        }
        warnings
    }

    /// Which segments of a path with `count` segments the variable covers.
    pub(crate) fn span(&self, variable: &Variable, count: usize) -> (usize, usize) {
        let shift = |index: usize| match self.template.deep() {
            Some(deep) if index > deep => index + count - self.template.segments.len(),
            _ => index,
        };
        // The end is exclusive: an end just behind the `**` moves with what follows it.
        (shift(variable.start), shift(variable.start + variable.len))
    }
}

fn refusal(problem: impl Into<String>, remedy: impl Into<String>) -> Refusal {
    Refusal { problem: problem.into(), remedy: remedy.into() }
}

fn top_level(message: &MessageDescriptor, name: &str, option: &str, plans: &Plans) -> Result<Field, Refusal> {
    let field = message.get_field_by_name(name).and_then(|descriptor| {
        let id = plans.place(&descriptor)?;
        Some(Field { descriptor, id })
    });
    field.ok_or_else(|| {
        refusal(
            format!(
                "{option} names `{name}`, which is no field of {}{}",
                message.full_name(),
                name::advice(message, name)
            ),
            format!("name one top-level field in {option}"),
        )
    })
}

fn variables(template: &Template, input: &MessageDescriptor, plans: &Plans) -> Result<Vec<Variable>, Refusal> {
    let mut variables: Vec<Variable> = Vec::new();
    for parsed in &template.variables {
        let fields = field_path(&parsed.field, input)?;
        let single = parsed.len == 1 && template.deep() != Some(parsed.start);
        let spelling = parsed.field.join(".");
        if let Some(other) = variables.iter().find(|other| exclude_each_other(&other.fields, &fields)) {
            return Err(refusal(
                format!("`{}` and `{spelling}` cannot both be set", other.spelling),
                "bind one member of a oneof, and a message or its fields but not both",
            ));
        }
        let path = fields.iter().filter_map(|field| plans.place(field)).collect();
        variables.push(Variable { fields, path, spelling, start: parsed.start, len: parsed.len, single });
    }
    Ok(variables)
}

/// Members of one oneof, or one path inside the other.
fn exclude_each_other(left: &[FieldDescriptor], right: &[FieldDescriptor]) -> bool {
    let shared = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    match (left.get(shared), right.get(shared)) {
        (Some(a), Some(b)) => {
            let real = |field: &FieldDescriptor| field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
            real(a).is_some_and(|oneof| real(b) == Some(oneof))
        }
        _ => true,
    }
}

/// The fields of a path, ending in a leaf that has a text form.
fn field_path(names: &[String], input: &MessageDescriptor) -> Result<Vec<FieldDescriptor>, Refusal> {
    let spelling = names.join(".");
    let mut fields: Vec<FieldDescriptor> = Vec::new();
    let mut message = Some(input.clone());
    for name in names {
        let parent = message.ok_or_else(|| {
            refusal(format!("`{spelling}` goes through a field that has no fields"), "end the path at a scalar")
        })?;
        let field = parent.get_field_by_name(name).ok_or_else(|| {
            refusal(
                format!(
                    "`{spelling}` names no field: {} has no `{name}`{}",
                    parent.full_name(),
                    name::advice(&parent, name)
                ),
                "name a field of the request message",
            )
        })?;
        if field.is_list() || field.is_map() {
            return Err(refusal(
                format!("`{spelling}` is bound by the path, but `{name}` is repeated or a map"),
                "bind singular fields only",
            ));
        }
        message = wellknown::plain_message(&field);
        fields.push(field);
    }
    let leaf = fields.last().map(FieldDescriptor::kind);
    if leaf.as_ref().is_some_and(has_text_form) {
        return Ok(fields);
    }
    Err(refusal(
        format!("`{spelling}` is a message and cannot be bound by the path"),
        "bind a scalar, an enum, a wrapper, a Timestamp, a Duration or a FieldMask",
    ))
}

fn has_text_form(kind: &Kind) -> bool {
    let Kind::Message(message) = kind else {
        return true;
    };
    matches!(
        wellknown::of(message),
        Some(WellKnown::Wrapper | WellKnown::Timestamp | WellKnown::Duration | WellKnown::FieldMask)
    )
}

/// For PATCH with a message as body: the request's only FieldMask.
fn mask_field(method: Option<&Method>, body: &Body, input: &MessageDescriptor) -> Option<FieldDescriptor> {
    let Body::Field(field) = body else {
        return None;
    };
    wellknown::plain_message(&field.descriptor)?;
    let mut masks = input
        .fields()
        .filter(|field| !field.is_list() && wellknown::of_kind(&field.kind()) == Some(WellKnown::FieldMask));
    let mask = masks.next()?;
    (method == Some(&Method::PATCH) && masks.next().is_none()).then_some(mask)
}

fn is_http_body(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.api.HttpBody"
}

fn is_http_body_field(field: &FieldDescriptor) -> bool {
    !field.is_list() && field.kind().as_message().is_some_and(is_http_body)
}

fn raw_in(body: &Body, input: &MessageDescriptor) -> Option<RawBody> {
    match body {
        Body::None => None,
        Body::Whole => is_http_body(input).then_some(RawBody::Whole),
        Body::Field(field) => raw_field(field),
    }
}

fn raw_field(field: &Field) -> Option<RawBody> {
    is_http_body_field(&field.descriptor).then_some(RawBody::Field(field.id))
}

fn raw_out(response_body: Option<&Field>, output: &MessageDescriptor) -> Option<RawBody> {
    match response_body {
        None => is_http_body(output).then_some(RawBody::Whole),
        Some(field) => raw_field(field),
    }
}

fn event_id(plan: &MethodPlan, names: &[String]) -> Option<FieldDescriptor> {
    let singular = |field: &FieldDescriptor| !field.is_list() && !field.is_map() && field.kind().as_message().is_none();
    let field = names.iter().find_map(|name| plan.output.get_field_by_name(name))?;
    (plan.server_streaming && singular(&field)).then_some(field)
}
