//! The table of methods, read from the options of a descriptor set: of the contract once, of another set whenever it is loaded.
//!
//! Methods and their names are kept for good (`intern`): they are read on every call, so `&'static` saves a copy per call. A
//! set that is read again unchanged gives the same methods, so a reload costs memory only for what is new.
mod intern;
mod person;

use std::{
    collections::{BTreeSet, HashMap},
    sync::LazyLock,
};

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, MethodDescriptor, Value};

pub use crate::api::v1::access::{Audit, Rate, Role, Share};

/// One RPC of the contract.
#[derive(Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Idempotency {
    /// Retried only when the request provably never reached a server.
    Unknown,
    /// A read: may be retried.
    NoSideEffects,
    /// May be retried; the client fills `request_id` before the first try.
    Idempotent,
}

/// The method's option `workos.api.v1.access`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    /// How fresh and strong the sign-in must be.
    pub step_up: Option<StepUp>,
    /// Only for connections from the edge's own machine.
    pub loopback: bool,
    /// Declared open to who acts as the user.
    pub impersonated: bool,
    /// For the user alone: refused to who acts as him. Declared, or found by the rules of `person`.
    pub in_person: bool,
}

/// What a method asks of the sign-in behind a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StepUp {
    /// Least authentication context class, 1 or 2.
    pub acr: u32,
    /// Greatest age of the sign-in in seconds; `None` for any.
    pub max_age_seconds: Option<u32>,
}

/// Who may call a method.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

impl Access {
    /// Access by one rule in one rate class, for contracts that know no option `workos.api.v1.access`.
    #[must_use]
    pub fn plain(rule: Rule, rate: Rate) -> Self {
        Self {
            rule,
            resource: String::new(),
            share: None,
            calls: Vec::new(),
            closure: Vec::new(),
            peers: Vec::new(),
            sensitive: false,
            role: None,
            rate,
            audit: Audit::default(),
            step_up: None,
            loopback: false,
            impersonated: false,
            in_person: false,
        }
    }
}

/// Who serves a gRPC service of a descriptor set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The crate or upstream.
    pub service: String,
    /// Access of methods that declare none; without it such a method has none.
    pub access: Option<Access>,
}

impl Owner {
    /// The owner by the rule of this platform: `workos.document.v1` is served by `document`. `None` outside of `workos.`.
    #[must_use]
    pub fn of_platform(package: &str) -> Option<Self> {
        let mut parts = package.split('.');
        let ours = parts.next() == Some("workos");
        parts.next().filter(|_| ours).map(|service| Self { service: service.to_owned(), access: None })
    }
}

/// Why a descriptor set gives no table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodsError(String);

impl std::fmt::Display for MethodsError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for MethodsError {}

/// All methods of a contract.
#[derive(Debug)]
pub struct Methods {
    all: Vec<&'static Method>,
    by_path: HashMap<&'static str, &'static Method>,
}

impl Methods {
    /// Reads a serialized `FileDescriptorSet`. `owner` is asked with package and full name of each gRPC service; one without
    /// an owner is left out.
    ///
    /// # Errors
    /// The bytes are no complete set, a method declares a call that no method of the set answers, or more methods were read
    /// in the life of this process than it keeps.
    pub fn read(set: &[u8], owner: &dyn Fn(&str, &str) -> Option<Owner>) -> Result<Self, MethodsError> {
        let pool = DescriptorPool::decode(set)
            .map_err(|error| MethodsError(format!("{error}; build the descriptor set with all imports included")))?;
        let mut all = Vec::new();
        for service in pool.services() {
            let Some(owner) = owner(service.package_name(), service.full_name()) else { continue };
            for method in service.methods() {
                all.push(read_method(&pool, &method, &owner)?);
            }
        }
        let by_path: HashMap<_, _> = all.iter().enumerate().map(|(index, method)| (method.path, index)).collect();
        let closures: Vec<_> = all.iter().map(|method| closure(&all, &by_path, method)).collect::<Result<_, _>>()?;
        for (method, closure) in all.iter_mut().zip(closures) {
            if let Some(access) = &mut method.access {
                access.closure = closure;
            }
        }
        person::mark(&mut all);
        let all: Vec<_> = all.into_iter().map(intern::method).collect::<Result<_, _>>()?;
        let by_path = all.iter().map(|method| (method.path, *method)).collect();
        Ok(Self { all, by_path })
    }

    /// The method with this HTTP/2 path.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&'static Method> {
        self.by_path.get(path).copied()
    }

    /// All methods in the order of the contract.
    pub fn iter(&self) -> impl Iterator<Item = &'static Method> {
        self.all.iter().copied()
    }

    /// The methods that one crate serves.
    pub fn of_service<'a>(&'a self, service: &'a str) -> impl Iterator<Item = &'static Method> + 'a {
        self.iter().filter(move |method| method.service == service)
    }
}

/// The table of methods of the compiled-in contract.
#[must_use]
pub fn methods() -> &'static Methods {
    static METHODS: LazyLock<Methods> = LazyLock::new(|| {
        Methods::read(crate::STRUCTURE, &|package, _| Owner::of_platform(package))
            .expect("the build script wrote a valid set, and its calls are tested")
    });
    &METHODS
}

fn read_method(pool: &DescriptorPool, method: &MethodDescriptor, owner: &Owner) -> Result<Method, MethodsError> {
    let service = method.parent_service();
    let path = intern::text(&format!("/{}/{}", service.full_name(), method.name()))?;
    let options = method.options();
    let declared = extension(pool, &options, "workos.api.v1.access").map(|option| read_access(&option));
    let access = declared.or_else(|| owner.access.clone());
    let resource = access.as_ref().map(|access| access.resource.clone()).unwrap_or_default();
    Ok(Method {
        path,
        rpc: &path[1..],
        service: intern::text(&owner.service)?,
        full_service: intern::text(service.full_name())?,
        name: intern::text(method.name())?,
        input: intern::text(method.input().full_name())?,
        output: intern::text(method.output().full_name())?,
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
    })
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
        step_up: read_step_up(option),
        loopback: flag("loopback"),
        impersonated: flag("impersonated"),
        in_person: flag("in_person"),
    }
}

fn read_step_up(option: &DynamicMessage) -> Option<StepUp> {
    let value = option.get_field_by_name("step_up").filter(|_| option.has_field_by_name("step_up"))?;
    let number = |name: &str| value.as_message()?.get_field_by_name(name)?.as_u32();
    let max_age_seconds = number("max_age_seconds").filter(|seconds| *seconds > 0);
    Some(StepUp { acr: number("acr").unwrap_or_default(), max_age_seconds })
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

fn closure(all: &[Method], by_path: &HashMap<&str, usize>, method: &Method) -> Result<Vec<&'static str>, MethodsError> {
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
                None => {
                    let text =
                        format!("{rpc} declares the call {call}, which the contract does not have; correct `calls`");
                    return Err(MethodsError(text));
                }
            }
        }
    }
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_that_is_read_again_gives_the_same_methods() {
        let again = Methods::read(crate::CONTRACT, &|package, _| Owner::of_platform(package)).expect("it is valid");
        let path = "/workos.document.v1.DocumentService/GetDocument";
        let (first, second) = (methods().get(path).expect("in the contract"), again.get(path).expect("in the set"));
        assert!(std::ptr::eq(first, second));
    }

    #[test]
    fn a_service_without_owner_is_left_out_and_a_default_access_fills_what_is_undeclared() {
        let access = Access::plain(Rule::Public, Rate::Read);
        let foreign = Methods::read(crate::CONTRACT, &|_, service| {
            let owner = Owner { service: "elsewhere".to_owned(), access: Some(access.clone()) };
            (service == "workos.document.v1.DocumentService").then_some(owner)
        });
        // Its calls lead to services that were left out.
        let error = foreign.expect_err("the set is not complete").to_string();
        assert!(error.contains("declares the call"), "{error}");
        assert!(Methods::read(b"\xff", &|_, _| None).is_err());
        assert_eq!(Methods::read(crate::CONTRACT, &|_, _| None).expect("valid").iter().count(), 0);
    }
}
