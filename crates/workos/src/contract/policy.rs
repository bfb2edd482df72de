//! Who calls whom, read from the contract: the one graph from which mesh and network policy are made.
//!
//! What must hold: it says what `authz` enforces, method by method, so that a call that the sidecar lets through is not refused
//! behind it for its workload, and the other way round.
use std::collections::{BTreeMap, BTreeSet};

use chassis::ServiceSpec;
use proto::{Access, Method, Rule};

/// The edge: it may call what a client may call.
const GATEWAY: &str = "gateway";
/// Runs activities: any unary method can be one; the token of the run bounds what it may do.
const WORKFLOW: &str = "workflow";
/// Package of the service that the chassis mounts in every service with a database.
const EVENTS: &str = "events";

/// A store of the environment, outside the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Store {
    /// `app.kubernetes.io/name` of its pods.
    pub(crate) name: &'static str,
    /// Its port.
    pub(crate) port: u16,
}

const POSTGRES: Store = Store { name: "postgres", port: 5432 };
const REDIS: Store = Store { name: "redis", port: 6379 };
const NATS: Store = Store { name: "nats", port: 4222 };
const TEMPORAL: Store = Store { name: "temporal", port: 7233 };

/// The graph of calls.
pub(crate) struct Graph {
    workloads: BTreeMap<&'static str, Workload>,
}

#[derive(Default)]
struct Workload {
    methods: Vec<&'static Method>,
    stores: BTreeSet<Store>,
}

impl Graph {
    /// The graph of these workloads.
    pub(crate) fn of_contract(specs: &[&'static ServiceSpec]) -> Self {
        let read = |spec: &&'static ServiceSpec| {
            let has_database = spec.migration_set().is_some();
            let mounted =
                |method: &&Method| method.service == spec.name() || (has_database && method.service == EVENTS);
            let mut methods: Vec<_> = proto::methods().iter().filter(mounted).collect();
            methods.sort_by_key(|method| method.path);
            (spec.name(), Workload { methods, stores: stores(spec.name(), has_database) })
        };
        Self { workloads: specs.iter().map(read).collect() }
    }

    /// Names of all workloads, sorted.
    pub(crate) fn workloads(&self) -> impl Iterator<Item = &'static str> {
        self.workloads.keys().copied()
    }

    /// The methods that a workload serves, sorted by path.
    pub(crate) fn methods(&self, workload: &str) -> &[&'static Method] {
        self.workloads.get(workload).map_or(&[], |found| &found.methods)
    }

    /// The stores that a workload uses.
    pub(crate) fn stores(&self, workload: &str) -> impl Iterator<Item = Store> {
        self.workloads.get(workload).into_iter().flat_map(|found| found.stores.iter().copied())
    }

    /// Who may call a workload, each with the methods it may call.
    pub(crate) fn callers(&self, callee: &str) -> BTreeMap<&'static str, Vec<&'static Method>> {
        let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for method in self.methods(callee) {
            for caller in callers(method).into_iter().filter(|caller| self.workloads.contains_key(caller)) {
                found.entry(caller).or_default().push(*method);
            }
        }
        found
    }

    /// Whom a workload may call.
    pub(crate) fn callees(&self, caller: &str) -> Vec<&'static str> {
        self.workloads().filter(|callee| self.callers(callee).contains_key(caller)).collect()
    }
}

/// Which stores a workload talks to: the chassis connects everybody to cache and broker, a schema means PostgreSQL, and one
/// driver is fenced into one service.
fn stores(workload: &str, has_database: bool) -> BTreeSet<Store> {
    let mut stores = BTreeSet::from([REDIS, NATS]);
    if has_database {
        stores.insert(POSTGRES);
    }
    if workload == WORKFLOW {
        stores.insert(TEMPORAL);
    }
    stores
}

/// The workloads that may call a method, as `authz` admits them; of those that it leaves to the token, the ones that have a
/// reason to call.
fn callers(method: &'static Method) -> BTreeSet<&'static str> {
    let Some(access) = &method.access else { return BTreeSet::new() };
    let declared = proto::methods().iter().filter(|caller| calls(caller, method.rpc)).map(|caller| caller.service);
    let mut found: BTreeSet<_> = declared.collect();
    found.extend(access.peers.iter().map(String::as_str));
    if access.peers.is_empty() {
        found.insert(GATEWAY);
        if is_activity(method, access) {
            found.insert(WORKFLOW);
        }
    }
    found
}

fn calls(caller: &Method, rpc: &str) -> bool {
    caller.access.as_ref().is_some_and(|access| access.calls.iter().any(|call| call == rpc))
}

fn is_activity(method: &Method, access: &Access) -> bool {
    method.is_unary() && method.service != EVENTS && matches!(access.rule, Rule::Permission(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::SERVICES;

    fn may(caller: &str, callee: &str, name: &str) -> bool {
        let graph = Graph::of_contract(&SERVICES);
        graph.callers(callee).get(caller).is_some_and(|methods| methods.iter().any(|method| method.name == name))
    }

    #[test]
    fn the_edge_reaches_what_clients_may_call_and_no_method_for_workloads() {
        assert!(may("gateway", "document", "GetDocument"));
        assert!(may("gateway", "auth", "StartLogin"));
        assert!(may("gateway", "file", "GetRelayStatus"));
        assert!(!may("gateway", "document", "BatchReadDocuments"));
    }

    #[test]
    fn a_service_reaches_what_its_methods_declare_and_what_names_it() {
        assert!(may("document", "file", "GetFile"));
        assert!(may("search", "document", "BatchReadDocuments"));
        assert!(may("search", "workflow", "GetBacklog"));
        assert!(!may("search", "document", "GetDocument"));
        assert!(!may("file", "auth", "CreateDelegation"));
    }

    #[test]
    fn any_unary_method_with_a_permission_can_be_an_activity() {
        assert!(may("workflow", "document", "UpdateDocument"));
        assert!(!may("workflow", "auth", "StartLogin"));
        assert!(!may("workflow", "document", "GetRelayStatus"));
    }

    #[test]
    fn a_workload_reaches_only_the_stores_it_has_a_driver_for() {
        let graph = Graph::of_contract(&SERVICES);
        let names = |workload| graph.stores(workload).map(|store| store.name).collect::<Vec<_>>();
        assert_eq!(names("gateway"), ["nats", "redis"]);
        assert_eq!(names("document"), ["nats", "postgres", "redis"]);
        assert_eq!(names("workflow"), ["nats", "postgres", "redis", "temporal"]);
    }
}
