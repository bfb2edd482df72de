//! One binding as an OpenAPI operation: parameters, body, answers, security.

use std::collections::BTreeSet;

use prost_reflect::{FieldDescriptor, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comment::Comments;
use super::path::{ExpandedPath, Parameter};
use super::schema::{OUTPUT_ONLY, REQUIRED, Schemas};
use super::{Access, example};
use crate::binding::{Binding, Body};
use crate::contract::MethodPlan;
use crate::mask::behavior;
use crate::wellknown;

/// Messages a query parameter's name goes through.
const MAX_QUERY_DEPTH: usize = 4;

/// What one operation is built from.
pub(super) struct Operations<'a> {
    pub(super) comments: &'a Comments,
    pub(super) plan: &'a MethodPlan,
    pub(super) binding: &'a Binding,
    pub(super) expanded: &'a ExpandedPath<'a>,
    pub(super) access: Access,
}

impl Operations<'_> {
    /// The operation of the binding `number` of its method.
    pub(super) fn build(&self, number: usize, schemas: &mut Schemas<'_>) -> Value {
        let descriptor = &self.plan.descriptor;
        let service = descriptor.parent_service();
        let description = self.comments.of(&service.parent_file(), descriptor.path());
        let suffix = if number == 0 { String::new() } else { format!("_{}", number + 1) };
        let mut operation = json!({
            "operationId": format!("{}_{}{suffix}", service.name(), descriptor.name()),
            "tags": [service.name()],
            "summary": descriptor.name(),
            "description": description,
            "parameters": self.parameters(schemas),
            "responses": {
                "200": self.answer(schemas),
                "default": {"$ref": "#/components/responses/Error"},
            },
            "security": match self.access {
                Access::Public | Access::Hidden => json!([]),
                Access::Bearer => json!([{"bearer": []}]),
            },
            "x-rpc": self.plan.full_name,
        });
        if let Some(body) = self.body(schemas) {
            operation["requestBody"] = body;
        }
        let options = descriptor.method_descriptor_proto().options.as_ref();
        if options.is_some_and(|options| options.deprecated()) {
            operation["deprecated"] = true.into();
        }
        operation
    }

    fn parameters(&self, schemas: &mut Schemas<'_>) -> Vec<Value> {
        let mut parameters: Vec<Value> =
            self.expanded.parameters.iter().map(|parameter| self.path_parameter(parameter, schemas)).collect();
        if self.binding.body != Body::Whole {
            self.query_parameters(&self.plan.input, &mut Vec::new(), schemas, &mut parameters);
        }
        for name in ["fields", "prettyPrint"] {
            parameters.push(json!({"$ref": format!("#/components/parameters/{name}")}));
        }
        parameters
    }

    fn path_parameter(&self, parameter: &Parameter<'_>, schemas: &mut Schemas<'_>) -> Value {
        let (schema, description) = match (parameter.field, parameter.part_of) {
            (Some(field), _) => (schemas.field(field), self.field_comment(field)),
            (None, Some(variable)) => {
                let text = variable.fields.last().map(|field| self.field_comment(field)).unwrap_or_default();
                (json!({"type": "string"}), format!("Part of `{}`. {text}", variable.spelling))
            }
            (None, None) => (json!({"type": "string"}), String::new()),
        };
        let mut value = json!({
            "name": parameter.name,
            "in": "path",
            "required": true,
            "description": description.trim_end(),
            "schema": schema,
        });
        if parameter.multi {
            value["x-multi-segment"] = true.into();
        }
        value
    }

    /// The leaves of the request that neither path nor body binds.
    fn query_parameters(
        &self,
        message: &MessageDescriptor,
        above: &mut Vec<FieldDescriptor>,
        schemas: &mut Schemas<'_>,
        parameters: &mut Vec<Value>,
    ) {
        for field in message.fields() {
            if behavior(&field).contains(&OUTPUT_ONLY) || above.contains(&field) {
                continue;
            }
            above.push(field.clone());
            if !self.is_bound_elsewhere(above) {
                match wellknown::plain_message(&field) {
                    Some(child) if above.len() < MAX_QUERY_DEPTH => {
                        self.query_parameters(&child, above, schemas, parameters);
                    }
                    Some(_) => {}
                    None => parameters.extend(self.query_parameter(&field, above, schemas)),
                }
            }
            above.pop();
        }
    }

    fn is_bound_elsewhere(&self, fields: &[FieldDescriptor]) -> bool {
        let in_body = matches!(&self.binding.body, Body::Field(body) if fields.first() == Some(&body.descriptor));
        in_body || self.binding.variables.iter().any(|variable| variable.fields == fields)
    }

    fn query_parameter(
        &self,
        field: &FieldDescriptor,
        path: &[FieldDescriptor],
        schemas: &mut Schemas<'_>,
    ) -> Option<Value> {
        let is_message = field.kind().as_message().is_some();
        let special = wellknown::of_kind(&field.kind()) == Some(wellknown::WellKnown::Any);
        if special || (is_message && field.is_list()) {
            return None;
        }
        let name: Vec<&str> = path.iter().map(FieldDescriptor::json_name).collect();
        let mut parameter = json!({
            "name": name.join("."),
            "in": "query",
            "description": self.field_comment(field),
            "schema": schemas.field(field),
        });
        if field.is_map() {
            parameter["style"] = "deepObject".into();
        }
        if path.len() == 1 && behavior(field).contains(&REQUIRED) {
            parameter["required"] = true.into();
        }
        Some(parameter)
    }

    fn field_comment(&self, field: &FieldDescriptor) -> String {
        self.comments.of(&field.parent_message().parent_file(), field.path())
    }

    fn body(&self, schemas: &mut Schemas<'_>) -> Option<Value> {
        if self.binding.raw_in.is_some() {
            return Some(json!({"content": {"*/*": {"schema": {}}}}));
        }
        let (schema, example) = match &self.binding.body {
            Body::None => return None,
            Body::Whole => {
                let bound: BTreeSet<u32> = self.top_level_variables();
                let schema = schemas.object(&self.plan.input, &bound, true);
                (schema, example::message(&self.plan.input, &bound))
            }
            Body::Field(field) => (schemas.field(&field.descriptor), example::field(&field.descriptor)),
        };
        let media = json!({"schema": schema, "example": example});
        if self.plan.client_streaming {
            let array = json!({"schema": {"type": "array", "items": schema}});
            return Some(json!({"content": {"application/json": array, "application/x-ndjson": media}}));
        }
        let required = self.binding.body != Body::Whole;
        Some(json!({"required": required, "content": {"application/json": media}}))
    }

    fn top_level_variables(&self) -> BTreeSet<u32> {
        let variables = self.binding.variables.iter();
        variables
            .filter_map(|variable| match variable.fields.as_slice() {
                [field] => Some(field.number()),
                _ => None,
            })
            .collect()
    }

    fn answer(&self, schemas: &mut Schemas<'_>) -> Value {
        if self.binding.raw_out.is_some() {
            return json!({
                "description": "The bytes, with their own media type.",
                "content": {"*/*": {"schema": {}}},
            });
        }
        let schema = match &self.binding.response_body {
            None => schemas.message(&self.plan.output),
            Some(field) => schemas.field(&field.descriptor),
        };
        if !self.plan.server_streaming {
            return json!({"description": "OK", "content": {"application/json": {"schema": schema}}});
        }
        json!({
            "description": "A stream of messages; the form follows `Accept`.",
            "content": {
                "application/json": {"schema": {"type": "array", "items": schema}},
                "application/x-ndjson": {"schema": schema},
                "text/event-stream": {"schema": {"type": "string", "description": "Each event's data is one message."}},
            },
        })
    }
}

/// The error answer that every operation has (AIP-193).
pub(super) fn error_response() -> Value {
    let detail = json!({"type": "object", "properties": {"@type": {"type": "string"}}, "additionalProperties": true});
    json!({
        "description": "An error. `details` holds `google.rpc.ErrorInfo` with a stable reason, and more by its kind.",
        "content": {"application/json": {
            "schema": {
                "type": "object",
                "required": ["error"],
                "properties": {"error": {
                    "type": "object",
                    "required": ["code", "message", "status"],
                    "properties": {
                        "code": {"type": "integer", "description": "The HTTP status."},
                        "message": {"type": "string", "description": "For developers: what is wrong and what to do."},
                        "status": {"type": "string", "description": "The name of the gRPC code."},
                        "details": {"type": "array", "items": detail},
                    },
                }},
            },
            "example": {"error": {
                "code": 400,
                "message": "`pageSize`: expected an integer of 32 bits",
                "status": "INVALID_ARGUMENT",
                "details": [{
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "INVALID_PARAMETER",
                    "domain": crate::error::DOMAIN,
                }],
            }},
        }},
    })
}

/// System parameters that every method takes.
pub(super) fn system_parameters() -> Map<String, Value> {
    let parameter = |name: &str, kind: &str, description: &str| json!({"name": name, "in": "query", "description": description, "schema": {"type": kind}});
    let fields =
        "Which fields of the answer to send: paths separated by commas, such as `documents.name,nextPageToken`.";
    let mut parameters = Map::new();
    parameters.insert("fields".to_owned(), parameter("$fields", "string", fields));
    let pretty = parameter("$prettyPrint", "boolean", "Sends the answer with line breaks.");
    parameters.insert("prettyPrint".to_owned(), pretty);
    parameters
}
