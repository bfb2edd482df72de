//! Standard methods look alike (AIP-131 to 135), repeats are safe, pages and streams have one form, events and reasons are
//! complete.
use prost_reflect::{Kind, MessageDescriptor, MethodDescriptor, Value};
use proto::{Idempotency, Method, Rule};

use super::{Contract, comments};

/// Get, List, Create, Update and Delete have the shape that clients and tools expect.
pub(super) fn signatures(contract: &Contract) -> Vec<String> {
    let mut found = Vec::new();
    for (method, known) in contract.methods() {
        let free = known.access.as_ref().is_some_and(|access| access.rule == Rule::PeerOnly)
            || comments(&method).contains("AIP-");
        if free || !known.is_unary() {
            continue;
        }
        let problem = match split(known.name) {
            ("Get", resource) => get(&method, resource),
            ("List", _) => list(&method, known),
            ("Create", resource) => create(&method, resource),
            ("Update", resource) => update(&method, resource),
            ("Delete", resource) => delete(&method, resource),
            _ => None,
        };
        let request = format!("{}Request", known.name);
        let named = method.input().name() != request;
        found.extend(
            problem.map(|problem| format!("{}: {problem}, or name the AIP in the comment and say why not", known.rpc)),
        );
        found.extend(named.then(|| format!("{}: its request is named {request}", known.rpc)));
    }
    found
}

fn split(name: &str) -> (&str, &str) {
    let verb = ["Get", "List", "Create", "Update", "Delete"].into_iter().find(|verb| name.starts_with(verb));
    verb.map_or(("", name), |verb| (verb, &name[verb.len()..]))
}

fn get(method: &MethodDescriptor, resource: &str) -> Option<String> {
    let named = is_string(&method.input(), "name") || method.input().fields().len() == 0;
    (method.output().name() != resource || !named).then(|| format!("takes `name` and returns {resource} (AIP-131)"))
}

fn list(method: &MethodDescriptor, known: &Method) -> Option<String> {
    let first = method.output().get_field(1).is_some_and(|field| field.is_list());
    let answer = format!("{}Response", known.name);
    (method.output().name() != answer || !first)
        .then(|| format!("returns {answer} whose field 1 is the list (AIP-132)"))
}

fn create(method: &MethodDescriptor, resource: &str) -> Option<String> {
    let returns = method.output().name() == resource || method.output().name() == "Operation";
    let has = field_of(&method.input(), resource).is_some();
    (!returns || !has).then(|| format!("takes and returns {resource} (AIP-133)"))
}

fn update(method: &MethodDescriptor, resource: &str) -> Option<String> {
    let mask = method
        .input()
        .get_field_by_name("update_mask")
        .and_then(|field| field.kind().as_message().map(|kind| kind.full_name().to_owned()));
    let fits = field_of(&method.input(), resource).is_some() && method.output().name() == resource;
    (!fits || mask.as_deref() != Some("google.protobuf.FieldMask"))
        .then(|| format!("takes {resource} and update_mask, returns {resource} (AIP-134)"))
}

fn delete(method: &MethodDescriptor, resource: &str) -> Option<String> {
    let returns = method.output().full_name() == "google.protobuf.Empty" || method.output().name() == resource;
    (!returns || !is_string(&method.input(), "name"))
        .then(|| format!("takes `name`, returns Empty or {resource} (AIP-135)"))
}

fn field_of(message: &MessageDescriptor, resource: &str) -> Option<u32> {
    let field = message.fields().find(|field| field.kind().as_message().is_some_and(|kind| kind.name() == resource))?;
    Some(field.number())
}

fn is_string(message: &MessageDescriptor, name: &str) -> bool {
    message.get_field_by_name(name).is_some_and(|field| field.kind() == Kind::String && !field.is_list())
}

/// Reads say so; a create that may be repeated carries the id that makes the repeat safe.
pub(super) fn idempotency(contract: &Contract) -> Vec<String> {
    let mut found = Vec::new();
    for (method, known) in contract.methods() {
        let (verb, _) = split(known.name);
        if matches!(verb, "Get" | "List") && known.idempotency != Idempotency::NoSideEffects {
            found.push(format!("{}: a read has idempotency_level = NO_SIDE_EFFECTS", known.rpc));
        }
        if verb == "Create" && known.idempotency == Idempotency::Idempotent && known.request_id_field.is_none() {
            found.push(format!(
                "{}: IDEMPOTENT, so a repeat must be told from a second create: add string request_id",
                known.rpc
            ));
        }
        if matches!(verb, "Create" | "Update" | "Delete") && known.idempotency == Idempotency::NoSideEffects {
            found.push(format!("{}: it changes something, so NO_SIDE_EFFECTS is wrong", known.rpc));
        }
        if known.request_id_field.is_some() && !is_string(&method.input(), "request_id") {
            found.push(format!("{}: request_id is a string", known.rpc));
        }
    }
    found
}

/// A page has its three fields on both sides, or none.
pub(super) fn pages(contract: &Contract) -> Vec<String> {
    let mut found = Vec::new();
    for (method, known) in contract.methods().filter(|(_, known)| known.is_unary()) {
        let (input, output) = (method.input(), method.output());
        let size = input.get_field_by_name("page_size").is_some_and(|field| field.kind() == Kind::Int32);
        let (token, next) = (is_string(&input, "page_token"), is_string(&output, "next_page_token"));
        let free = known.access.as_ref().is_some_and(|access| access.rule == Rule::PeerOnly)
            || comments(&method).contains("AIP-");
        let needed = split(known.name).0 == "List" && !free;
        if (size, token, next) != (needed, needed, needed) && (size, token, next) != (true, true, true) {
            found.push(format!(
                "{}: pages from the first day: int32 page_size, string page_token, string next_page_token (AIP-158)",
                known.rpc
            ));
        }
    }
    found
}

/// The gateway wraps the messages of a stream and shows an error beside them: their field `error` would hide it.
pub(super) fn streams(contract: &Contract) -> Vec<String> {
    let streams = contract.methods().filter(|(_, known)| known.server_streaming);
    let bad = streams.filter(|(method, _)| method.output().get_field_by_name("error").is_some());
    bad.map(|(method, known)| {
        format!("{}: a message of a stream has no field `error` ({})", known.rpc, method.output().full_name())
    })
    .collect()
}

/// Messages of `*_events.proto` are events, with a type, an aggregate and the resource's name.
pub(super) fn events(contract: &Contract) -> Vec<String> {
    let mut found = Vec::new();
    let Some(extension) = contract.pool.get_extension_by_name("workos.api.v1.event") else {
        return vec!["workos.api.v1.event: the option is gone".to_owned()];
    };
    let files = contract
        .pool
        .files()
        .filter(|file| file.name().starts_with("workos/") && file.name().ends_with("_events.proto"));
    for message in files.flat_map(|file| file.messages().collect::<Vec<_>>()) {
        let options = message.options();
        let option = options.has_extension(&extension).then(|| options.get_extension(&extension).into_owned());
        let Some(Value::Message(event)) = option else {
            found.push(format!(
                "{}: add option workos.api.v1.event, or move it out of the events file",
                message.full_name()
            ));
            continue;
        };
        let text = |name: &str| {
            event.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let (kind, aggregate) = (text("type"), text("aggregate"));
        if aggregate.is_empty()
            || !kind.split_once('.').is_some_and(|(what, happened)| !what.is_empty() && !happened.is_empty())
        {
            found.push(format!("{}: an event has a type (`aggregate.happened`) and an aggregate", message.full_name()));
        }
    }
    found
}

/// Error reasons say in their comment what the cause is and what helps.
pub(super) fn reasons(contract: &Contract) -> Vec<String> {
    let mut found = Vec::new();
    let enums =
        contract.pool.all_enums().filter(|of| of.name() == "ErrorReason" && of.package_name().starts_with("workos."));
    for value in enums.flat_map(|of| of.values().collect::<Vec<_>>()).filter(|value| value.number() != 0) {
        let file = value.parent_enum().parent_file();
        let info = file.file_descriptor_proto().source_code_info.as_ref();
        let location = info.and_then(|info| info.location.iter().find(|location| location.path == value.path()));
        if location.is_none_or(|location| location.leading_comments().trim().len() < 10) {
            found.push(format!(
                "{}: say in its comment what the cause is and what helps; docs/errors.md is made of it",
                value.full_name()
            ));
        }
    }
    found
}
