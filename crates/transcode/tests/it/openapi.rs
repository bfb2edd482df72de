//! The OpenAPI document.

use serde_json::{Value, json};
use transcode::Contract;
use transcode::openapi::{Access, Info, document};

use crate::fixture::contract;

pub(crate) fn info(title: &str) -> Info {
    Info {
        title: title.to_owned(),
        version: "1".to_owned(),
        description: String::new(),
        server: String::new(),
        example_id: "01kb4v8mzefgh2a5c7d9jknpqr".to_owned(),
        example_option: "workos.api.v1.example".to_owned(),
    }
}

fn built() -> Value {
    document(
        &contract(&[
            ("Download", "GET", "/v1/files/{name}", ""),
            ("Upload", "POST", "/v1/files/{name}", "file"),
            ("Three", "POST", "/v1/hidden", "*"),
        ]),
        &info("Probe"),
        &|rpc| match rpc {
            "/probe.v1.Library/GetBook" => Access::Public,
            "/probe.v1.Probe/Three" => Access::Hidden,
            _ => Access::Bearer,
        },
    )
}

const BOOK: &str = "/v1/organizations/{organization}/libraries/{library}/books/{book}";

#[test]
fn names_are_expanded_into_one_parameter_per_wildcard() {
    let document = built();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        [
            "/v1/files/{name}",
            "/v1/organizations/{organization}/libraries/{library}/books",
            BOOK,
            "/v1/organizations/{organization}/libraries/{library}/books/{book}:publish",
            "/v1/organizations/{organization}/libraries/{library}/books:watch",
            "/v1/published/{name}",
        ]
        .map(str::to_owned)
        .iter()
        .collect::<Vec<_>>()
        .as_slice()
    );
    assert_eq!(document["paths"]["/v1/published/{name}"]["post"]["parameters"][0]["x-multi-segment"], json!(true));
}

#[test]
fn operations_carry_comments_security_parameters_and_errors() {
    let document = built();
    let get = &document["paths"][BOOK]["get"];
    assert_eq!(
        (&get["operationId"], &get["description"]),
        (&json!("Library_GetBook"), &json!("Gets a book. Errors: NOT_FOUND."))
    );
    assert_eq!(get["security"], json!([]));
    assert_eq!(get["responses"]["default"], json!({"$ref": "#/components/responses/Error"}));
    let patch = &document["paths"][BOOK]["patch"];
    assert_eq!(patch["security"], json!([{"bearer": []}]));
    let body = &patch["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["properties"]["editor"]["$ref"], json!("#/components/schemas/probe.v1.Author-request"));
    assert_eq!(patch["requestBody"]["content"]["application/json"]["example"]["title"], json!("text"));
    let list = &document["paths"]["/v1/organizations/{organization}/libraries/{library}/books"]["get"]["parameters"];
    let names: Vec<&str> = list.as_array().unwrap().iter().filter_map(|parameter| parameter["name"].as_str()).collect();
    assert_eq!(names, ["organization", "library", "pageSize", "pageToken", "labels", "author.displayName"]);
    let publish =
        &document["paths"]["/v1/organizations/{organization}/libraries/{library}/books/{book}:publish"]["post"];
    assert_eq!(
        (&publish["deprecated"], &publish["requestBody"]["content"]["application/json"]["schema"]["required"]),
        (&json!(true), &json!(["day"]))
    );
}

#[test]
fn schemas_follow_protojson() {
    let document = built();
    let book = &document["components"]["schemas"]["probe.v1.Book"];
    let properties = &book["properties"];
    assert_eq!(
        properties["pageCount"],
        json!({"type": "string", "format": "int64", "pattern": "^(0|-?[1-9][0-9]{0,18})$"})
    );
    assert_eq!(
        properties["createTime"],
        json!({"type": "string", "format": "date-time", "description": "When it was added.", "readOnly": true})
    );
    assert_eq!(properties["color"]["$ref"], json!("#/components/schemas/probe.v1.Color"));
    assert_eq!(properties["old"]["deprecated"], json!(true));
    assert!(book["allOf"][0]["oneOf"].as_array().is_some_and(|choices| choices.len() == 3));
    assert_eq!(document["components"]["schemas"]["probe.v1.Color"]["enum"], json!(["NONE", "RED", "CRIMSON", "BLUE"]));
}

#[test]
fn every_reference_leads_somewhere_and_every_parameter_is_in_its_path() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| match (name.as_str(), value) {
                ("$ref", Value::String(target)) => found.push(target.clone()),
                _ => references(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = built();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 20);
    for target in found {
        assert!(document.pointer(target.trim_start_matches('#')).is_some(), "{target}");
    }
    for (path, operations) in document["paths"].as_object().unwrap() {
        for operation in operations.as_object().unwrap().values() {
            let declared =
                operation["parameters"].as_array().unwrap().iter().filter(|parameter| parameter["in"] == "path");
            assert_eq!(declared.clone().count(), path.matches('{').count(), "{path}");
            assert!(
                declared
                    .into_iter()
                    .all(|parameter| path.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap())))
            );
        }
    }
}

#[test]
fn streams_raw_bodies_and_hidden_methods() {
    let document = built();
    let watch = &document["paths"]["/v1/organizations/{organization}/libraries/{library}/books:watch"]["get"]["responses"]
        ["200"]["content"];
    assert_eq!(watch["application/json"]["schema"]["type"], json!("array"));
    assert!(watch["application/x-ndjson"].is_object() && watch["text/event-stream"].is_object());
    assert!(document["paths"]["/v1/files/{name}"]["get"]["responses"]["200"]["content"]["*/*"].is_object());
    assert!(document["paths"]["/v1/files/{name}"]["post"]["requestBody"]["content"]["*/*"].is_object());
    assert!(document["paths"].get("/v1/hidden").is_none());
}

/// The platform's own contract.
pub(crate) fn platform() -> Contract {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.join("../../proto");
    let mut compiler = protox::Compiler::new([&root]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    let mut files: Vec<std::path::PathBuf> = Vec::new();
    let mut folders = vec![root.join("workos")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    compiler.open_files(files).unwrap();
    transcode::compile(&compiler.encode_file_descriptor_set(), &transcode::Options::default()).unwrap()
}

#[test]
fn the_platforms_own_contract_has_a_document() {
    let document = document(&platform(), &info("WorkOS"), &|_| Access::Bearer);
    assert!(document["paths"].as_object().unwrap().len() > 20);
}
