//! `workos contract new-service`: writes the five places of a new service, with one real resource that can be created, read and listed.
//!
//! What must hold: everything is planned before anything is written; a file that is there is never replaced; the result compiles, passes
//! its tests and keeps the rules of the tree.
mod place;

use std::path::Path;

use anyhow::{Result, bail};

use self::place::Places;
use super::{generate::File, tree};
use crate::terminal;

/// Template and where it goes, both with the service's name in them.
const FILES: [(&str, &str); 18] = [
    ("proto/workos/__name__/v1/__name___service.proto", include_str!("../../templates/service/proto/service.proto")),
    ("proto/workos/__name__/v1/__name__.proto", include_str!("../../templates/service/proto/resource.proto")),
    ("proto/workos/__name__/v1/__name___events.proto", include_str!("../../templates/service/proto/events.proto")),
    ("proto/workos/__name__/v1/error_reason.proto", include_str!("../../templates/service/proto/error_reason.proto")),
    ("crates/__name__/Cargo.toml", include_str!("../../templates/service/Cargo.toml")),
    ("crates/__name__/migrations/0001___names__.sql", include_str!("../../templates/service/migrations/0001.sql")),
    ("crates/__name__/src/lib.rs", include_str!("../../templates/service/src/lib.rs")),
    ("crates/__name__/src/main.rs", include_str!("../../templates/service/src/main.rs")),
    ("crates/__name__/src/config.rs", include_str!("../../templates/service/src/config.rs")),
    ("crates/__name__/src/error.rs", include_str!("../../templates/service/src/error.rs")),
    ("crates/__name__/src/model.rs", include_str!("../../templates/service/src/model.rs")),
    ("crates/__name__/src/store.rs", include_str!("../../templates/service/src/store.rs")),
    ("crates/__name__/src/events.rs", include_str!("../../templates/service/src/events.rs")),
    ("crates/__name__/src/service.rs", include_str!("../../templates/service/src/service.rs")),
    ("crates/__name__/src/rpc.rs", include_str!("../../templates/service/src/rpc.rs")),
    ("crates/__name__/tests/it/main.rs", include_str!("../../templates/service/tests/it/main.rs")),
    ("crates/__name__/tests/it/creation.rs", include_str!("../../templates/service/tests/it/creation.rs")),
    ("k8s/base/services/__name__/kustomization.yaml", include_str!("../../templates/service/k8s/kustomization.yaml")),
];
/// Names that would collide with what the platform, the compiler or the templates already call so.
const TAKEN: [&str; 32] = [
    "abstract", "async", "await", "become", "break", "common", "const", "continue", "core", "crate", "draft", "dyn",
    "error", "extern", "helpers", "migrate", "page", "policy", "request", "response", "return", "self", "service",
    "static", "status", "super", "trait", "types", "typeof", "utils", "window", "yield",
];

/// Writes a service.
pub(crate) fn run(root: &Path, name: &str) -> Result<()> {
    check_name(name)?;
    let forms = Forms::of(name);
    let created: Vec<File> = FILES.iter().map(|(path, text)| (forms.fill(path), forms.fill(text))).collect();
    if let Some((path, _)) = created.iter().find(|(path, _)| root.join(path).exists()) {
        bail!("{path} is there already; nothing was written");
    }
    for folder in [format!("crates/{name}"), format!("proto/workos/{name}")] {
        if root.join(&folder).exists() {
            bail!("{folder} is there already; nothing was written");
        }
    }
    let changed = Places::new(root, name).changes()?;
    for (path, text) in &created {
        tree::write(root, path, text)?;
        terminal::line(format!("created  {path}"));
    }
    for (path, text) in &changed {
        tree::write(root, path, text)?;
        terminal::line(format!("changed  {path}"));
    }
    say_what_is_next(name);
    Ok(())
}

fn say_what_is_next(name: &str) {
    terminal::heading("Next");
    for step in [
        "./dev fmt && ./dev generate".to_owned(),
        format!("./dev test -p workos-{name}"),
        format!(
            "make it yours: the resource in proto/workos/{name}/v1/{name}.proto, its rules in crates/{name}/src/model.rs"
        ),
        format!("say what it is for: crates/{name}/src/lib.rs, its row in README.md"),
    ] {
        terminal::line(format!("  {step}"));
    }
}

fn check_name(name: &str) -> Result<()> {
    let plain = (3..=24).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase());
    if !plain {
        bail!("{name} is no name of a service; write a singular noun of 3 to 24 letters a to z, such as audit");
    }
    if TAKEN.contains(&name) || proto::methods().of_service(name).next().is_some() {
        bail!("the name {name} is taken; choose another noun");
    }
    Ok(())
}

/// The name as it is written in each place.
struct Forms {
    singular: String,
    plural: String,
}

impl Forms {
    fn of(name: &str) -> Self {
        let vowel_before = |text: &str| text.ends_with(['a', 'e', 'i', 'o', 'u']);
        let plural = match name {
            name if ["s", "x", "z", "ch", "sh"].iter().any(|end| name.ends_with(end)) => format!("{name}es"),
            name => match name.strip_suffix('y') {
                Some(stem) if !vowel_before(stem) => format!("{stem}ies"),
                _ => format!("{name}s"),
            },
        };
        Self { singular: name.to_owned(), plural }
    }

    fn fill(&self, text: &str) -> String {
        let filled = text.replace("__Names__", &capital(&self.plural)).replace("__names__", &self.plural);
        filled.replace("__Name__", &capital(&self.singular)).replace("__name__", &self.singular)
    }
}

fn capital(text: &str) -> String {
    let (first, rest) = text.split_at(text.len().min(1));
    format!("{}{rest}", first.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_no_placeholder_left() {
        let forms = Forms::of("audit");
        for (path, text) in FILES {
            let (path, text) = (forms.fill(path), forms.fill(text));
            assert!(!path.contains("__name") && !text.contains("__name") && !text.contains("__Name"), "{path}");
        }
        assert_eq!(forms.fill("0001___names__.sql create___name__ __Names__"), "0001_audits.sql create_audit Audits");
    }

    #[test]
    fn a_name_is_a_singular_noun_that_nothing_else_has() {
        assert!(check_name("audit").is_ok());
        for name in ["", "ab", "Audit", "audit-log", "audit_log", "document", "events", "self", "utils", "../etc"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert_eq!(Forms::of("policy").plural, "policies");
        assert_eq!(Forms::of("box").plural, "boxes");
        assert_eq!(Forms::of("key").plural, "keys");
    }
}
