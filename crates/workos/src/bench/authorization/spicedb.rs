//! SpiceDB: CheckPermission and LookupResources by gRPC, with the caches and the consistency that it has without being told.
use std::path::Path;

use anyhow::Result;

use super::{graph::EDGES, grpc::Grpc};
use crate::bench::{
    peer::{self, Peer, free_address},
    process::command,
};

const NAME: &str = "spicedb";
/// Known to this process and the peer, which listens on this machine alone and ends with the bench.
const KEY: &str = "bench";
const WRITE_SCHEMA: &str = "/authzed.api.v1.SchemaService/WriteSchema";
const CHECK: &str = "/authzed.api.v1.PermissionsService/CheckPermission";
const LOOKUP: &str = "/authzed.api.v1.PermissionsService/LookupResources";
/// `PERMISSIONSHIP_HAS_PERMISSION`.
const HAS_PERMISSION: i32 = 2;

const SCHEMA: &str = "\
definition user {}
definition group {
  relation member: user | group#member
}
definition space {
  relation viewer: user | group#member
  relation commenter: user | group#member
  relation editor: user | group#member
  relation owner: user | group#member
  permission read = viewer + commenter + editor + owner
}
definition folder {
  relation parent: space
  relation viewer: user | group#member
  relation commenter: user | group#member
  relation editor: user | group#member
  relation owner: user | group#member
  permission read = viewer + commenter + editor + owner + parent->read
}
definition page {
  relation parent: folder
  relation viewer: user | group#member
  relation commenter: user | group#member
  relation editor: user | group#member
  relation owner: user | group#member
  permission read = viewer + commenter + editor + owner + parent->read
}";

/// The rows in the shape that writes leave, in one transaction with the note of it.
const FILL: &str = "insert into relation_tuple_transaction default values; \
     insert into relation_tuple (namespace, object_id, relation, userset_namespace, userset_object_id, userset_relation, created_xid) \
     select kind, number::text, tie, subject_kind, subject::text, case subject_kind when 'group' then 'member' else '...' end, pg_current_xact_id() \
     from edge";

#[derive(Clone, PartialEq, prost::Message)]
struct Object {
    #[prost(string, tag = "1")]
    object_type: String,
    #[prost(string, tag = "2")]
    object_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Subject {
    #[prost(message, optional, tag = "1")]
    object: Option<Object>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WriteSchemaRequest {
    #[prost(string, tag = "1")]
    schema: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WriteSchemaResponse {}

#[derive(Clone, PartialEq, prost::Message)]
struct CheckRequest {
    #[prost(message, optional, tag = "2")]
    resource: Option<Object>,
    #[prost(string, tag = "3")]
    permission: String,
    #[prost(message, optional, tag = "4")]
    subject: Option<Subject>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CheckResponse {
    #[prost(int32, tag = "2")]
    permissionship: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LookupRequest {
    #[prost(string, tag = "2")]
    resource_object_type: String,
    #[prost(string, tag = "3")]
    permission: String,
    #[prost(message, optional, tag = "4")]
    subject: Option<Subject>,
    #[prost(uint32, tag = "6")]
    optional_limit: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LookupResponse {
    #[prost(string, tag = "2")]
    resource_object_id: String,
}

/// A client of one with the graph in it.
pub(crate) struct SpiceDb {
    grpc: Grpc,
}

/// Starts one on a database of its own in this PostgreSQL, fills it, and connects.
pub(crate) async fn start(postgres: &str, work: &Path) -> Result<(Peer, SpiceDb)> {
    let program = peer::folder(NAME).await?.join(NAME);
    let database = super::database(postgres, NAME).await?;
    let datastore = ["--datastore-engine=postgres".to_owned(), format!("--datastore-conn-uri={database}")];
    let mut migrate = command(&program);
    migrate.args(["datastore", "migrate", "head", "--log-level=error", "--skip-release-check"]).args(&datastore);
    peer::run(migrate, "spicedb datastore migrate").await?;
    let address = free_address()?;
    let mut serve = command(&program);
    serve.arg("serve").args(&datastore).arg(format!("--grpc-addr={address}")).args([
        "--grpc-preshared-key=bench",
        "--log-level=error",
        "--skip-release-check",
        "--telemetry-endpoint=",
        "--metrics-enabled=false",
        "--datastore-conn-pool-read-max-open=30",
        // Every half minute it would end our one connection, in the midst of calls.
        "--grpc-max-conn-age=24h",
    ]);
    let peer = Peer::start(serve, peer::label(NAME)?, &work.join("spicedb.log"), address).await?;
    let grpc = Grpc::connect(address, KEY).await?;
    let schema = WriteSchemaRequest { schema: SCHEMA.to_owned() };
    let WriteSchemaResponse {} = grpc.call(WRITE_SCHEMA, schema).await?;
    let client = super::postgres(&database).await?;
    client.execute(EDGES, &[]).await?;
    client.batch_execute(FILL).await?;
    client.execute("vacuum analyze relation_tuple", &[]).await?;
    Ok((peer, SpiceDb { grpc }))
}

fn subject(user: usize) -> Option<Subject> {
    Some(Subject { object: Some(Object { object_type: "user".to_owned(), object_id: user.to_string() }) })
}

impl SpiceDb {
    /// Whether the user may read the page.
    pub(crate) async fn check(&self, user: usize, page: usize) -> Result<bool> {
        let resource = Some(Object { object_type: "page".to_owned(), object_id: page.to_string() });
        let request = CheckRequest { resource, permission: "read".to_owned(), subject: subject(user) };
        let answer: CheckResponse = self.grpc.call(CHECK, request).await?;
        Ok(answer.permissionship == HAS_PERMISSION)
    }

    /// The first pages of those that the user may read.
    pub(crate) async fn list(&self, user: usize, most: usize) -> Result<Vec<String>> {
        let request = LookupRequest {
            resource_object_type: "page".to_owned(),
            permission: "read".to_owned(),
            subject: subject(user),
            optional_limit: u32::try_from(most)?,
        };
        let answers: Vec<LookupResponse> = self.grpc.read(LOOKUP, request).await?;
        Ok(answers.into_iter().map(|answer| answer.resource_object_id).collect())
    }
}
