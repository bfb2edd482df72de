//! The compiled contract: its methods, its routes, and how a path finds its rule.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use http::Method;
use prost_reflect::{DescriptorPool, MessageDescriptor, MethodDescriptor};

use crate::binding::Binding;
use crate::call::{Match, RequestOptions};
use crate::percent;
use crate::plan::{MessageId, Plans};
use crate::problem::{Problem, code};
use crate::rule::HttpRule;
use crate::tree::{End, Tree};

/// Segments a path may have.
const MAX_SEGMENTS: usize = 128;
/// Bytes a path may have.
const MAX_PATH: usize = 8 * 1024;

/// How a contract is compiled.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which escapes stay in path values of several segments.
    pub path_mode: percent::Mode,
    /// Rules of a service config: each replaces the annotation of the RPC its selector names; of equal
    /// selectors the last wins.
    pub rules: Vec<HttpRule>,
    /// The prefix of the platform's API keys: a `key` parameter that begins with it is refused with 401.
    pub key_prefix: String,
    /// How requests are read where nothing else is said: what [`Match::reading`] gives.
    pub reading: RequestOptions,
    /// Names of response fields, in order of preference, that become the `id:` of server-sent events.
    pub event_id_fields: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            path_mode: percent::Mode::Spec,
            rules: Vec::new(),
            key_prefix: "wos_sk_".to_owned(),
            reading: RequestOptions::default(),
            event_id_fields: vec!["event_id".to_owned(), "sequence".to_owned()],
        }
    }
}

/// One RPC of the contract.
#[derive(Clone)]
pub struct MethodPlan {
    /// `/package.Service/Method`, the path of gRPC.
    pub rpc_path: String,
    /// `package.Service.Method`.
    pub full_name: String,
    /// The client sends several messages.
    pub client_streaming: bool,
    /// The server sends several messages.
    pub server_streaming: bool,
    /// The request message.
    pub input: MessageDescriptor,
    /// The response message.
    pub output: MessageDescriptor,
    /// The method as it stands in the descriptor set, with its options.
    pub descriptor: MethodDescriptor,
    pub(crate) input_id: MessageId,
    pub(crate) output_id: MessageId,
    /// Indexes of its bindings, the main one first.
    pub(crate) bindings: Vec<usize>,
}

impl MethodPlan {
    /// Whether the method has an HTTP form at all.
    #[must_use]
    pub fn has_http(&self) -> bool {
        !self.bindings.is_empty()
    }
}

/// Something that is served but should be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// `/package.Service/Method`.
    pub rpc: String,
    /// The rule: HTTP method and template.
    pub rule: String,
    /// What deviates.
    pub text: String,
}

/// A compiled contract; clones share it, and each request keeps the one it was routed by.
#[derive(Clone)]
pub struct Contract {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// Without source information.
    pub(crate) pool: DescriptorPool,
    /// What the contract was compiled from, comments included.
    pub(crate) set: Box<[u8]>,
    pub(crate) plans: Plans,
    pub(crate) methods: Vec<MethodPlan>,
    pub(crate) by_path: HashMap<String, usize>,
    /// Those of the rules, then one of each method at its own path.
    pub(crate) bindings: Vec<Binding>,
    /// How many of them belong to rules.
    pub(crate) routed: usize,
    pub(crate) tree: Tree,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) options: Options,
}

// A derived Debug would print descriptors, and prost-reflect's Debug of a message that can hold itself
// (Struct, for one) never ends.
impl fmt::Debug for MethodPlan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("MethodPlan").field(&self.rpc_path).finish()
    }
}

impl fmt::Debug for Contract {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (methods, routes) = (self.inner.methods.len(), self.inner.routed);
        formatter.debug_struct("Contract").field("methods", &methods).field("routes", &routes).finish()
    }
}

/// Why a path has no route.
#[derive(Debug, Clone, PartialEq)]
pub enum RouteError {
    /// No rule has this path: 404.
    NotFound,
    /// The path exists under other methods: 405, or 204 for OPTIONS.
    MethodNotAllowed {
        /// For the header `Allow`; OPTIONS is among them, and HEAD where GET is.
        allow: Vec<Method>,
    },
    /// The path itself is wrong: 400, or 414.
    Invalid(Problem),
}

impl From<Problem> for RouteError {
    fn from(problem: Problem) -> Self {
        Self::Invalid(problem)
    }
}

impl Contract {
    /// Finds the rule for a method and the raw path, without its query. The values of path variables are
    /// decoded here; their types are checked by [`Match::request`].
    ///
    /// # Errors
    /// See [`RouteError`].
    pub fn route(&self, method: &Method, raw_path: &str) -> Result<Match, RouteError> {
        let segments = split(raw_path)?;
        let literals: Vec<Cow<'_, str>> = segments.iter().map(|raw| percent::literal(raw)).collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            return Err(RouteError::NotFound);
        }
        let mut allow = Vec::new();
        for (verb, last) in self.verbs(&segments) {
            let mut literals = literals.clone();
            if let Some(end) = literals.last_mut() {
                *end = percent::literal(last);
            }
            let mut found = None;
            self.inner.tree.walk(&literals, verb.as_deref(), |rules| {
                found = choose(rules, method);
                allow.extend(rules.iter().filter_map(|rule| rule.method.clone()));
                found.is_some()
            });
            if let Some(binding) = found {
                return Ok(self.matched(binding, &segments, last)?);
            }
        }
        if allow.is_empty() {
            return Err(RouteError::NotFound);
        }
        Err(RouteError::MethodNotAllowed { allow: with_implied(allow) })
    }

    /// All RPCs, in the order of the descriptor set.
    pub fn methods(&self) -> impl Iterator<Item = &MethodPlan> {
        self.inner.methods.iter()
    }

    /// The RPC at `/package.Service/Method`.
    #[must_use]
    pub fn method(&self, rpc_path: &str) -> Option<&MethodPlan> {
        let index = self.inner.by_path.get(rpc_path)?;
        self.inner.methods.get(*index)
    }

    /// The RPC at `/package.Service/Method` as a call of its own path: the body is the whole request message, the answer
    /// the whole response message, and nothing is bound by path or query.
    #[must_use]
    pub fn at_own_path(&self, rpc_path: &str) -> Option<Match> {
        let index = self.inner.by_path.get(rpc_path)?;
        Some(Match { inner: Arc::clone(&self.inner), binding: self.inner.routed + index, values: Vec::new() })
    }

    /// HTTP method (`*` for any) and template of every rule, with its RPC.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &str, &MethodPlan)> {
        self.inner.bindings.iter().take(self.inner.routed).map(|binding| {
            let method = binding.method.as_ref().map_or("*", Method::as_str);
            (method, binding.text.as_str(), &self.inner.methods[binding.rpc])
        })
    }

    /// The descriptors the contract was compiled from, without source information.
    #[must_use]
    pub fn pool(&self) -> &DescriptorPool {
        &self.inner.pool
    }

    /// What is served but deviates from the API guidelines.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.inner.warnings
    }

    /// The readings of the last segment: as something with a known verb, longest verb first, then whole.
    fn verbs<'p>(&self, segments: &[&'p str]) -> Vec<(Option<String>, &'p str)> {
        let last = segments.last().copied().unwrap_or_default();
        let mut readings: Vec<_> = memchr::memchr_iter(b':', last.as_bytes())
            .filter(|at| *at > 0)
            .map(|at| (percent::literal(&last[at + 1..]).into_owned(), &last[..at]))
            .filter(|(verb, _)| self.inner.tree.knows_verb(verb))
            .map(|(verb, rest)| (Some(verb), rest))
            .collect();
        readings.push((None, last));
        readings
    }

    /// Reads the variables out of the path.
    fn matched(&self, index: usize, segments: &[&str], last: &str) -> Result<Match, Problem> {
        let binding = &self.inner.bindings[index];
        let mut values = Vec::with_capacity(binding.variables.len());
        for variable in &binding.variables {
            let (start, end) = binding.span(variable, segments.len());
            let mut parts = segments[start..end].to_vec();
            if end == segments.len()
                && let Some(part) = parts.last_mut()
            {
                *part = last;
            }
            let value = match variable.single {
                true => percent::all(parts.first().copied().unwrap_or_default()),
                false => percent::multi(&parts.join("/"), self.inner.options.path_mode),
            };
            let value = value.map_err(|malformed| {
                Problem::field("MALFORMED_PATH", variable.spelling.as_str(), malformed.advice())
            })?;
            values.push(value);
        }
        Ok(Match { inner: Arc::clone(&self.inner), binding: index, values })
    }
}

/// The raw segments; the path is not decoded and not rewritten.
fn split(raw_path: &str) -> Result<Vec<&str>, Problem> {
    let Some(rest) = raw_path.strip_prefix('/') else {
        return Err(Problem::invalid("MALFORMED_PATH", "The path must begin with `/`."));
    };
    let segments: Vec<&str> = rest.split('/').collect();
    if raw_path.len() > MAX_PATH || segments.len() > MAX_SEGMENTS {
        let message = format!("The path is too long: at most {MAX_PATH} bytes and {MAX_SEGMENTS} segments are read.");
        return Err(Problem::with(414, code::INVALID_ARGUMENT, "PATH_TOO_LONG", message));
    }
    let is_dots = |segment: &&str| {
        let short = segment.len() <= "%2e%2e".len();
        short && percent::all(segment).is_ok_and(|text| text == "." || text == "..")
    };
    if segments.iter().any(is_dots) {
        return Err(Problem::invalid(
            "MALFORMED_PATH",
            "The path holds a `.` or `..` segment; send the path it leads to.",
        ));
    }
    Ok(segments)
}

/// The rule for a method: its own, then GET's for HEAD, then one for every method.
fn choose(rules: &[End], method: &Method) -> Option<usize> {
    let with =
        |wanted: Option<&Method>| rules.iter().find(|rule| rule.method.as_ref() == wanted).map(|rule| rule.binding);
    with(Some(method))
        .or_else(|| (method == Method::HEAD).then(|| with(Some(&Method::GET))).flatten())
        .or_else(|| (method != Method::OPTIONS).then(|| with(None)).flatten())
}

/// The methods of `Allow`, sorted, with those that need no rule.
fn with_implied(mut allow: Vec<Method>) -> Vec<Method> {
    if allow.contains(&Method::GET) {
        allow.push(Method::HEAD);
    }
    allow.push(Method::OPTIONS);
    allow.sort_by(|left, right| left.as_str().cmp(right.as_str()));
    allow.dedup();
    allow
}
