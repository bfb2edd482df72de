//! OpenFGA: Check and ListObjects by gRPC, with all its caches on, as its documentation advises for production.
//!
//! The model has one permission over the four relations and the parent's permission, so that a question walks no more than it must.
use std::path::Path;

use anyhow::{Context, Result};
use http::Method;
use serde_json::json;

use super::{graph::EDGES, grpc::Grpc};
use crate::{
    bench::{
        peer::{self, Peer, free_address},
        process::command,
    },
    demo::http::{Call, Http},
};

const NAME: &str = "openfga";
const CHECK: &str = "/openfga.v1.OpenFGAService/Check";
const LIST: &str = "/openfga.v1.OpenFGAService/ListObjects";

/// The rows in the shape that writes leave, in the store $1.
const FILL: &str = "insert into tuple (store, object_type, object_id, relation, _user, user_type, ulid, inserted_at) \
     select $1::text, kind, number::text, tie, subject_kind || ':' || subject || case subject_kind when 'group' then '#member' else '' end, \
       case subject_kind when 'group' then 'userset' else 'user' end, lpad((row_number() over ())::text, 26, '0'), now() from edge";

#[derive(Clone, PartialEq, prost::Message)]
struct TupleKey {
    #[prost(string, tag = "1")]
    user: String,
    #[prost(string, tag = "2")]
    relation: String,
    #[prost(string, tag = "3")]
    object: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CheckRequest {
    #[prost(string, tag = "1")]
    store_id: String,
    #[prost(message, optional, tag = "2")]
    tuple_key: Option<TupleKey>,
    #[prost(string, tag = "4")]
    authorization_model_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CheckResponse {
    #[prost(bool, tag = "1")]
    allowed: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListObjectsRequest {
    #[prost(string, tag = "1")]
    store_id: String,
    #[prost(string, tag = "2")]
    authorization_model_id: String,
    #[prost(string, tag = "3")]
    r#type: String,
    #[prost(string, tag = "4")]
    relation: String,
    #[prost(string, tag = "5")]
    user: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListObjectsResponse {
    #[prost(string, repeated, tag = "1")]
    objects: Vec<String>,
}

/// A client of a store with the graph in it.
pub(crate) struct OpenFga {
    grpc: Grpc,
    store: String,
    model: String,
}

/// Starts one on a database of its own in this PostgreSQL, fills it, and connects.
pub(crate) async fn start(postgres: &str, work: &Path) -> Result<(Peer, OpenFga)> {
    let program = peer::folder(NAME).await?.join(NAME);
    let database = super::database(postgres, NAME).await?;
    let mut migrate = command(&program);
    migrate.args(["migrate", "--datastore-engine", "postgres", "--log-level", "error", "--datastore-uri", &database]);
    peer::run(migrate, "openfga migrate").await?;
    let (grpc, http) = (free_address()?, free_address()?);
    let mut serve = command(&program);
    let flags = [
        ("datastore-engine", "postgres"),
        ("datastore-uri", &database),
        ("datastore-max-open-conns", "30"),
        ("datastore-max-idle-conns", "30"),
        ("grpc-addr", &grpc.to_string()),
        ("http-addr", &http.to_string()),
        ("playground-enabled", "false"),
        ("metrics-enabled", "false"),
        ("log-level", "error"),
        ("check-query-cache-enabled", "true"),
        ("check-iterator-cache-enabled", "true"),
        ("list-objects-iterator-cache-enabled", "true"),
        ("check-cache-limit", "100000"),
        // A laden machine is no error of the peer.
        ("request-timeout", "30s"),
        ("listObjects-deadline", "30s"),
        // A page: it has no further ones.
        ("listObjects-max-results", "50"),
    ];
    serve.arg("run").args(flags.map(|(flag, value)| format!("--{flag}={value}")));
    let peer = Peer::start(serve, peer::label(NAME)?, &work.join("openfga.log"), grpc).await?;
    let (store, model) = prepare(&Http::quiet(&format!("http://{http}"))).await?;
    let client = super::postgres(&database).await?;
    client.execute(EDGES, &[]).await?;
    client.execute(FILL, &[&store]).await?;
    client.execute("vacuum analyze tuple", &[]).await?;
    Ok((peer, OpenFga { grpc: Grpc::connect(grpc, "").await?, store, model }))
}

/// Makes a store and its model; gives the ids of both.
async fn prepare(http: &Http) -> Result<(String, String)> {
    let store = Call::new("create a store", Method::POST, "/stores").json(&json!({"name": "bench"}));
    let store =
        http.send(store).await?.success("create a store")?["id"].as_str().context("a store has an id")?.to_owned();
    let path = format!("/stores/{store}/authorization-models");
    let model = Call::new("write the model", Method::POST, path).json(&model());
    let model = http.send(model).await?.success("write the model")?;
    Ok((store, model["authorization_model_id"].as_str().context("a model has an id")?.to_owned()))
}

fn model() -> serde_json::Value {
    let ties = ["viewer", "commenter", "editor", "owner"];
    let resource = |name: &str, parent: Option<&str>| {
        let mut relations = serde_json::Map::new();
        let mut types = serde_json::Map::new();
        let mut read: Vec<_> = ties.iter().map(|tie| json!({"computedUserset": {"relation": tie}})).collect();
        for tie in ties {
            relations.insert(tie.to_owned(), json!({"this": {}}));
            let who = json!([{"type": "user"}, {"type": "group", "relation": "member"}]);
            types.insert(tie.to_owned(), json!({"directly_related_user_types": who}));
        }
        if let Some(parent) = parent {
            relations.insert("parent".to_owned(), json!({"this": {}}));
            types.insert("parent".to_owned(), json!({"directly_related_user_types": [{"type": parent}]}));
            let above = json!({"tupleset": {"relation": "parent"}, "computedUserset": {"relation": "read"}});
            read.push(json!({"tupleToUserset": above}));
        }
        relations.insert("read".to_owned(), json!({"union": {"child": read}}));
        json!({"type": name, "relations": relations, "metadata": {"relations": types}})
    };
    let members =
        json!({"member": {"directly_related_user_types": [{"type": "user"}, {"type": "group", "relation": "member"}]}});
    json!({"schema_version": "1.1", "type_definitions": [
        {"type": "user"},
        {"type": "group", "relations": {"member": {"this": {}}}, "metadata": {"relations": members}},
        resource("space", None), resource("folder", Some("space")), resource("page", Some("folder")),
    ]})
}

impl OpenFga {
    /// Whether the user may read the page.
    pub(crate) async fn check(&self, user: usize, page: usize) -> Result<bool> {
        let tuple_key =
            TupleKey { user: format!("user:{user}"), relation: "read".to_owned(), object: format!("page:{page}") };
        let request = CheckRequest {
            store_id: self.store.clone(),
            tuple_key: Some(tuple_key),
            authorization_model_id: self.model.clone(),
        };
        let answer: CheckResponse = self.grpc.call(CHECK, request).await?;
        Ok(answer.allowed)
    }

    /// Some pages that the user may read.
    pub(crate) async fn list(&self, user: usize) -> Result<Vec<String>> {
        let request = ListObjectsRequest {
            store_id: self.store.clone(),
            authorization_model_id: self.model.clone(),
            r#type: "page".to_owned(),
            relation: "read".to_owned(),
            user: format!("user:{user}"),
        };
        let answer: ListObjectsResponse = self.grpc.call(LIST, request).await?;
        Ok(answer.objects.iter().map(|object| object.trim_start_matches("page:").to_owned()).collect())
    }
}
