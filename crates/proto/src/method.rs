//! The table of methods, read once from the contract's options.
//!
//! Strings are leaked on purpose: the table lives as long as the process and is read on every call, so `&'static` saves a
//! copy per call.
use std::{collections::BTreeSet, collections::HashMap, sync::LazyLock};

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, Value};

pub use crate::api::v1::access::{Audit, Rate, Role, Share};

/// One RPC of the contract.
#[derive(Debug)]
pub struct Method {
    /// HTTP/2 path, `/workos.document.v1.DocumentService/GetDocument`.
    pub path: &'static str,
    /// The path without the leading slash, as `calls` and Biscuit checks name it.
    pub rpc: &'static str,
    /// Crate that serves it, `document`; `events` for the service that the chassis mounts everywhere.
    pub service: &'static str,
    /// Full name of the gRPC service.
    pub full_service: &'static str,
    /// Name within the service.
    pub name: &'static str,
    /// Full name of the request message.
    pub input: &'static str,
    /// Full name of the response message.
    pub output: &'static str,
    /// The client sends a stream.
    pub client_streaming: bool,
    /// The server sends a stream.
    pub server_streaming: bool,
    /// What a retry may do.
    pub idempotency: Idempotency,
    /// Who may call; a method without it is never served.
    pub access: Option<Access>,
    /// Field numbers that lead from the request to the resource name; empty when none is declared.
    pub resource_path: Vec<u32>,
    /// Number of the request's `request_id` field.
    pub request_id_field: Option<u32>,
    /// The method has a REST binding.
    pub has_http: bool,
}

impl Method {
    /// Neither side streams.
    #[must_use]
    pub fn is_unary(&self) -> bool {
        !self.client_streaming && !self.server_streaming
    }
}

/// The method's `idempotency_level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Retried only when the request provably never reached a server.
    Unknown,
    /// A read: may be retried.
    NoSideEffects,
    /// May be retried; the client fills `request_id` before the first try.
    Idempotent,
}

/// The method's option `workos.api.v1.access`.
#[derive(Debug)]
pub struct Access {
    /// Who may call.
    pub rule: Rule,
    /// Path of the request field that names the resource or its parent.
    pub resource: String,
    /// Least relation that may stand in for the role.
    pub share: Option<Share>,
    /// RPCs that the handler itself may call.
    pub calls: Vec<String>,
    /// The method itself and everything reachable over `calls`.
    pub closure: Vec<&'static str>,
    /// Workloads that may call, if others than gateway and callers follow.
    pub peers: Vec<String>,
    /// Refused while the revocation set is stale.
    pub sensitive: bool,
    /// Least organization role that holds the permission.
    pub role: Option<Role>,
    /// Rate class.
    pub rate: Rate,
    /// Audit class.
    pub audit: Audit,
}

/// Who may call a method.
#[derive(Debug, PartialEq, Eq)]
pub enum Rule {
    /// Anybody.
    Public,
    /// The user whose record it is.
    SelfOnly,
    /// Who holds this permission by role or share.
    Permission(String),
    /// Workloads.
    PeerOnly,
}

/// All methods of the contract.
#[derive(Debug)]
pub struct Methods {
    all: Vec<Method>,
    by_path: HashMap<&'static str, usize>,
}

impl Methods {
    /// The method with this HTTP/2 path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Method> {
        self.by_path.get(path).map(|&index| &self.all[index])
    }

    /// All methods in the order of the contract.
    pub fn iter(&self) -> impl Iterator<Item = &Method> {
        self.all.iter()
    }

    /// The methods that one crate serves.
    pub fn of_service<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'a Method> {
        self.all.iter().filter(move |method| method.service == service)
    }
}

/// The table of methods.
#[must_use]
pub fn methods() -> &'static Methods {
    static METHODS: LazyLock<Methods> = LazyLock::new(read);
    &METHODS
}

fn read() -> Methods {
    let pool = DescriptorPool::decode(crate::CONTRACT).expect("the build script wrote a valid set");
    let mut all: Vec<Method> = pool
        .services()
        .filter(|service| service.package_name().starts_with("workos."))
        .flat_map(|service| service.methods().collect::<Vec<_>>())
        .map(|method| read_method(&pool, &method))
        .collect();
    let by_path: HashMap<_, _> = all.iter().enumerate().map(|(index, method)| (method.path, index)).collect();
    let closures: Vec<_> = all.iter().map(|method| closure(&all, &by_path, method)).collect();
    for (method, closure) in all.iter_mut().zip(closures) {
        if let Some(access) = &mut method.access {
            access.closure = closure;
        }
    }
    Methods { all, by_path }
}

fn read_method(pool: &DescriptorPool, method: &MethodDescriptor) -> Method {
    let service = method.parent_service();
    let path = leak(format!("/{}/{}", service.full_name(), method.name()));
    let options = method.options();
    let access = extension(pool, &options, "workos.api.v1.access").map(|option| read_access(&option));
    let resource = access.as_ref().map(|access| access.resource.clone()).unwrap_or_default();
    Method {
        path,
        rpc: &path[1..],
        service: leak(service.package_name().split('.').nth(1).unwrap_or_default().to_owned()),
        full_service: leak(service.full_name().to_owned()),
        name: leak(method.name().to_owned()),
        input: leak(method.input().full_name().to_owned()),
        output: leak(method.output().full_name().to_owned()),
        client_streaming: method.is_client_streaming(),
        server_streaming: method.is_server_streaming(),
        idempotency: match options.get_field_by_name("idempotency_level").and_then(|level| level.as_enum_number()) {
            Some(1) => Idempotency::NoSideEffects,
            Some(2) => Idempotency::Idempotent,
            _ => Idempotency::Unknown,
        },
        access,
        resource_path: field_path(&method.input(), &resource),
        request_id_field: method.input().get_field_by_name("request_id").map(|field| field.number()),
        has_http: extension(pool, &options, "google.api.http").is_some(),
    }
}

fn extension(pool: &DescriptorPool, options: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    let extension = pool.get_extension_by_name(name)?;
    if !options.has_extension(&extension) {
        return None;
    }
    options.get_extension(&extension).as_message().cloned()
}

fn read_access(option: &DynamicMessage) -> Access {
    let text = |name: &str| {
        option.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let flag = |name: &str| option.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or_default();
    let number =
        |name: &str| option.get_field_by_name(name).and_then(|value| value.as_enum_number()).unwrap_or_default();
    let list = |name: &str| {
        let value = option.get_field_by_name(name);
        let items = value.as_ref().and_then(|value| value.as_list()).unwrap_or_default();
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let rule = if flag("public") {
        Rule::Public
    } else if flag("self") {
        Rule::SelfOnly
    } else if flag("peer_only") {
        Rule::PeerOnly
    } else {
        Rule::Permission(text("permission"))
    };
    Access {
        rule,
        resource: text("resource"),
        share: Share::try_from(number("share")).ok().filter(|share| *share != Share::Unspecified),
        calls: list("calls"),
        closure: Vec::new(),
        peers: list("peers"),
        sensitive: flag("sensitive"),
        role: Role::try_from(number("role")).ok().filter(|role| *role != Role::Unspecified),
        rate: Rate::try_from(number("rate")).unwrap_or_default(),
        audit: Audit::try_from(number("audit")).unwrap_or_default(),
    }
}

/// Field numbers of a dotted path; empty when a name is unknown, which the conformance test refuses.
fn field_path(message: &MessageDescriptor, path: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    let mut message = Some(message.clone());
    for name in path.split('.').filter(|name| !name.is_empty()) {
        let Some(field) = message.as_ref().and_then(|message| message.get_field_by_name(name)) else {
            return Vec::new();
        };
        numbers.push(field.number());
        message = field.kind().as_message().cloned();
    }
    numbers
}

fn closure(all: &[Method], by_path: &HashMap<&str, usize>, method: &Method) -> Vec<&'static str> {
    let mut found = BTreeSet::new();
    let mut open = vec![method.rpc];
    while let Some(rpc) = open.pop() {
        if !found.insert(rpc) {
            continue;
        }
        let next = by_path.get(format!("/{rpc}").as_str()).and_then(|&index| all[index].access.as_ref());
        for call in next.map(|access| access.calls.as_slice()).unwrap_or_default() {
            match by_path.get(format!("/{call}").as_str()) {
                Some(&index) => open.push(all[index].rpc),
                None => panic!("{rpc} declares the call {call}, which the contract does not have"),
            }
        }
    }
    found.into_iter().collect()
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}
