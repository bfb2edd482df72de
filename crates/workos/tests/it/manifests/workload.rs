//! The must-haves of every pod (operations.md section 3), over what is rendered.
use serde_json::{Value, json};

use super::overlay::{Overlay, list, name_of, text};

/// One must-have: what it is called, where it stands in the pod's template, what must stand there.
const POD: [(&str, &str, &str); 6] = [
    ("W-02", "/spec/automountServiceAccountToken", "false"),
    ("W-02", "/spec/enableServiceLinks", "false"),
    ("W-03", "/spec/securityContext/runAsNonRoot", "true"),
    ("W-03", "/spec/securityContext/runAsUser", "65532"),
    ("W-03", "/spec/securityContext/fsGroup", "65532"),
    ("W-03", "/spec/securityContext/seccompProfile/type", "\"RuntimeDefault\""),
];
const CONTAINER: [(&str, &str, &str); 3] = [
    ("W-03", "/securityContext/allowPrivilegeEscalation", "false"),
    ("W-03", "/securityContext/readOnlyRootFilesystem", "true"),
    ("W-03", "/securityContext/capabilities", r#"{"drop":["ALL"]}"#),
];
const SERVING: [(&str, &str, &str); 5] = [
    ("W-01", "/revisionHistoryLimit", "3"),
    ("W-01", "/minReadySeconds", "10"),
    ("W-05", "/template/spec/terminationGracePeriodSeconds", "60"),
    ("W-05", "/template/spec/containers/0/lifecycle", r#"{"preStop":{"sleep":{"seconds":10}}}"#),
    ("W-07", "/template/spec/topologySpreadConstraints/0/matchLabelKeys", r#"["pod-template-hash"]"#),
];

/// Every broken must-have.
pub(crate) fn problems(overlay: &Overlay) -> Vec<String> {
    let mut found = Vec::new();
    for (name, pod) in overlay.pods() {
        found.extend(POD.iter().filter_map(|rule| unmet(&name, pod, rule)));
        for container in list(&pod["spec"]["containers"]) {
            found.extend(CONTAINER.iter().filter_map(|rule| unmet(&name, container, rule)));
            found.extend(resources(container).map(|problem| format!("{name}: W-06: {problem}")));
            found.extend(secrets(container).map(|problem| format!("{name}: W-13: {problem}")));
        }
    }
    for deployment in overlay.of_kind("Deployment") {
        let name = name_of(deployment);
        found.extend(SERVING.iter().filter_map(|rule| unmet(&name, &deployment["spec"], rule)));
        found.extend(probes(deployment).map(|problem| format!("{name}: W-04: {problem}")));
        found.extend(counted(overlay, deployment).map(|problem| format!("{name}: {problem}")));
    }
    for job in overlay.of_kind("Job").chain(overlay.of_kind("CronJob")) {
        let spec = job.pointer("/spec/jobTemplate/spec").unwrap_or(&job["spec"]);
        let bounded =
            ["ttlSecondsAfterFinished", "backoffLimit", "activeDeadlineSeconds"].iter().all(|key| spec[*key].is_u64());
        found.extend((!bounded).then(|| format!("{}: W-15: unbounded", name_of(job))));
    }
    found
}

fn unmet(name: &str, object: &Value, (id, path, wanted): &(&str, &str, &str)) -> Option<String> {
    let wanted: Value = serde_json::from_str(wanted).expect("it is JSON");
    let found = object.pointer(path).unwrap_or(&Value::Null);
    (*found != wanted).then(|| format!("{name}: {id}: {path} is {found}, not {wanted}"))
}

fn resources(container: &Value) -> impl Iterator<Item = String> {
    let given = |kind: &str, name: &str| container["resources"][kind][name].is_string();
    let needed = [
        ("requests", "cpu"),
        ("requests", "memory"),
        ("requests", "ephemeral-storage"),
        ("limits", "memory"),
        ("limits", "ephemeral-storage"),
    ];
    let missing: Vec<_> = needed
        .into_iter()
        .filter(|(kind, name)| !given(kind, name))
        .map(|(kind, name)| format!("no {kind}.{name}"))
        .collect();
    let limited = given("limits", "cpu").then(|| "a CPU limit throttles".to_owned());
    missing.into_iter().chain(limited)
}

/// In the environment stand paths of files, never what is in them.
fn secrets(container: &Value) -> impl Iterator<Item = String> {
    let from = list(&container["env"]).iter().filter(|entry| !entry["valueFrom"].is_null());
    from.map(|entry| format!("{} takes its value from an object", entry["name"]))
}

fn probes(deployment: &Value) -> impl Iterator<Item = String> {
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let wanted = [("startupProbe", "startup"), ("livenessProbe", "liveness"), ("readinessProbe", "readiness")];
    let unmet = wanted
        .into_iter()
        .filter(|(probe, entry)| container[*probe]["grpc"] != json!({"port": 9090, "service": entry}));
    unmet.map(|(probe, _)| format!("{probe} does not ask its entry on 9090")).collect::<Vec<_>>().into_iter()
}

/// The autoscaler owns the count, or a disk is the reason why there is exactly one.
fn counted(overlay: &Overlay, deployment: &Value) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    let name = text(&deployment["metadata"]["name"]);
    if !deployment["spec"]["replicas"].is_null() {
        found.push("W-01: replicas stand in Git".to_owned());
    }
    let volumes = list(&deployment["spec"]["template"]["spec"]["volumes"]);
    let has_disk = volumes.iter().any(|volume| !volume["persistentVolumeClaim"].is_null());
    let scalers = overlay
        .of_kind("HorizontalPodAutoscaler")
        .filter(|scaler| scaler["spec"]["scaleTargetRef"]["name"] == name.as_str())
        .count();
    let strategy = if has_disk {
        json!({"type": "Recreate"})
    } else {
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
    };
    if deployment["spec"]["strategy"] != strategy {
        found.push(format!("W-01: the strategy is not {strategy}"));
    }
    if scalers != usize::from(!has_disk) {
        found.push(format!("W-09: {scalers} autoscalers"));
    }
    let budget = json!({"maxUnavailable": 1, "unhealthyPodEvictionPolicy": "AlwaysAllow", "selector": deployment["spec"]["selector"]});
    if !overlay.of_kind("PodDisruptionBudget").any(|found| found["spec"] == budget) {
        found.push("W-08: no PodDisruptionBudget of its pods".to_owned());
    }
    found.into_iter()
}
