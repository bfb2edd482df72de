//! HTTP rules of a service config (`google.api.Service`, YAML or JSON): `http.rules`, each with the selector of its RPC.
//!
//! Other parts of a service config are not read here; a misspelled key within a rule is refused, since it would bind
//! something else in silence.
use serde::Deserialize;
use transcode::{CustomPattern, HttpRule, Pattern};

use super::SchemaError;

#[derive(Deserialize)]
struct ServiceConfig {
    #[serde(default)]
    http: Http,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Http {
    rules: Vec<Rule>,
}

/// One rule; proto and JSON spelling of names.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rule {
    selector: String,
    get: Option<String>,
    put: Option<String>,
    post: Option<String>,
    delete: Option<String>,
    patch: Option<String>,
    custom: Option<Custom>,
    body: String,
    #[serde(alias = "responseBody")]
    response_body: String,
    #[serde(alias = "additionalBindings")]
    additional_bindings: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Custom {
    kind: String,
    path: String,
}

/// Reads the rules of a file.
pub(super) fn read(text: &[u8], name: &str) -> Result<Vec<HttpRule>, SchemaError> {
    let config: ServiceConfig = serde_norway::from_slice(text)
        .map_err(|error| SchemaError(format!("{name} is no service config: {error}; see google/api/service.proto")))?;
    config.http.rules.into_iter().map(|rule| rule.read(name)).collect()
}

impl Rule {
    fn read(self, name: &str) -> Result<HttpRule, SchemaError> {
        let plain = [
            self.get.map(Pattern::Get),
            self.put.map(Pattern::Put),
            self.post.map(Pattern::Post),
            self.delete.map(Pattern::Delete),
            self.patch.map(Pattern::Patch),
            self.custom.map(|custom| Pattern::Custom(CustomPattern { kind: custom.kind, path: custom.path })),
        ];
        let mut patterns = plain.into_iter().flatten();
        let (pattern, more) = (patterns.next(), patterns.next());
        if pattern.is_none() || more.is_some() {
            let problem = "a rule has exactly one of get, put, post, delete, patch, custom";
            return Err(SchemaError(format!("{name}: the rule for `{}`: {problem}", self.selector)));
        }
        let additional = self.additional_bindings.into_iter().map(|rule| rule.read(name)).collect::<Result<_, _>>()?;
        Ok(HttpRule {
            selector: self.selector,
            pattern,
            body: self.body,
            additional_bindings: additional,
            response_body: self.response_body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_in_both_spellings_and_strictly() {
        let text = "type: google.api.Service\nhttp:\n  rules:\n  - selector: a.B.C\n    post: /v1/x\n    body: '*'\n    \
                    additional_bindings: [{get: /v1/y, responseBody: z}]\n";
        let rules = read(text.as_bytes(), "file").expect("it is valid");
        assert_eq!((rules.len(), rules[0].selector.as_str(), rules[0].body.as_str()), (1, "a.B.C", "*"));
        assert_eq!(rules[0].additional_bindings[0].response_body, "z");
        for bad in [
            "http: {rules: [{selector: a, get: /x, put: /x}]}",
            "http: {rules: [{selector: a}]}",
            "http: {rules: [{gett: /x}]}",
            "- x",
        ] {
            assert!(read(bad.as_bytes(), "file").is_err(), "{bad}");
        }
        assert_eq!(read(b"name: x", "file").expect("no rules is fine").len(), 0);
    }
}
