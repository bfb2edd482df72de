//! What is shipped beside the code: generated files are fresh, images and manifests know every service, and the rendered overlays
//! hold together. Rendering needs the pinned kubectl; where no `./dev` has fetched it, those tests say so and end.
mod overlay;
mod workload;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use overlay::Overlay;

/// Root of the source tree.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/workos lies two below the root").to_owned()
}

/// All workloads, as the contract and the edge give them.
fn workloads() -> Vec<&'static str> {
    let mut names: Vec<_> =
        proto::methods().iter().map(|method| method.service).filter(|name| *name != "events").collect();
    names.push("gateway");
    names.sort_unstable();
    names.dedup();
    names
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[expect(clippy::disallowed_methods, reason = "the test runs the shipped program as a person does")]
fn run(program: &Path, arguments: &[&str]) -> Output {
    let ran = Command::new(program).args(arguments).current_dir(root()).output();
    ran.unwrap_or_else(|error| panic!("{}: {error}", program.display()))
}

fn workos(arguments: &[&str]) -> Output {
    run(Path::new(env!("CARGO_BIN_EXE_workos")), arguments)
}

#[test]
fn every_generated_file_is_fresh() {
    let checked = workos(&["contract", "generate", "--check"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn every_workload_has_an_image() {
    let recipe = read("Dockerfile.multi");
    for name in workloads() {
        let stage = format!("FROM runtime AS {name}\n");
        let copy = format!("COPY --from=binaries /out/workos-{name} /workos\n");
        assert!(recipe.contains(&format!("{stage}{copy}")), "Dockerfile.multi: the stage of {name} is missing");
    }
}

#[test]
fn the_overlays_hold_together() {
    for overlay in overlays() {
        let problems = overlay.problems();
        assert!(problems.is_empty(), "{}:\n{}", overlay.name(), problems.join("\n"));
    }
}

#[test]
fn every_pod_keeps_the_must_haves() {
    for overlay in overlays() {
        let problems = workload::problems(&overlay);
        assert!(problems.is_empty(), "{}:\n{}", overlay.name(), problems.join("\n"));
    }
}

#[test]
fn the_settings_of_an_overlay_are_settings_that_every_process_accepts() {
    for overlay in overlays() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let secret = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a file can be written");
        };
        secret("secret_key", &"k".repeat(32));
        secret("postgres_url", "postgres://postgres.data:5432/workos");
        secret("redis_url", "redis://redis.data:6379");
        secret("nats_url", "nats://nats.data:4222");
        secret("temporal_url", "http://temporal.data:7233");
        let mounted = folder.path().display().to_string();
        let settings =
            read(&format!("k8s/overlays/{}/workos.toml", overlay.name())).replace("/run/secrets/workos", &mounted);
        let file = folder.path().join("workos.toml");
        std::fs::write(&file, &settings).expect("a file can be written");
        let checked = workos(&["config", "check", "--config", &file.display().to_string()]);
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

/// The pinned kubectl: of the tools folder that `./dev` names, else of the one in this clone.
fn kubectl() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "`./dev` tells where its tools are")]
    let named = std::env::var("WORKOS_TOOLS").ok().map(PathBuf::from);
    let folders =
        std::fs::read_dir(root().join(".workos/tools")).into_iter().flatten().flatten().map(|folder| folder.path());
    named.into_iter().chain(folders).map(|folder| folder.join("bin/kubectl")).find(|path| path.is_file())
}

/// All overlays, rendered; none where kubectl is missing.
fn overlays() -> Vec<Overlay> {
    let Some(kubectl) = kubectl() else {
        let mut out = std::io::stderr().lock();
        let _ = writeln!(
            out,
            "SKIPPED: manifests are not rendered: no kubectl in the tools folder; run ./dev once to fetch it"
        );
        return Vec::new();
    };
    let folder = root().join("k8s/overlays");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .expect("k8s/overlays is there")
        .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert!(!names.is_empty(), "there is no overlay");
    let render = |name: String| {
        let rendered = run(&kubectl, &["kustomize", &folder.join(&name).display().to_string()]);
        assert!(rendered.status.success(), "{name}: {}", String::from_utf8_lossy(&rendered.stderr));
        let settings = read(&format!("k8s/overlays/{name}/workos.toml"));
        Overlay::parse(name, &String::from_utf8_lossy(&rendered.stdout), &settings)
    };
    names.into_iter().map(render).collect()
}
