//! Lines that a new service adds to files that are there. Each is put before a line that is known; where that line is gone the command
//! says what to write by hand instead of guessing.
use std::path::Path;

use anyhow::{Context, Result};

use crate::contract::{generate::File, tree};

/// A line, and before which line it goes.
struct Line {
    path: &'static str,
    before: &'static str,
    text: String,
}

/// All places of one new service in files that are there.
pub(super) struct Places<'a> {
    root: &'a Path,
    name: &'a str,
}

impl<'a> Places<'a> {
    pub(super) fn new(root: &'a Path, name: &'a str) -> Self {
        Self { root, name }
    }

    /// The changed files; nothing is written.
    pub(super) fn changes(&self) -> Result<Vec<File>> {
        let mut files: Vec<File> = Vec::new();
        for line in self.lines() {
            let text = tree::read(self.root, line.path)?;
            let by_hand =
                || format!("{} has no line that begins with `{}`; nothing was written", line.path, line.before);
            files.push((line.path.to_owned(), insert(&text, line.before, &line.text).with_context(by_hand)?));
        }
        for overlay in self.overlays()? {
            let text = tree::read(self.root, &overlay)?;
            let image = format!(
                "- {{name: workos/{0}, newName: {1}workos-{0}, newTag: {2}}}\n",
                self.name,
                registry(&text),
                tag(&text)
            );
            let by_hand = || format!("{overlay} names no image workos/workos; nothing was written");
            files.push((overlay.clone(), insert(&text, "- {name: workos/workos,", &image).with_context(by_hand)?));
        }
        for (path, change) in self.changes_within() {
            let text = tree::read(self.root, path)?;
            files.push((
                path.to_owned(),
                change(&text, self.name)
                    .with_context(|| format!("{path} does not look as expected; nothing was written"))?,
            ));
        }
        Ok(files)
    }

    fn lines(&self) -> [Line; 5] {
        let name = self.name;
        [
            Line {
                path: "Cargo.toml",
                before: "workos-gateway = ",
                text: format!("workos-{name} = {{ path = \"crates/{name}\" }}\n"),
            },
            Line {
                path: "crates/workos/Cargo.toml",
                before: "workos-gateway.workspace",
                text: format!("workos-{name}.workspace = true\n"),
            },
            Line {
                path: "Dockerfile.multi",
                before: "FROM runtime AS gateway",
                text: format!("FROM runtime AS {name}\nCOPY --from=binaries /out/workos-{name} /workos\n\n"),
            },
            Line {
                path: "k8s/base/services/kustomization.yaml",
                before: "- auth\n",
                text: format!("- {name}\n- {name}/policy.gen.yaml\n"),
            },
            Line {
                path: "README.md",
                before: "| gateway |",
                text: format!("| {name} | (what it is for) | `crates/{name}` |\n"),
            },
        ]
    }

    /// Changes inside of lines: the list of services with its length, the modules of the contract, who may fetch the keys.
    fn changes_within(&self) -> [(&'static str, Change); 3] {
        [
            ("crates/workos/src/services.rs", listed),
            ("crates/proto/src/lib.rs", exported),
            ("proto/workos/auth/v1/token_service.proto", admitted),
        ]
    }

    fn overlays(&self) -> Result<Vec<String>> {
        let folder = self.root.join("k8s/overlays");
        let entries = std::fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut paths: Vec<_> = names.map(|name| format!("k8s/overlays/{name}/kustomization.yaml")).collect();
        paths.retain(|path| self.root.join(path).is_file());
        paths.sort();
        Ok(paths)
    }
}

/// Gives the changed text of a file for a new service; `None` when the place is not found.
type Change = fn(&str, &str) -> Option<String>;

/// Puts text before the first line that begins so.
fn insert(text: &str, before: &str, new: &str) -> Option<String> {
    let place = if text.starts_with(before) { 0 } else { text.find(&format!("\n{before}"))? + 1 };
    Some(format!("{}{new}{}", &text[..place], &text[place..]))
}

/// The registry of an overlay, as its image of the edge has it.
fn registry(text: &str) -> &str {
    let rest = text.split_once("workos/gateway, newName: ").map_or("", |(_, rest)| rest);
    rest.split_once("workos-gateway").map_or("", |(registry, _)| registry)
}

fn tag(text: &str) -> &str {
    let rest = text.split_once("workos-gateway, newTag: ").map_or("", |(_, rest)| rest);
    rest.split_once('}').map_or("latest", |(tag, _)| tag)
}

fn listed(text: &str, name: &str) -> Option<String> {
    let (head, rest) = text.split_once("[&ServiceSpec; ")?;
    let (count, rest) = rest.split_once(']')?;
    let count: usize = count.parse().ok()?;
    let longer = format!("{head}[&ServiceSpec; {}]{rest}", count + 1);
    insert(&longer, "    &gateway::SERVICE,", &format!("    &{name}::SERVICE,\n"))
}

fn exported(text: &str, name: &str) -> Option<String> {
    let (head, rest) = text.split_once("pub use generated::workos::{")?;
    Some(format!("{head}pub use generated::workos::{{{name}, {rest}"))
}

fn admitted(text: &str, name: &str) -> Option<String> {
    let begin = "peers: [\"gateway\", \"auth\"";
    text.contains(begin).then(|| text.replace(begin, &format!("{begin}, \"{name}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_before_the_line_that_is_known_or_nowhere() {
        assert_eq!(insert("a\nb\n", "b", "x\n").as_deref(), Some("a\nx\nb\n"));
        assert_eq!(insert("b\n", "b", "x\n").as_deref(), Some("x\nb\n"));
        assert_eq!(insert("a b\n", "b", "x\n"), None);
    }

    #[test]
    fn the_list_of_services_grows_by_one() {
        let text = "[&ServiceSpec; 7] = [\n    &file::SERVICE,\n    &gateway::SERVICE,\n];\n";
        let expected = "[&ServiceSpec; 8] = [\n    &file::SERVICE,\n    &audit::SERVICE,\n    &gateway::SERVICE,\n];\n";
        assert_eq!(listed(text, "audit").as_deref(), Some(expected));
    }

    #[test]
    fn the_keys_are_for_the_new_workload_too() {
        let text = "peers: [\"gateway\", \"auth\", \"file\"] peers: [\"workflow\"]";
        assert_eq!(
            admitted(text, "audit").as_deref(),
            Some("peers: [\"gateway\", \"auth\", \"audit\", \"file\"] peers: [\"workflow\"]")
        );
        assert_eq!(admitted("peers: [\"workflow\"]", "audit"), None);
    }
}
