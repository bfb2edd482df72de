//! A rendered overlay, and whether its objects fit each other: accounts, selectors, ports, targets, both ends of each call.
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize as _;
use serde_json::Value;

/// One environment as it would be applied.
pub(crate) struct Overlay {
    name: String,
    settings: toml::Table,
    objects: Vec<Value>,
}

impl Overlay {
    pub(crate) fn parse(name: String, rendered: &str, settings: &str) -> Overlay {
        let documents = serde_norway::Deserializer::from_str(rendered);
        let objects: Vec<_> =
            documents.map(|document| Value::deserialize(document).expect("kubectl writes YAML")).collect();
        assert!(objects.len() > 50, "{name} has only {} objects", objects.len());
        Overlay { name, settings: toml::from_str(settings).expect("workos.toml is TOML"), objects }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// Pod templates of everything that runs, each with its name.
    pub(crate) fn pods(&self) -> impl Iterator<Item = (String, &Value)> {
        let of = |kind, path: &'static str| {
            self.of_kind(kind).map(move |object| (name_of(object), object.pointer(path).unwrap_or(&Value::Null)))
        };
        of("Deployment", "/spec/template")
            .chain(of("Job", "/spec/template"))
            .chain(of("CronJob", "/spec/jobTemplate/spec/template"))
    }

    /// Everything that does not fit.
    pub(crate) fn problems(&self) -> Vec<String> {
        let rules: [fn(&Overlay) -> Vec<String>; 6] =
            [Overlay::places, Overlay::accounts, Overlay::selectors, Overlay::ports, Overlay::targets, Overlay::ends];
        rules.iter().flat_map(|rule| rule(self)).collect()
    }

    fn setting(&self, key: &str) -> String {
        self.settings["mesh"][key].as_str().expect("it is a text").to_owned()
    }

    /// Every workload is deployed, everything lies in the environment's own namespace, mutual TLS is strict and the denials stand.
    fn places(&self) -> Vec<String> {
        let mut found = Vec::new();
        let deployed: BTreeSet<_> = self.of_kind("Deployment").map(name_of).collect();
        let missing = super::workloads().into_iter().filter(|name| !deployed.contains(&format!("{name}-service")));
        found.extend(missing.map(|name| format!("{name} is not deployed")));
        let namespace = self.setting("namespace");
        for object in self.objects.iter().filter(|object| object["kind"] != "Namespace") {
            if object["metadata"]["namespace"] != namespace.as_str() {
                found.push(format!("{} lies outside {namespace}", label_of(object)));
            }
        }
        let strict = serde_json::json!({"mtls": {"mode": "STRICT"}});
        if self.of_kind("PeerAuthentication").count() != 1
            || !self.of_kind("PeerAuthentication").all(|object| object["spec"] == strict)
        {
            found.push("PeerAuthentication is not STRICT for everybody".to_owned());
        }
        let address = self.settings["public_url"].as_str().unwrap_or_default();
        let hosts = self.of_kind("HTTPRoute").flat_map(|route| list(&route["spec"]["hostnames"]));
        found.extend(
            hosts
                .filter(|host| address != format!("https://{}", text(host)))
                .map(|host| format!("{host} is not {address}")),
        );
        let has = |kind, spec: Value| self.of_kind(kind).any(|object| object["spec"] == spec);
        if !has("AuthorizationPolicy", serde_json::json!({})) {
            found.push("no AuthorizationPolicy allows nothing".to_owned());
        }
        if !has("NetworkPolicy", serde_json::json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})) {
            found.push("no NetworkPolicy denies by default".to_owned());
        }
        found
    }

    /// Every principal is an account of this environment.
    fn accounts(&self) -> Vec<String> {
        let mut accounts: BTreeSet<_> = self.of_kind("ServiceAccount").map(name_of).collect();
        let mut found = Vec::new();
        for (name, pod) in self.pods() {
            let account = text(&pod["spec"]["serviceAccountName"]);
            if !accounts.contains(&account) {
                found.push(format!("{name} runs as {account}, which has no ServiceAccount"));
            }
        }
        accounts.extend(self.of_kind("Gateway").map(|gateway| format!("{}-istio", name_of(gateway))));
        let prefix = format!("{}/ns/{}/sa/", self.setting("trust_domain"), self.setting("namespace"));
        for policy in self.of_kind("AuthorizationPolicy") {
            for principal in principals(policy) {
                if !principal.strip_prefix(&prefix).is_some_and(|account| accounts.contains(account)) {
                    found.push(format!(
                        "{} trusts {principal}, which is no account of this environment",
                        label_of(policy)
                    ));
                }
            }
        }
        found
    }

    /// Whatever selects pods selects some.
    fn selectors(&self) -> Vec<String> {
        let mut labels: Vec<Value> = self.pods().map(|(_, pod)| pod["metadata"]["labels"].clone()).collect();
        let proxies = self.of_kind("Gateway").map(name_of);
        labels.extend(proxies.map(|name| serde_json::json!({"gateway.networking.k8s.io/gateway-name": name})));
        let paths = ["/spec/selector/matchLabels", "/spec/podSelector/matchLabels"];
        let mut found = Vec::new();
        for object in &self.objects {
            let mut wanted: Vec<_> = paths.iter().filter_map(|path| object.pointer(path)).collect();
            wanted.extend((object["kind"] == "Service").then(|| &object["spec"]["selector"]));
            if object["kind"] == "NetworkPolicy" {
                wanted.extend(peers(object, "ingress", "from").chain(peers(object, "egress", "to")));
            }
            let selects = |wanted: &Value| labels.iter().any(|labels| is_within(wanted, labels));
            found.extend(
                wanted
                    .into_iter()
                    .filter(|wanted| !selects(wanted))
                    .map(|wanted| format!("{} selects no pod: {wanted}", label_of(object))),
            );
        }
        found
    }

    /// Ports of Services lead to ports of containers, probes and policies to ports that are there.
    fn ports(&self) -> Vec<String> {
        let mut found = Vec::new();
        for service in self.of_kind("Service") {
            let pod = self.pods().find(|(_, pod)| is_within(&service["spec"]["selector"], &pod["metadata"]["labels"]));
            let ports = pod.map(|(_, pod)| list(&pod["spec"]["containers"][0]["ports"]).to_vec()).unwrap_or_default();
            for port in list(&service["spec"]["ports"]) {
                if !ports.iter().any(|open| open["name"] == port["targetPort"]) {
                    found.push(format!(
                        "{} leads to {}, which no container opens",
                        label_of(service),
                        port["targetPort"]
                    ));
                }
                if port["appProtocol"].is_null() {
                    found.push(format!("{}: a port without appProtocol", label_of(service)));
                }
            }
        }
        found
    }

    /// Autoscalers, routes and mounted maps name what exists.
    fn targets(&self) -> Vec<String> {
        let names = |kind| self.of_kind(kind).map(name_of).collect::<BTreeSet<_>>();
        let (deployments, services, maps) = (names("Deployment"), names("Service"), names("ConfigMap"));
        let mut found = Vec::new();
        let mut need = |object: &Value, known: &BTreeSet<String>, name: String| {
            if !known.contains(&name) {
                found.push(format!("{} names {name}, which is not there", label_of(object)));
            }
        };
        for scaler in self.of_kind("HorizontalPodAutoscaler") {
            need(scaler, &deployments, text(&scaler["spec"]["scaleTargetRef"]["name"]));
        }
        for route in self.of_kind("VirtualService") {
            need(route, &services, text(&route["spec"]["hosts"][0]));
        }
        for rule in self.of_kind("DestinationRule") {
            need(rule, &services, text(&rule["spec"]["host"]));
        }
        for rule in self.of_kind("HTTPRoute").flat_map(|route| list(&route["spec"]["rules"])) {
            need(rule, &services, text(&rule["backendRefs"][0]["name"]));
        }
        for (_, pod) in self.pods() {
            for map in list(&pod["spec"]["volumes"]).iter().filter(|volume| !volume["configMap"].is_null()) {
                need(pod, &maps, text(&map["configMap"]["name"]));
            }
        }
        found
    }

    /// A call that the mesh allows, the network allows at both ends, and the other way round.
    fn ends(&self) -> Vec<String> {
        let app = |labels: &Value| text(&labels["app.kubernetes.io/name"]);
        let mut mesh = BTreeSet::new();
        for policy in self.of_kind("AuthorizationPolicy").filter(|policy| !policy["spec"]["selector"].is_null()) {
            let callee = app(&policy["spec"]["selector"]["matchLabels"]);
            let callers =
                principals(policy).into_iter().filter_map(|principal| principal.rsplit('/').next().map(str::to_owned));
            mesh.extend(callers.filter(|caller| !caller.ends_with("-istio")).map(|caller| (caller, callee.clone())));
        }
        let mut network: BTreeMap<&str, BTreeSet<(String, String)>> = BTreeMap::new();
        let calls = |policy: &&Value| policy["metadata"]["labels"]["workos.dev/policy"] == "calls";
        for policy in self.of_kind("NetworkPolicy").filter(calls) {
            let own = app(&policy["spec"]["podSelector"]["matchLabels"]);
            let ingress = peers(policy, "ingress", "from").map(|peer| (app(peer), own.clone()));
            network.entry("ingress").or_default().extend(ingress);
            let egress = peers(policy, "egress", "to").map(|peer| (own.clone(), app(peer)));
            network.entry("egress").or_default().extend(egress);
        }
        let differ = network.into_iter().flat_map(|(end, edges)| {
            edges
                .symmetric_difference(&mesh)
                .map(|(caller, callee)| format!("{caller} -> {callee}: mesh and network ({end}) differ"))
                .collect::<Vec<_>>()
        });
        differ.collect()
    }
}

fn peers<'a>(policy: &'a Value, section: &str, side: &'a str) -> impl Iterator<Item = &'a Value> {
    let sides = list(&policy["spec"][section]).iter().flat_map(move |rule| list(&rule[side]));
    sides.filter(|peer| peer["namespaceSelector"].is_null()).map(|peer| &peer["podSelector"]["matchLabels"])
}

fn principals(policy: &Value) -> Vec<String> {
    let sources = list(&policy["spec"]["rules"]).iter().flat_map(|rule| list(&rule["from"]));
    sources.flat_map(|from| list(&from["source"]["principals"])).map(text).collect()
}

fn is_within(wanted: &Value, labels: &Value) -> bool {
    wanted.as_object().is_some_and(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(crate) fn name_of(object: &Value) -> String {
    text(&object["metadata"]["name"])
}

fn label_of(object: &Value) -> String {
    format!("{} {}", text(&object["kind"]), name_of(object))
}
