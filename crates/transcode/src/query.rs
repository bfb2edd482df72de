//! The query: names, values and maps to bound leaves.
//!
//! Splitting is the URL standard's: `&` only, empty pairs skipped, names decoded before they are split at
//! `.`. Both spellings of a name are known. Repeated scalars come by repetition, never by comma.

mod system;

use crate::binding::{Binding, Body};
use crate::bound::{Bound, New, Source};
use crate::name;
use crate::percent;
use crate::plan::{FieldPlan, Kind, MessageId, MessagePlan, Plans, Shape};
use crate::problem::Problem;
use crate::request;
use crate::scalar;
use crate::wellknown::WellKnown;
use crate::wire::Payload;

pub(crate) use system::{System, read as system};

/// Parameters a query may hold.
const MAX_PARAMETERS: usize = 1_000;
/// Fields in the path of one name.
const MAX_PATH: usize = 64;

/// How a query is read; see [`crate::RequestOptions`].
#[derive(Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) plus_is_space: bool,
    pub(crate) ignore_unknown: bool,
    pub(crate) key_prefix: &'a str,
    pub(crate) plans: &'a Plans,
}

/// The pairs of a query, decoded; bounded in number.
pub(crate) fn pairs(query: &str, plus_is_space: bool) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == MAX_PARAMETERS {
            return Err(Problem::invalid(
                "TOO_MANY_PARAMETERS",
                format!(
                    "The query holds more than {MAX_PARAMETERS} parameters; send fewer, or use a method with a body."
                ),
            )
            .about("limit", MAX_PARAMETERS.to_string()));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |raw: &str| {
            percent::query(raw, plus_is_space)
                .map_err(|malformed| Problem::field("MALFORMED_QUERY", name::shown(name), malformed.advice()))
        };
        pairs.push((decode(name)?, decode(value)?));
    }
    Ok(pairs)
}

/// Binds every parameter of `query` that is a field of the request.
pub(crate) fn bind(
    query: &str,
    binding: &Binding,
    input: MessageId,
    reading: &Reading<'_>,
    bound: &mut Bound,
) -> Result<(), Problem> {
    let input = reading.plans.message(input);
    for (name, value) in pairs(query, reading.plus_is_space)? {
        match system::read(&name, input)? {
            Some(System::Key) if starts_with_key(&value, reading.key_prefix) => {
                return Err(system::credential_in_query(&name));
            }
            Some(_) => {}
            None => field(&name, &value, binding, input, reading, bound)?,
        }
    }
    Ok(())
}

fn starts_with_key(value: &str, prefix: &str) -> bool {
    !prefix.is_empty() && value.starts_with(prefix)
}

/// A name resolved: the fields down to the leaf and, for a map, the key.
struct Target<'p> {
    fields: Vec<&'p FieldPlan>,
    key: Option<String>,
}

fn field(
    name: &str,
    value: &str,
    binding: &Binding,
    input: &MessagePlan,
    reading: &Reading<'_>,
    bound: &mut Bound,
) -> Result<(), Problem> {
    let target = match resolve(name, input, reading.plans)? {
        Ok(target) => target,
        Err(_) if reading.ignore_unknown => return Ok(()),
        Err(unknown) => return Err(unknown),
    };
    refuse_body_field(name, &target.fields, binding, reading.plans)?;
    let (Target { mut fields, key }, shown) = (target, name::shown(name));
    let new = leaf(&mut fields, key, value, reading.plans)
        .map_err(|description| Problem::field("INVALID_PARAMETER", shown, description))?;
    bound.bind(&fields, new, Source::Query, name)
}

/// Fields the body carries cannot come from the query.
fn refuse_body_field(name: &str, fields: &[&FieldPlan], binding: &Binding, plans: &Plans) -> Result<(), Problem> {
    let refused = match &binding.body {
        Body::None => false,
        Body::Whole => true,
        Body::Field(body) => fields.first().is_some_and(|first| first.number == plans.field(body.id).number),
    };
    if !refused {
        return Ok(());
    }
    Err(Problem::field(
        "UNKNOWN_PARAMETER",
        name::shown(name),
        "this method takes the field in its body; move it there",
    ))
}

/// Walks the name down the messages. The outer error ends the request; the inner one is an unknown name.
fn resolve<'p>(name: &str, input: &'p MessagePlan, plans: &'p Plans) -> Result<Result<Target<'p>, Problem>, Problem> {
    let (mut fields, mut message, mut rest) = (Vec::new(), input, name);
    loop {
        if fields.len() == MAX_PATH {
            return Err(refused(name, format!("the name has more than {MAX_PATH} parts")));
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        let Some(field) = message.by_name(part) else {
            return Ok(Err(unknown(name, part, message)));
        };
        fields.push(field);
        if field.shape == Shape::Map {
            let key = match after.strip_prefix('.') {
                Some(key) => Some(key),
                None => after.strip_prefix('[').and_then(|key| key.strip_suffix(']')),
            };
            let key = key.ok_or_else(|| refused(name, "name an entry of the map: `name[key]`"))?;
            let key = Some(key.to_owned());
            return Ok(Ok(Target { fields, key }));
        }
        if after.is_empty() {
            return Ok(Ok(Target { fields, key: None }));
        }
        rest = match after.strip_prefix('.') {
            Some(rest) => rest,
            None => return Err(refused(name, "only maps take a key in brackets")),
        };
        message = parent(field, plans)
            .ok_or_else(|| refused(name, format!("`{}` has no fields that a query can set", field.json_name)))?;
    }
}

/// The message a name may descend into: plain ones, and those with scalar fields behind a string form.
fn parent<'p>(field: &FieldPlan, plans: &'p Plans) -> Option<&'p MessagePlan> {
    let Kind::Message(id) = field.kind else {
        return None;
    };
    let message = Some(plans.message(id)).filter(|_| field.shape == Shape::Singular)?;
    let is_open = matches!(
        message.special,
        None | Some(
            WellKnown::Empty | WellKnown::Wrapper | WellKnown::Timestamp | WellKnown::Duration | WellKnown::FieldMask
        )
    );
    is_open.then_some(message)
}

/// The wire value of a leaf; a wrapper's leaf is its `value`, so its path grows by one.
fn leaf<'p>(
    fields: &mut Vec<&'p FieldPlan>,
    key: Option<String>,
    value: &str,
    plans: &'p Plans,
) -> Result<New, String> {
    let field = *fields.last().ok_or("the name is empty")?;
    if let (Some(key), Some((key_field, value_field))) = (key, plans.entry(field)) {
        if value_field.kind.is_message() {
            return Err("maps of messages cannot be set in a query".to_owned());
        }
        let key = scalar::parse(plans, key_field.kind, &key).map_err(|expected| format!("the key: {expected}"))?;
        return Ok(New::Entry(key, scalar::parse(plans, value_field.kind, value)?));
    }
    match (field.kind, field.shape) {
        (Kind::Message(id), Shape::Singular) => text_form(fields, id, value, plans).map(New::One),
        (Kind::Message(_), _) => Err("lists of messages cannot be set in a query".to_owned()),
        (kind, Shape::Singular) => scalar::parse(plans, kind, value).map(New::One),
        (kind, _) => scalar::parse(plans, kind, value).map(New::Element),
    }
}

/// The value of a message that has a text form.
pub(crate) fn text_form<'p>(
    fields: &mut Vec<&'p FieldPlan>,
    message: MessageId,
    value: &str,
    plans: &'p Plans,
) -> Result<Payload, String> {
    let plan = plans.message(message);
    match plan.special {
        Some(WellKnown::Wrapper) => {
            let inner = plan.fields.first().ok_or("the wrapper has no value")?;
            let payload = scalar::parse(plans, inner.kind, value)?;
            fields.push(inner);
            Ok(payload)
        }
        Some(special @ (WellKnown::Timestamp | WellKnown::Duration | WellKnown::FieldMask)) => {
            Ok(Payload::Bytes(scalar::special(special, value)?))
        }
        Some(WellKnown::Struct | WellKnown::Value | WellKnown::ListValue) => {
            Ok(Payload::Bytes(request::message_text(message, value, plans)?))
        }
        _ => Err("it is a message; set its fields one by one, as `name.field=value`".to_owned()),
    }
}

fn refused(name: &str, description: impl Into<String>) -> Problem {
    Problem::field("INVALID_PARAMETER", name::shown(name), description)
}

fn unknown(name: &str, part: &str, message: &MessagePlan) -> Problem {
    let advice = name::nearest(&message.json_names(), part);
    let description = format!("`{}` is no field of {}{advice}", name::shown(part), message.name);
    Problem::field("UNKNOWN_PARAMETER", name::shown(name), description)
}
