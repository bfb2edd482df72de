//! The OpenAPI document.

use serde_json::{Value, json};
use transcode::Contract;
use transcode::openapi::{Access, Info, document};

use crate::fixture::{contract, routed};

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
    every_parameter_is_in_its_path(&document);
}

/// And no two paths differ in the names of parameters alone, which OpenAPI takes for one path.
fn every_parameter_is_in_its_path(document: &Value) {
    let bare = |part: &str| part.rsplit('}').next().unwrap().to_owned();
    let shape = |path: &String| path.split('{').map(bare).collect::<Vec<_>>().join("{");
    let mut shapes: Vec<String> = document["paths"].as_object().unwrap().keys().map(shape).collect();
    shapes.sort_unstable();
    let count = shapes.len();
    shapes.dedup();
    assert_eq!(shapes.len(), count, "{shapes:?}");
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
fn templates_that_differ_in_names_alone_are_one_path_with_one_set_of_names() {
    let rules = [
        ("One", "GET", "/v1/things/{name}", ""),
        ("Two", "DELETE", "/v1/things/{s}", ""),
        ("Three", "GET", "/v1/{name=racks/*/books/*}", ""),
        ("Part", "DELETE", "/v1/racks/{sub.a}/books/{sub.n}", ""),
    ];
    let document = document(&contract(&rules), &info("Probe"), &|_| Access::Bearer);
    every_parameter_is_in_its_path(&document);
    let parameter = |path: &str, method: &str, at: usize| document["paths"][path][method]["parameters"][at].clone();
    let (get, delete) = (parameter("/v1/things/{name}", "get", 0), parameter("/v1/things/{name}", "delete", 0));
    assert_eq!((&get["name"], &get["description"]), (&json!("name"), &json!("")));
    assert_eq!((&delete["name"], &delete["description"]), (&json!("name"), &json!("The field `s`.")));
    let path = "/v1/racks/{rack}/books/{book}";
    let (first, second) = (parameter(path, "delete", 0), parameter(path, "delete", 1));
    assert_eq!((&first["name"], &first["description"]), (&json!("rack"), &json!("The field `sub.a`.")));
    assert_eq!((&second["name"], &second["schema"]["type"]), (&json!("book"), &json!("integer")));
}

#[test]
fn a_rest_of_the_path_beside_a_single_segment_has_a_path_of_its_own() {
    let rules = [
        ("One", "GET", "/v1/f/{name=**}", ""),
        ("Two", "GET", "/v1/f/{name}", ""),
        ("Three", "DELETE", "/v1/f/{s=**}", ""),
        ("Part", "GET", "/v1/f/{name}/{s}", ""),
    ];
    let contract = contract(&rules);
    let document = document(&contract, &info("Probe"), &|_| Access::Bearer);
    every_parameter_is_in_its_path(&document);
    let operations = |path: &str| document["paths"][path].clone();
    assert_eq!(operations("/v1/f/{name}")["get"]["operationId"], json!("Probe_Two"));
    assert_eq!(operations("/v1/f/{name}/{s}")["get"]["operationId"], json!("Probe_Part"));
    // What is left for the rest: three segments and more.
    let rest = &operations("/v1/f/{name}/{name2}/{name3}")["get"];
    assert_eq!(rest["operationId"], json!("Probe_One"));
    let shown =
        |at: usize| (rest["parameters"][at]["description"].clone(), rest["parameters"][at]["x-multi-segment"].clone());
    assert_eq!(
        (shown(0), shown(2)),
        ((json!("Part of `name`."), Value::Null), (json!("Part of `name`."), json!(true)))
    );
    // Where no other operation has the method, one segment is a rest too.
    let delete = &operations("/v1/f/{name}")["delete"];
    assert_eq!(delete["operationId"], json!("Probe_Three"));
    assert_eq!(delete["parameters"][0]["description"], json!("The field `s`."));
    for (method, path, rpc) in
        [("GET", "/v1/f/a", "Two"), ("GET", "/v1/f/a/b/c", "One"), ("DELETE", "/v1/f/a", "Three")]
    {
        assert_eq!(routed(&contract, method, path).method().full_name, format!("probe.v1.Probe.{rpc}"));
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
