//! One workload's mesh and network policy as Kubernetes objects.
//!
//! Names are complete, so the files are listed beside the prefixed workload, not below the prefix. `workos.local/ns/workos` and the
//! namespace `workos-data` are what overlays replace.
use std::fmt::Write as _;

use proto::{Idempotency, Method, Rule};

use super::policy::Graph;

const HEAD: &str = "# Written by `./dev generate` from the contract; change proto/, not this file.\n";

/// All objects of a workload.
pub(crate) fn render(graph: &Graph, workload: &str) -> String {
    let mut objects = vec![account(workload)];
    if !graph.methods(workload).is_empty() {
        objects.push(authorization(graph, workload));
        objects.push(routes(graph, workload));
        objects.push(destination(workload));
    }
    objects.push(network(graph, workload));
    objects.push(stores(graph, workload));
    format!("{HEAD}{}", objects.join("---\n"))
}

/// The ServiceAccount is the workload's SPIFFE identity.
fn account(workload: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ServiceAccount\n{}automountServiceAccountToken: false\n",
        metadata(workload, workload, "")
    )
}

fn metadata(name: &str, workload: &str, more: &str) -> String {
    format!(
        "metadata:\n  name: {name}\n  labels: {{app.kubernetes.io/name: {workload}, app.kubernetes.io/part-of: workos{more}}}\n"
    )
}

/// Which account may call which path.
fn authorization(graph: &Graph, workload: &str) -> String {
    let mut text = format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n{}spec:\n  selector: {{matchLabels: {{app.kubernetes.io/name: {workload}}}}}\n  action: ALLOW\n  rules:\n",
        metadata(workload, workload, "")
    );
    for (caller, methods) in graph.callers(workload) {
        let _ = write!(
            text,
            "  - from:\n    - source: {{principals: [workos.local/ns/workos/sa/{caller}]}}\n    to:\n    - operation:\n        methods: [POST]\n        ports: [\"50051\"]\n        paths:\n"
        );
        for method in methods {
            let _ = writeln!(text, "        - {}  # {}", method.path, why(method));
        }
    }
    text
}

fn why(method: &Method) -> String {
    let Some(access) = &method.access else { return "undeclared".to_owned() };
    match &access.rule {
        Rule::Public => "public".to_owned(),
        Rule::SelfOnly => "own record".to_owned(),
        Rule::PeerOnly => "workloads only".to_owned(),
        Rule::Permission(permission) => permission.clone(),
    }
}

/// Retries by idempotency level; the default route switches Istio's own retries off, since every gRPC call is a POST.
fn routes(graph: &Graph, workload: &str) -> String {
    // Not less than a call may take, or a long one would be cut here; Istio reads seconds.
    let limit = mesh::Settings::default().deadlines.call_max.get().as_secs();
    let mut text = format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\n{}spec:\n  hosts: [{workload}-service]\n  http:\n",
        metadata(workload, workload, "")
    );
    let all = graph.methods(workload);
    let is_safe = |method: &&&Method| method.is_unary() && method.idempotency != Idempotency::Unknown;
    let safe: Vec<_> = all.iter().filter(is_safe).collect();
    let streams: Vec<_> = all.iter().filter(|method| !method.is_unary()).collect();
    if !safe.is_empty() {
        text.push_str("  - name: repeatable\n    match:\n");
        safe.iter().for_each(|method| matched(&mut text, method));
        let _ = writeln!(
            text,
            "    retries: {{attempts: 2, perTryTimeout: {limit}s, retryOn: \"connect-failure,refused-stream,reset-before-request,unavailable\"}}"
        );
        text.push_str(&route(workload));
    }
    if !streams.is_empty() {
        text.push_str("  - name: streams\n    match:\n");
        streams.iter().for_each(|method| matched(&mut text, method));
        text.push_str("    timeout: 0s\n    retries: {attempts: 0}\n");
        text.push_str(&route(workload));
    }
    text.push_str("  - name: default\n    retries: {attempts: 0}\n");
    text.push_str(&route(workload));
    text
}

fn matched(text: &mut String, method: &Method) {
    let _ = writeln!(text, "    - uri: {{exact: {}}}", method.path);
}

fn route(workload: &str) -> String {
    format!("    route:\n    - destination: {{host: {workload}-service, port: {{number: 50051}}}}\n")
}

/// How connections to the workload are kept and when an instance is left out.
fn destination(workload: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n{}spec:
  host: {workload}-service
  trafficPolicy:
    tls: {{mode: ISTIO_MUTUAL}}
    connectionPool:
      tcp: {{connectTimeout: 2s, tcpKeepalive: {{time: 60s, interval: 20s, probes: 3}}}}
      http: {{http2MaxRequests: 1024, maxRetries: 32}}
    loadBalancer: {{simple: LEAST_REQUEST, warmup: {{duration: 30s}}}}
    outlierDetection: {{consecutiveGatewayErrors: 5, consecutive5xxErrors: 0, interval: 10s, baseEjectionTime: 30s, maxEjectionPercent: 50, minHealthPercent: 30}}
",
        metadata(workload, workload, "")
    )
}

/// One edge per allowed call, at both ends.
fn network(graph: &Graph, workload: &str) -> String {
    let mut text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n{}spec:\n  podSelector: {{matchLabels: {{app.kubernetes.io/name: {workload}}}}}\n",
        metadata(workload, workload, ", workos.dev/policy: calls")
    );
    let callers: Vec<_> = graph.callers(workload).into_keys().collect();
    let callees = graph.callees(workload);
    let types = [("Ingress", &callers), ("Egress", &callees)];
    let named: Vec<_> = types.iter().filter(|(_, peers)| !peers.is_empty()).map(|(name, _)| *name).collect();
    let _ = writeln!(text, "  policyTypes: [{}]", named.join(", "));
    for ((section, side), peers) in [("ingress", "from"), ("egress", "to")].into_iter().zip([callers, callees]) {
        if peers.is_empty() {
            continue;
        }
        let _ = writeln!(text, "  {section}:\n  - {side}:");
        for peer in peers {
            let _ = writeln!(text, "    - podSelector: {{matchLabels: {{app.kubernetes.io/name: {peer}}}}}");
        }
        text.push_str("    ports: [{protocol: TCP, port: 50051}]\n");
    }
    text
}

/// The workload to the stores that it uses, and to no other.
fn stores(graph: &Graph, workload: &str) -> String {
    let mut text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n{}spec:\n  podSelector: {{matchLabels: {{app.kubernetes.io/name: {workload}}}}}\n  policyTypes: [Egress]\n  egress:\n",
        metadata(&format!("{workload}-stores"), workload, ", workos.dev/policy: stores")
    );
    for store in graph.stores(workload) {
        let _ = write!(
            text,
            "  - to:\n    - namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: workos-data}}}}\n      podSelector: {{matchLabels: {{app.kubernetes.io/name: {}}}}}\n    ports: [{{protocol: TCP, port: {}}}]\n",
            store.name, store.port
        );
    }
    text
}
