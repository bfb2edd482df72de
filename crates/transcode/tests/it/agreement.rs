//! The OpenAPI document and the edge agree about requests: every example is taken, all that a schema demands is demanded, all
//! that it forbids is refused, and what it lets be left out may be left out.

use serde_json::{Value, json};
use transcode::openapi::{Access, document};
use transcode::{Contract, Match, Options, RequestOptions};

use crate::fixture::{routed, set};
use crate::openapi::{info, platform};

/// One operation with a body or query, and its route.
struct Asked {
    operation: Value,
    route: Match,
    name: String,
}

impl Asked {
    /// All operations of the contract's document.
    fn all(contract: &Contract, document: &Value) -> Vec<Self> {
        let mut found = Vec::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let raw: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
            let verb = path.rsplit_once("}:").map(|(_, verb)| format!(":{verb}")).unwrap_or_default();
            let raw = raw.join("/") + if raw.last() == Some(&"x") { &verb } else { "" };
            for (method, operation) in operations.as_object().unwrap() {
                let method = method.to_uppercase();
                let route = routed(contract, &method, &raw);
                found.push(Self { operation: operation.clone(), route, name: format!("{method} {path}") });
            }
        }
        found
    }

    /// Names of the query parameters that must be sent.
    fn required_query(&self) -> Vec<&str> {
        let parameters = self.operation["parameters"].as_array().unwrap().iter();
        let required = parameters.filter(|each| each["in"] == "query" && each["required"] == true);
        required.filter_map(|each| each["name"].as_str()).collect()
    }

    /// Whether the edge takes the body, with these parameters.
    fn takes(&self, query: &[&str], body: Option<&Value>) -> Result<(), String> {
        let query: Vec<String> = query.iter().map(|name| format!("{name}=text")).collect();
        let body = body.map(Value::to_string).unwrap_or_default();
        let read = self.route.request(Some(&query.join("&")), None, body.as_bytes(), &RequestOptions::default());
        read.map(drop).map_err(|problem| format!("{}: {} of {body}", self.name, problem.message))
    }

    fn media(&self) -> &Value {
        &self.operation["requestBody"]["content"]["application/json"]
    }
}

fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(target) => document.pointer(target.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

/// What a schema says about changes of a value: the changed value, and whether it is still one.
fn changes(document: &Value, schema: &Value, value: &Value) -> Vec<(Value, bool)> {
    let schema = resolved(document, schema);
    let mut found = Vec::new();
    let mut must = |key: &str, empty: Value| {
        if schema[key] == 1 {
            found.push((empty, false));
        }
    };
    must("minLength", json!(""));
    must("minItems", json!([]));
    must("minProperties", json!({}));
    match value {
        Value::Object(members) => {
            let required: Vec<&str> =
                schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            if schema["additionalProperties"] == false {
                let mut more = value.clone();
                more["unheardOf"] = json!(1);
                found.push((more, false));
            }
            for (name, member) in members {
                let below = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
                let inner = changes(document, below, member);
                found.extend(inner.into_iter().map(|(changed, taken)| {
                    let mut value = value.clone();
                    value[name] = changed;
                    (value, taken)
                }));
                let mut less = members.clone();
                less.remove(name);
                let is_needed = required.contains(&name.as_str()) || (less.is_empty() && schema["minProperties"] == 1);
                found.push((Value::Object(less), !is_needed));
            }
            for name in required {
                assert!(members.contains_key(name), "the example lacks `{name}`");
            }
        }
        Value::Array(items) => {
            let inner = items.first().map(|item| changes(document, &schema["items"], item)).unwrap_or_default();
            found.extend(inner.into_iter().map(|(changed, taken)| (json!([changed]), taken)));
        }
        _ => {}
    }
    found
}

/// Holds the document against the edge; how many changes were tried.
fn agrees(contract: &Contract) -> usize {
    let document = document(contract, &info("It"), &|_| Access::Bearer);
    let mut tried = 0;
    for asked in Asked::all(contract, &document) {
        let (query, example) = (asked.required_query(), asked.media().get("example"));
        if asked.operation["requestBody"]["content"].get("application/x-ndjson").is_some() {
            continue;
        }
        asked.takes(&query, example).unwrap();
        for left in &query {
            let rest: Vec<&str> = query.iter().filter(|name| *name != left).copied().collect();
            assert!(asked.takes(&rest, example).is_err(), "{}: {left} may be left out", asked.name);
            tried += 1;
        }
        let Some(example) = example else { continue };
        let without = asked.takes(&query, None);
        assert_eq!(asked.operation["requestBody"]["required"], without.is_err(), "{}: {without:?}", asked.name);
        for (changed, taken) in changes(&document, &asked.media()["schema"], example) {
            let found = asked.takes(&query, Some(&changed));
            assert_eq!(found.is_ok(), taken, "{}: {found:?} of {changed}", asked.name);
            tried += 1;
        }
    }
    tried
}

fn asked() -> Contract {
    transcode::compile(&set("asked.proto"), &Options::default()).unwrap()
}

#[test]
fn the_edge_takes_what_the_document_allows_and_refuses_what_it_forbids() {
    assert!(agrees(&asked()) > 50);
}

#[test]
fn so_it_does_with_the_platforms_own_contract() {
    assert!(agrees(&platform()) > 100);
}

#[test]
fn what_is_asked_for_is_required_and_not_empty() {
    let document = document(&asked(), &info("It"), &|_| Access::Bearer);
    let schemas = &document["components"]["schemas"];
    let book = &schemas["asked.v1.Book-request"];
    // `copies` is a number without presence: its zero may be meant.
    assert_eq!(book["required"], json!(["title", "cover", "tags", "marks", "pages", "note", "author", "publisher"]));
    let properties = &book["properties"];
    assert_eq!(properties["title"], json!({"type": "string", "minLength": 1}));
    assert_eq!(properties["cover"]["minLength"], 1);
    assert_eq!(properties["tags"], json!({"type": "array", "items": {"type": "string"}, "minItems": 1}));
    assert_eq!(properties["marks"]["minProperties"], 1);
    assert_eq!((&properties["copies"]["x-required"], &properties["pages"]["x-required"]), (&json!(true), &Value::Null));
    // null is an absent wrapper.
    assert_eq!(properties["note"], json!({"type": "string"}));
    assert_eq!(properties["author"]["$ref"], "#/components/schemas/asked.v1.Author-request");
    // Values of maps are not asked.
    assert_eq!(properties["readers"]["additionalProperties"]["$ref"], "#/components/schemas/asked.v1.Author-partial");
    assert_eq!(schemas["asked.v1.Author-partial"].get("required"), None);
    let find = &document["paths"]["/v1/found/{shelf}"]["get"]["parameters"];
    let find: Vec<&Value> = find.as_array().unwrap().iter().filter(|each| each["in"] == "query").collect();
    let required: Vec<&Value> = find.iter().filter(|each| each["required"] == true).map(|each| &each["name"]).collect();
    // The path has made `where`, so the rest of it is asked for; nothing has made `range`.
    assert_eq!(required, ["where.room", "words"]);
    let schema = |name: &str| &find.iter().find(|each| each["name"] == name).unwrap()["schema"];
    assert_eq!(schema("range.from"), &json!({"type": "string", "minLength": 1}));
    assert_eq!(schema("words")["minItems"], 1);
    assert_eq!(schema("least")["type"], "string");
    assert!(find.iter().all(|each| each["name"] != "where.by"), "no query can set a map of messages");
}

#[test]
fn requests_are_closed_and_answers_open() {
    let document = document(&asked(), &info("It"), &|_| Access::Bearer);
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["asked.v1.Book-request"]["additionalProperties"], json!(false));
    assert_eq!(schemas["asked.v1.Author-partial"]["additionalProperties"], json!(false));
    let answer = &schemas["asked.v1.Book"];
    assert_eq!((answer.get("additionalProperties"), answer.get("required")), (None, None));
    assert_eq!(answer["properties"]["title"], json!({"type": "string"}));
    let reading = RequestOptions { ignore_unknown: true, ..RequestOptions::default() };
    let open = transcode::compile(&set("asked.proto"), &Options { reading, ..Options::default() }).unwrap();
    let open = transcode::openapi::document(&open, &info("It"), &|_| Access::Bearer);
    assert_eq!(open["components"]["schemas"]["asked.v1.Book-request"].get("additionalProperties"), None);
}

#[test]
fn what_the_path_binds_is_told_and_not_shown() {
    let document = document(&asked(), &info("It"), &|_| Access::Bearer);
    let body = |path: &str, method: &str| {
        let body = &document["paths"][path][method]["requestBody"];
        (body["required"].clone(), body["content"]["application/json"].clone())
    };
    let (required, patch) = body("/v1/rooms/{room}/books/{book}", "patch");
    let name = &patch["schema"]["properties"]["name"];
    assert_eq!(name["readOnly"], json!(true));
    assert_eq!(name["description"], "Bound by the path as `book.name`: leave it out, or send the same value.");
    assert_eq!((patch["example"].get("name"), patch["schema"].get("required"), required), (None, None, json!(false)));
    // A replacement is asked for all, and the path alone is no body.
    let (required, put) = body("/v1/rooms/{room}/books/{book}", "put");
    assert_eq!((&put["schema"]["required"][0], required), (&json!("title"), json!(true)));
    // One field of `reader` comes from the path, the other must come from the body.
    let (_, lend) = body("/v1/rooms/{room}/books/{book}/readers/{id}", "post");
    assert_eq!(lend["schema"]["required"], json!(["reader"]));
    assert_eq!(lend["schema"]["properties"]["reader"]["required"], json!(["card"]));
    assert_eq!(lend["example"], json!({"reader": {"card": "text"}, "day": "text"}));
}

#[test]
fn examples_are_what_the_contract_gives() {
    let document = document(&asked(), &info("It"), &|_| Access::Bearer);
    let create = &document["paths"]["/v1/rooms/{room}/books"]["post"]["requestBody"]["content"]["application/json"];
    let example = &create["example"];
    assert_eq!(example["author"], json!({"displayName": "text", "email": "ada@example.com"}));
    assert_eq!(example["publisher"], "publishers/01kb4v8mzefgh2a5c7d9jknpqr");
    assert_eq!(example["loan"], "86400s");
    assert_eq!((example.get("reseller"), &example["isbn"]), (None, &json!("text")));
    let update = &document["paths"]["/v1/rooms/{room}/books/{book}"]["patch"]["requestBody"]["content"];
    assert_eq!(update["application/json"]["example"].get("isbn"), None);
    // What the service writes, and what comes from elsewhere.
    assert_eq!((example.get("name"), example.get("createTime"), example.get("etag")), (None, None, None));
    let place = &document["paths"]["/v1/rooms/{room}/books/{book}:move"]["post"]["requestBody"]["content"];
    assert_eq!(place["application/json"]["example"], json!({"shelf": "shelves/2", "place": 7}));
}

#[test]
fn only_the_first_message_of_a_stream_is_asked() {
    let document = document(&asked(), &info("It"), &|_| Access::Bearer);
    let content = &document["paths"]["/v1/books:tell"]["post"]["requestBody"]["content"];
    let array = &content["application/json"]["schema"];
    assert_eq!(array["prefixItems"][0]["required"], json!(["name", "shelf"]));
    assert_eq!(array["items"]["$ref"], "#/components/schemas/asked.v1.MoveBookRequest-partial");
    assert_eq!(content["application/x-ndjson"]["schema"], array["items"]);
}

#[test]
fn fields_are_those_of_the_answer() {
    let contract = asked();
    let document = document(&contract, &info("It"), &|_| Access::Bearer);
    let fields = &document["components"]["parameters"]["fields.asked.v1.FindBooksResponse"]["schema"];
    let pattern = fields["pattern"].as_str().unwrap();
    let path = r"(?:books(?:\.(?:";
    assert!(pattern.starts_with(&format!("^(?:{}", &path[3..])), "{pattern}");
    assert!(
        pattern.contains(r"author(?:\.(?:displayName|email|\*))?") && pattern.contains(r"|nextPageToken|\*)(?:,"),
        "{pattern}"
    );
    assert_eq!(fields["minLength"], 1);
    assert!(document["components"]["parameters"].get("fields").is_none());
    let route = routed(&contract, "GET", "/v1/found/x");
    for good in
        ["books", "books.author.email,nextPageToken", "*", "books.*", "books.readers.email", "books.sequel.title"]
    {
        assert!(route.response_options(Some(&format!("$fields={good}"))).is_ok(), "{good}");
    }
    for bad in ["", "book", "books.", "books,", "books.createTime.seconds", "nextPageToken.x"] {
        assert!(route.response_options(Some(&format!("$fields={bad}"))).is_err(), "{bad}");
    }
}

#[test]
fn the_platforms_examples_are_values_that_its_services_take() {
    fn texts(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => members.values().for_each(|value| texts(value, found)),
            Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
            Value::String(text) => found.push(text.clone()),
            _ => {}
        }
    }
    let document = document(&platform(), &info("It"), &|_| Access::Bearer);
    let mut bare = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for operation in operations.as_object().unwrap().values() {
            let mut example = operation["requestBody"]["content"]["application/json"]["example"].clone();
            // The operator prints the code, a flow comes from the step before, and metadata is what anybody likes.
            for free in ["code", "flow", "metadata"] {
                example.as_object_mut().and_then(|members| members.remove(free));
            }
            let mut found = Vec::new();
            texts(&example, &mut found);
            if found.contains(&"text".to_owned()) {
                bare.push(format!("{path}: {example}"));
            }
        }
    }
    assert!(bare.is_empty(), "give examples in the contract (workos.api.v1.example):\n{}", bare.join("\n"));
    let body = |path: &str| &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["example"];
    let file = body("/v1/organizations/{organization}/documents/{document}:attachFile");
    let id = "01kb4v8mzefgh2a5c7d9jknpqr";
    assert_eq!(file, &json!({"file": format!("organizations/{id}/files/{id}")}));
}
