//! One binding as an OpenAPI operation: parameters, body, answers, security.

use prost_reflect::{FieldDescriptor, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::Access;
use super::annotation::Annotations;
use super::bound::{Below, Bound};
use super::comment::Comments;
use super::example::Examples;
use super::path::{ExpandedPath, Parameter};
use super::schema::{Object, Schemas, Use};
use super::system;
use crate::binding::{Binding, Body, Field};
use crate::contract::{Inner, MethodPlan};
use crate::mask::is_written_by_service;
use crate::wellknown;

/// Messages a query parameter's name goes through.
const MAX_QUERY_DEPTH: usize = 4;

/// What one operation is built from.
pub(super) struct Operations<'a> {
    pub(super) inner: &'a Inner,
    pub(super) comments: &'a Comments,
    pub(super) annotations: &'a Annotations,
    pub(super) plan: &'a MethodPlan,
    pub(super) binding: &'a Binding,
    pub(super) expanded: &'a ExpandedPath<'a>,
    pub(super) access: Access,
}

/// What operations share.
pub(super) struct Components<'c> {
    pub(super) schemas: Schemas<'c>,
    pub(super) parameters: Map<String, Value>,
}

/// The fields of one message of the request as query parameters.
struct Level<'b> {
    message: MessageDescriptor,
    bound: Bound<'b>,
    usage: Use,
    /// The message is in every request that the edge takes.
    is_sent: bool,
}

impl Operations<'_> {
    /// The operation of the binding `number` of its method.
    pub(super) fn build(&self, number: usize, components: &mut Components<'_>) -> Value {
        let descriptor = &self.plan.descriptor;
        let service = descriptor.parent_service();
        let description = self.comments.of(&service.parent_file(), descriptor.path());
        let suffix = if number == 0 { String::new() } else { format!("_{}", number + 1) };
        let mut operation = json!({
            "operationId": format!("{}_{}{suffix}", service.name(), descriptor.name()),
            "tags": [service.name()],
            "summary": descriptor.name(),
            "description": description,
            "parameters": self.parameters(components),
            "responses": {
                "200": self.answer(&mut components.schemas),
                "default": {"$ref": "#/components/responses/Error"},
            },
            "security": match self.access {
                Access::Public | Access::Hidden => json!([]),
                Access::Bearer => json!([{"bearer": []}]),
            },
            "x-rpc": self.plan.full_name,
        });
        if let Some(body) = self.body(&mut components.schemas) {
            operation["requestBody"] = body;
        }
        let options = descriptor.method_descriptor_proto().options.as_ref();
        if options.is_some_and(|options| options.deprecated()) {
            operation["deprecated"] = true.into();
        }
        operation
    }

    fn parameters(&self, components: &mut Components<'_>) -> Vec<Value> {
        let schemas = &mut components.schemas;
        let mut parameters: Vec<Value> =
            self.expanded.parameters.iter().map(|parameter| self.path_parameter(parameter, schemas)).collect();
        if self.binding.body != Body::Whole {
            let top = Level {
                message: self.plan.input.clone(),
                bound: Bound::of(&self.binding.variables),
                // Beside a raw body nothing is asked for.
                usage: if self.binding.raw_in.is_none() { Use::Request } else { Use::Partial },
                is_sent: true,
            };
            self.query_parameters(&top, &mut Vec::new(), schemas, &mut parameters);
        }
        let (name, fields) = system::fields(self.inner, self.plan, self.binding);
        parameters.push(json!({"$ref": format!("#/components/parameters/{name}")}));
        components.parameters.insert(name, fields);
        parameters.push(json!({"$ref": "#/components/parameters/prettyPrint"}));
        parameters
    }

    fn path_parameter(&self, parameter: &Parameter<'_>, schemas: &mut Schemas<'_>) -> Value {
        let schema = parameter.field().map(|field| schemas.sent(field, Use::Request));
        let description = parameter.variable.map(|variable| {
            let text = variable.fields.last().map(|field| self.field_comment(field)).unwrap_or_default();
            match (parameter.is_whole, parameter.is_renamed) {
                (false, _) => format!("Part of `{}`. {text}", variable.spelling),
                (true, true) => format!("The field `{}`. {text}", variable.spelling),
                (true, false) => text,
            }
        });
        let mut value = json!({
            "name": parameter.name,
            "in": "path",
            "required": true,
            "description": description.unwrap_or_default().trim_end(),
            "schema": schema.unwrap_or_else(|| json!({"type": "string"})),
        });
        if parameter.multi {
            value["x-multi-segment"] = true.into();
        }
        value
    }

    /// The leaves of the request that neither path nor body binds.
    fn query_parameters(
        &self,
        level: &Level<'_>,
        above: &mut Vec<FieldDescriptor>,
        schemas: &mut Schemas<'_>,
        parameters: &mut Vec<Value>,
    ) {
        for field in level.message.fields() {
            let Below::Parts(bound) = level.bound.at(&field) else { continue };
            let is_body =
                matches!(&self.binding.body, Body::Field(body) if above.is_empty() && body.descriptor == field);
            if is_body || is_written_by_service(&field) || above.contains(&field) {
                continue;
            }
            above.push(field.clone());
            match wellknown::plain_message(&field) {
                Some(message) if above.len() < MAX_QUERY_DEPTH => {
                    let is_sent = level.is_sent && (!bound.is_empty() || schemas.is_asked_for(&field));
                    let usage = if self.binding.mask.is_none() { level.usage } else { Use::Partial };
                    self.query_parameters(&Level { message, bound, usage, is_sent }, above, schemas, parameters);
                }
                Some(_) => {}
                None => parameters.extend(self.query_parameter(&field, level, above, schemas)),
            }
            above.pop();
        }
    }

    fn query_parameter(
        &self,
        field: &FieldDescriptor,
        level: &Level<'_>,
        path: &[FieldDescriptor],
        schemas: &mut Schemas<'_>,
    ) -> Option<Value> {
        let kind = field.kind();
        let special = wellknown::of_kind(&kind) == Some(wellknown::WellKnown::Any);
        let holds_messages = kind.as_message().is_some_and(|message| match field.is_map() {
            true => message.map_entry_value_field().kind().as_message().is_some(),
            false => field.is_list(),
        });
        if special || holds_messages {
            return None;
        }
        let name: Vec<&str> = path.iter().map(FieldDescriptor::json_name).collect();
        let mut parameter = json!({
            "name": name.join("."),
            "in": "query",
            "description": self.field_comment(field),
            "schema": schemas.sent(field, level.usage),
        });
        if field.is_map() {
            parameter["style"] = "deepObject".into();
        }
        if level.usage == Use::Request && level.is_sent && schemas.is_asked_for(field) {
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
        let bound = Bound::of(&self.binding.variables);
        let examples = Examples { annotations: self.annotations, updates: self.binding.mask.is_some() };
        let input = &self.plan.input;
        let (Object { schema, demands }, example) = match &self.binding.body {
            Body::None => return None,
            Body::Whole => (schemas.object(input, Use::Request, &bound), examples.message(input, &bound)),
            Body::Field(field) => self.field_body(field, &bound, schemas, examples),
        };
        if self.plan.client_streaming {
            // Path and query belong to the first message, and it alone is asked for what is REQUIRED.
            let later = match &self.binding.body {
                Body::Field(field) => schemas.field(&field.descriptor, Use::Partial),
                Body::None | Body::Whole => schemas.message(input, Use::Partial),
            };
            let array = json!({"schema": {"type": "array", "prefixItems": [schema], "items": later}});
            let lines = json!({"schema": later, "example": example});
            return Some(json!({"content": {"application/json": array, "application/x-ndjson": lines}}));
        }
        let media = json!({"schema": schema, "example": example});
        Some(json!({"required": demands, "content": {"application/json": media}}))
    }

    /// The body that is one field of the request.
    fn field_body(
        &self,
        field: &Field,
        bound: &Bound<'_>,
        schemas: &mut Schemas<'_>,
        examples: Examples<'_>,
    ) -> (Object, Value) {
        let field = &field.descriptor;
        // What an update leaves out stays as it is.
        let usage = if self.binding.mask.is_none() { Use::Request } else { Use::Partial };
        match (bound.at(field), wellknown::plain_message(field)) {
            (Below::Parts(below), Some(message)) if !below.is_empty() => {
                (schemas.object(&message, usage, &below), examples.field(field, &below))
            }
            (below, _) => {
                let demands = schemas.is_asked_for(field) && matches!(below, Below::Parts(_));
                let object = Object { schema: schemas.sent(field, usage), demands };
                (object, examples.field(field, &Bound::default()))
            }
        }
    }

    fn answer(&self, schemas: &mut Schemas<'_>) -> Value {
        if self.binding.raw_out.is_some() {
            return json!({
                "description": "The bytes, with their own media type.",
                "content": {"*/*": {"schema": {}}},
            });
        }
        let schema = match &self.binding.response_body {
            None => schemas.message(&self.plan.output, Use::Answer),
            Some(field) => schemas.field(&field.descriptor, Use::Answer),
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
