//! System parameters: what a query says about the answer.

use serde_json::{Map, Value, json};

use crate::binding::Binding;
use crate::contract::{Inner, MethodPlan};
use crate::plan::MessagePlan;
use crate::response;

/// Names below each other in a documented `$fields`. The edge goes deeper; a pattern of all would have no end in a message that
/// holds itself.
const MAX_DEPTH: usize = 4;
/// Bytes of its pattern; what is longer is told less deep.
const MAX_PATTERN: usize = 4 * 1024;

/// `$fields` of an answer: the name of the component and the parameter. Each answer has an own one, because names that it does
/// not have are refused.
pub(super) fn fields(inner: &Inner, plan: &MethodPlan, binding: &Binding) -> (String, Value) {
    let plans = &inner.plans;
    let shown = binding.response_body.as_ref();
    let message = response::shown(plans, plans.message(plan.output_id), shown.map(|field| field.id));
    let mut path = pattern(inner, message, 1);
    for depth in 2..=MAX_DEPTH {
        let deeper = pattern(inner, message, depth);
        if deeper.len() > MAX_PATTERN {
            break;
        }
        path = deeper;
    }
    let below = shown.map(|field| format!(".{}", field.descriptor.name())).unwrap_or_default();
    let parameter = json!({
        "name": "$fields",
        "in": "query",
        "description": "Which fields of the answer to send: paths separated by commas, such as `documents.name,nextPageToken`; \
             `*` is all of them.",
        "schema": {"type": "string", "minLength": 1, "pattern": format!("^(?:{path})(?:,(?:{path}))*$")},
    });
    (format!("fields.{}{below}", plan.output.full_name()), parameter)
}

/// `$prettyPrint`, which all operations share.
pub(super) fn pretty_print() -> Map<String, Value> {
    let parameter = json!({
        "name": "$prettyPrint",
        "in": "query",
        "description": "Sends the answer with line breaks.",
        "schema": {"type": "boolean"},
    });
    Map::from_iter([("prettyPrint".to_owned(), parameter)])
}

/// One path through the fields of `message`, as an expression.
fn pattern(inner: &Inner, message: Option<&MessagePlan>, depth: usize) -> String {
    let mut choices = Vec::new();
    for field in message.map_or(&[][..], |message| &message.fields) {
        // Names of extensions have points, and others could mean something in the expression: neither is worth a rule.
        if !field.json_name.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'_') {
            continue;
        }
        match response::printed_below(&inner.plans, field).filter(|_| depth > 1) {
            Some(child) => {
                let below = pattern(inner, Some(child), depth - 1);
                choices.push(format!(r"{}(?:\.(?:{below}))?", field.json_name));
            }
            None => choices.push(field.json_name.to_string()),
        }
    }
    choices.push(r"\*".to_owned());
    choices.join("|")
}
