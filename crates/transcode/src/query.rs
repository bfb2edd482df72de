//! The query: names, values and maps to bound leaves.
//!
//! Splitting is the URL standard's: `&` only, empty pairs skipped, names decoded before they are split at
//! `.`. Both spellings of a name are known. Repeated scalars come by repetition, never by comma.

mod system;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use crate::binding::{Binding, Body};
use crate::bound::{Bound, New, Source};
use crate::name;
use crate::percent;
use crate::problem::Problem;
use crate::request;
use crate::scalar;
use crate::wellknown::{self, WellKnown};
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
    pub(crate) pool: &'a DescriptorPool,
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
    input: &MessageDescriptor,
    reading: &Reading<'_>,
    bound: &mut Bound,
) -> Result<(), Problem> {
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
struct Target {
    fields: Vec<FieldDescriptor>,
    key: Option<String>,
}

fn field(
    name: &str,
    value: &str,
    binding: &Binding,
    input: &MessageDescriptor,
    reading: &Reading<'_>,
    bound: &mut Bound,
) -> Result<(), Problem> {
    let target = match resolve(name, input)? {
        Ok(target) => target,
        Err(_) if reading.ignore_unknown => return Ok(()),
        Err(unknown) => return Err(unknown),
    };
    refuse_body_field(name, &target.fields, binding)?;
    let (Target { mut fields, key }, shown) = (target, name::shown(name));
    let new = leaf(&mut fields, key, value, reading.pool)
        .map_err(|description| Problem::field("INVALID_PARAMETER", shown, description))?;
    bound.bind(&fields, new, Source::Query, name)
}

/// Fields the body carries cannot come from the query.
fn refuse_body_field(name: &str, fields: &[FieldDescriptor], binding: &Binding) -> Result<(), Problem> {
    let refused = match &binding.body {
        Body::None => false,
        Body::Whole => true,
        Body::Field(body) => fields.first().is_some_and(|first| first == body),
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
fn resolve(name: &str, input: &MessageDescriptor) -> Result<Result<Target, Problem>, Problem> {
    let (mut fields, mut message, mut rest) = (Vec::new(), input.clone(), name);
    loop {
        if fields.len() == MAX_PATH {
            return Err(refused(name, format!("the name has more than {MAX_PATH} parts")));
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        let Some(field) = name::field(&message, part) else {
            return Ok(Err(unknown(name, part, &message)));
        };
        if field.is_map() {
            fields.push(field);
            let key = match after.strip_prefix('.') {
                Some(key) => Some(key),
                None => after.strip_prefix('[').and_then(|key| key.strip_suffix(']')),
            };
            let key = key.ok_or_else(|| refused(name, "name an entry of the map: `name[key]`"))?;
            let key = Some(key.to_owned());
            return Ok(Ok(Target { fields, key }));
        }
        let child = wellknown_parent(&field);
        fields.push(field.clone());
        if after.is_empty() {
            return Ok(Ok(Target { fields, key: None }));
        }
        rest = match after.strip_prefix('.') {
            Some(rest) => rest,
            None => return Err(refused(name, "only maps take a key in brackets")),
        };
        message = child
            .ok_or_else(|| refused(name, format!("`{}` has no fields that a query can set", field.json_name())))?;
    }
}

/// The message a name may descend into: plain ones, and those with scalar fields behind a string form.
fn wellknown_parent(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    if let Some(message) = wellknown::plain_message(field) {
        return Some(message);
    }
    if field.is_list() || field.is_map() {
        return None;
    }
    let kind = field.kind();
    let message = kind.as_message()?;
    let open = matches!(
        wellknown::of(message)?,
        WellKnown::Wrapper | WellKnown::Timestamp | WellKnown::Duration | WellKnown::FieldMask
    );
    open.then(|| message.clone())
}

/// The wire value of a leaf; a wrapper's leaf is its `value`, so its path grows by one.
fn leaf(
    fields: &mut Vec<FieldDescriptor>,
    key: Option<String>,
    value: &str,
    pool: &DescriptorPool,
) -> Result<New, String> {
    let field = fields.last().ok_or("the name is empty")?.clone();
    let kind = field.kind();
    if let (Some(key), Kind::Message(entry)) = (key, &kind) {
        let value_kind = entry.map_entry_value_field().kind();
        if value_kind.as_message().is_some() {
            return Err("maps of messages cannot be set in a query".to_owned());
        }
        let key = scalar::parse(&entry.map_entry_key_field().kind(), &key)
            .map_err(|expected| format!("the key: {expected}"))?;
        return Ok(New::Entry(key, scalar::parse(&value_kind, value)?));
    }
    if let (Kind::Message(_), true) = (&kind, field.is_list()) {
        return Err("lists of messages cannot be set in a query".to_owned());
    }
    let Kind::Message(message) = &kind else {
        let payload = scalar::parse(&kind, value)?;
        return Ok(if field.is_list() { New::Element(payload) } else { New::One(payload) });
    };
    text_form(fields, message, value, pool).map(New::One)
}

/// The value of a message that has a text form.
pub(crate) fn text_form(
    fields: &mut Vec<FieldDescriptor>,
    message: &MessageDescriptor,
    value: &str,
    pool: &DescriptorPool,
) -> Result<Payload, String> {
    match wellknown::of(message) {
        Some(WellKnown::Wrapper) => {
            let inner = message.get_field(1).ok_or("the wrapper has no value")?;
            let payload = scalar::parse(&inner.kind(), value)?;
            fields.push(inner);
            Ok(payload)
        }
        Some(well_known @ (WellKnown::Timestamp | WellKnown::Duration | WellKnown::FieldMask)) => {
            Ok(Payload::Bytes(scalar::special(well_known, value)?))
        }
        Some(WellKnown::Struct | WellKnown::Value | WellKnown::ListValue) => {
            Ok(Payload::Bytes(request::message_text(message, value, pool)?))
        }
        _ => Err("it is a message; set its fields one by one, as `name.field=value`".to_owned()),
    }
}

fn refused(name: &str, description: impl Into<String>) -> Problem {
    Problem::field("INVALID_PARAMETER", name::shown(name), description)
}

fn unknown(name: &str, part: &str, message: &MessageDescriptor) -> Problem {
    let description =
        format!("`{}` is no field of {}{}", name::shown(part), message.name(), name::advice(message, part));
    Problem::field("UNKNOWN_PARAMETER", name::shown(name), description)
}
