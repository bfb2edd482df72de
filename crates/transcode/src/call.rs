//! One routed call: its request to wire bytes, its answers to JSON or raw bytes.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::binding::{Binding, Body, RawBody};
use crate::bound::{Bound, New, Source};
use crate::contract::{Inner, MethodPlan};
use crate::frame::{self, Framed};
use crate::http_body::{self, HttpBody};
use crate::join;
use crate::json::MAX_DEPTH;
use crate::mask::Recorder;
use crate::media;
use crate::plan::{FieldId, FieldPlan, Kind, MessagePlan, Plans};
use crate::problem::Problem;
use crate::query;
use crate::request;
use crate::required;
use crate::response::{self, ResponseOptions};
use crate::scalar;
use crate::wire::{Payload, Writer};

/// How a request is read; one value per route or listener.
#[derive(Debug, Clone, Copy)]
pub struct RequestOptions {
    /// `+` in a query is a space, as forms have it.
    pub plus_is_space: bool,
    /// Unknown JSON fields and query names are ignored instead of refused.
    pub ignore_unknown: bool,
    /// Objects and arrays that a JSON body may have open at the same time; more than 100 are never read, as in protobuf's own parsers.
    pub depth_max: usize,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self { plus_is_space: true, ignore_unknown: false, depth_max: MAX_DEPTH }
    }
}

/// A routed request. It owns its part of the contract, so it may outlive a reload.
#[derive(Clone)]
pub struct Match {
    pub(crate) inner: Arc<Inner>,
    pub(crate) binding: usize,
    /// The decoded values of the path variables.
    pub(crate) values: Vec<String>,
}

// See the note at `MethodPlan`: descriptors must not be printed.
impl fmt::Debug for Match {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rpc = &self.method().rpc_path;
        formatter.debug_struct("Match").field("rpc", rpc).field("template", &self.template()).finish_non_exhaustive()
    }
}

impl Match {
    /// The RPC to call.
    #[must_use]
    pub fn method(&self) -> &MethodPlan {
        &self.inner.methods[self.binding().rpc]
    }

    /// The template as the contract writes it: a label for metrics.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.binding().text
    }

    /// The path variables: field path as the template writes it, and decoded value.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let names = self.binding().variables.iter().map(|variable| variable.spelling.as_str());
        names.zip(self.values.iter().map(String::as_str))
    }

    /// Whether the body is passed on as it is, of any type: use [`Match::http_body_request`].
    #[must_use]
    pub fn is_http_body_in(&self) -> bool {
        self.binding().raw_in.is_some()
    }

    /// Whether the answer is raw bytes with a type of its own: use [`Match::http_body`].
    #[must_use]
    pub fn is_http_body_out(&self) -> bool {
        self.binding().raw_out.is_some()
    }

    /// Whether a request to this route may have a body at all.
    #[must_use]
    pub fn takes_body(&self) -> bool {
        self.binding().body != Body::None
    }

    /// How requests to this contract are read, as its compilation was told.
    #[must_use]
    pub fn reading(&self) -> RequestOptions {
        self.inner.options.reading
    }

    /// Path, query and body to the request message's wire bytes, without a gRPC head. `body` is the whole
    /// JSON text, empty if there is none. On PATCH the update mask is filled from the JSON's own keys. What the contract marks
    /// REQUIRED must be there.
    ///
    /// # Errors
    /// A [`Problem`] that names the field as the caller wrote it; nothing may be sent upstream then.
    pub fn request(
        &self,
        query: Option<&str>,
        content_type: Option<&str>,
        body: &[u8],
        options: &RequestOptions,
    ) -> Result<Framed, Problem> {
        let bound = self.bind(query, options)?;
        let wire = self.with_body(&bound, content_type, body, options)?;
        let deep = self.binding().mask.is_none();
        required::check(self.plans(), self.method().input_id, &wire, deep, &|path| self.caller_spelling(path))?;
        Ok(wire)
    }

    /// A later message of a client stream: path and query belong to the first alone.
    ///
    /// # Errors
    /// As [`Match::request`].
    pub fn next_request(&self, body: &[u8], options: &RequestOptions) -> Result<Framed, Problem> {
        self.with_body(&Bound::default(), None, body, options)
    }

    /// A message of a raw upload: the first carries path, query and type, later ones data alone.
    ///
    /// # Errors
    /// As [`Match::request`].
    pub fn http_body_request(
        &self,
        query: Option<&str>,
        content_type: Option<&str>,
        data: &[u8],
        options: &RequestOptions,
        first: bool,
    ) -> Result<Framed, Problem> {
        let mut out = Writer::behind(frame::HEAD, data.len() + 256);
        let bound = if first { self.bind(query, options)? } else { Bound::default() };
        bound.write(&mut out);
        let content_type = content_type.filter(|_| first);
        match &self.binding().raw_in {
            Some(RawBody::Whole) => http_body::write(content_type, data, &mut out),
            Some(RawBody::Field(field)) => {
                let tags = self.plans().field(*field).tags();
                let open = out.open_tags(&tags);
                http_body::write(content_type, data, &mut out);
                out.close_tags(&tags, open);
            }
            None => return self.request(query, content_type, data, options),
        }
        finished(out, &bound)
    }

    /// What the query says about the answer. Its parameters are skipped by [`Match::request`].
    ///
    /// # Errors
    /// A [`Problem`] for values that do not exist.
    pub fn response_options(&self, query: Option<&str>) -> Result<ResponseOptions, Problem> {
        let (method, plans) = (self.method(), self.plans());
        let (input, output) = (plans.message(method.input_id), plans.message(method.output_id));
        response::options(query, plans, input, output, self.shown())
    }

    /// Response wire bytes to JSON, honoring `response_body`.
    ///
    /// # Errors
    /// INTERNAL when the bytes are no such message or have no JSON form.
    pub fn response(&self, wire: &[u8], options: &ResponseOptions) -> Result<Bytes, Problem> {
        response::render(self.plans(), self.method().output_id, self.shown(), wire, options)
    }

    /// A raw answer, or one message of a raw stream, of which the first alone carries the type.
    ///
    /// # Errors
    /// INTERNAL when the bytes are no such message.
    pub fn http_body(&self, wire: Bytes) -> Result<HttpBody, Problem> {
        let field = match &self.binding().raw_out {
            Some(RawBody::Field(field)) => Some(self.plans().field(*field)),
            Some(RawBody::Whole) | None => None,
        };
        http_body::read(wire, field)
    }

    /// The `id:` of a server-sent event, if the response message has a field for it that is set.
    ///
    /// # Errors
    /// INTERNAL when the bytes are no such message.
    pub fn event_id(&self, wire: &[u8]) -> Result<Option<String>, Problem> {
        match self.binding().event_id {
            Some(field) => response::plain_text(self.plans(), field, wire),
            None => Ok(None),
        }
    }

    /// The JSON name of a field path that an upstream violation uses, as the caller of this route writes it.
    pub(crate) fn caller_spelling(&self, field: &str) -> String {
        let plans = self.plans();
        let input = plans.message(self.method().input_id);
        let Body::Field(body) = &self.binding().body else {
            return json_path(field, plans, Some(input));
        };
        let body = plans.field(body.id);
        let bound_by_path = self.variables().any(|(name, _)| name == field);
        match field.strip_prefix(&*body.name).and_then(|rest| rest.strip_prefix('.')) {
            Some(inner) if !bound_by_path => json_path(inner, plans, plans.child(body)),
            _ => json_path(field, plans, Some(input)),
        }
    }

    fn binding(&self) -> &Binding {
        &self.inner.bindings[self.binding]
    }

    fn plans(&self) -> &Plans {
        &self.inner.plans
    }

    /// The field of the answer that is the whole body.
    fn shown(&self) -> Option<FieldId> {
        self.binding().response_body.as_ref().map(|field| field.id)
    }

    /// Binds path, then query.
    fn bind(&self, query: Option<&str>, options: &RequestOptions) -> Result<Bound, Problem> {
        let mut bound = Bound::default();
        let binding = self.binding();
        for (variable, value) in binding.variables.iter().zip(&self.values) {
            let mut fields: Vec<_> = variable.path.iter().map(|field| self.plans().field(*field)).collect();
            let payload = self
                .path_value(&mut fields, value)
                .map_err(|expected| Problem::field("INVALID_PATH_VALUE", variable.spelling.as_str(), expected))?;
            bound.bind(&fields, New::One(payload), Source::Path, &variable.spelling)?;
        }
        let reading = query::Reading {
            plus_is_space: options.plus_is_space,
            ignore_unknown: options.ignore_unknown,
            key_prefix: &self.inner.options.key_prefix,
            plans: self.plans(),
        };
        if let Some(query) = query {
            query::bind(query, binding, self.method().input_id, &reading, &mut bound)?;
        }
        Ok(bound)
    }

    fn path_value<'p>(&'p self, fields: &mut Vec<&'p FieldPlan>, value: &str) -> Result<Payload, String> {
        let kind = fields.last().ok_or("the path is empty")?.kind;
        match kind {
            Kind::Message(id) => query::text_form(fields, id, value, self.plans()),
            kind => scalar::parse(self.plans(), kind, value),
        }
    }

    fn with_body(
        &self,
        bound: &Bound,
        content_type: Option<&str>,
        body: &[u8],
        options: &RequestOptions,
    ) -> Result<Framed, Problem> {
        let mut out = Writer::behind(frame::HEAD, body.len() + 256);
        bound.write(&mut out);
        if body.is_empty() {
            return finished(out, bound);
        }
        let RequestOptions { ignore_unknown, depth_max, .. } = *options;
        let source = request::Source { body, plans: self.plans(), bound, ignore_unknown, depth_max };
        if self.takes_body() {
            media::require_json(content_type)?;
        }
        let out = match &self.binding().body {
            Body::None => return Err(self.no_body()),
            Body::Whole => request::whole(&source, self.method().input_id, out)?,
            Body::Field(field) => self.field_body(&source, field.id, out)?,
        };
        finished(out, bound)
    }

    /// The body as one field, with the mask made from its keys.
    fn field_body(&self, source: &request::Source<'_>, field: FieldId, out: Writer) -> Result<Writer, Problem> {
        let mask = self.binding().mask.map(|mask| self.plans().field(mask));
        let mask = mask.filter(|mask| !source.bound.holds(&[mask.number]));
        let recorder = mask.map(|_| Recorder::default());
        let (mut out, recorder) = request::one_field(source, field, out, recorder)?;
        if let (Some(recorder), Some(mask)) = (recorder, mask) {
            recorder.write(mask, &mut out);
        }
        Ok(out)
    }

    fn no_body(&self) -> Problem {
        let method = self.binding().method.as_ref().map_or("*", http::Method::as_str);
        Problem::invalid(
            "BODY_NOT_ALLOWED",
            format!("{method} {} takes no body; send the fields as query parameters.", self.template()),
        )
    }
}

/// The written message, in which what was bound stands in one place with what the body says.
fn finished(out: Writer, bound: &Bound) -> Result<Framed, Problem> {
    let wire = out.finish();
    match join::joined(wire.get(frame::HEAD..).unwrap_or_default(), &bound.paths()) {
        Cow::Owned(joined) => Framed::new(&joined),
        Cow::Borrowed(_) => Framed::in_place(wire),
    }
}

/// A dotted proto path in JSON names; what cannot be resolved stays as it is.
fn json_path<'p>(field: &str, plans: &'p Plans, mut message: Option<&'p MessagePlan>) -> String {
    let parts: Vec<String> = field
        .split('.')
        .map(|part| {
            let (bare, index) = part.find('[').map_or((part, ""), |at| part.split_at(at));
            let found = message.and_then(|message| message.by_name(bare));
            message = found.and_then(|field| plans.child(field));
            match found {
                Some(field) => format!("{}{index}", field.json_name),
                None => part.to_owned(),
            }
        })
        .collect();
    parts.join(".")
}
