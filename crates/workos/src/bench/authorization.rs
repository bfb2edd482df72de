//! `bench auth`: Check and ListResources over the edge, on a million relations with three levels of inheritance.
//!
//! The relations are put into the database at once, in the shape that writes would have given them; everything measured goes through
//! gateway, mesh and service as any client's calls do.
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use api::Id;
use proto::auth::v1::{CheckRequest, ListResourcesRequest, authorization_service_client::AuthorizationServiceClient};
use tonic::{Request, metadata::MetadataValue, transport::Channel};

use super::{load::Run, process::Measured, row::Row};
use crate::{
    demo::{
        http::Http,
        people::{self, SignedIn},
    },
    running, terminal,
};

/// Users without a role, and groups in three levels.
const USERS: usize = 20_000;
const GROUPS: usize = 1000;
/// Pages lie in 10,000 folders, folders in 100 spaces.
const PAGES: usize = 480_000;

/// Fills the organization $1: users $2, groups $3.
const FILL: [&str; 13] = [
    "create temp table u (n int, id uuid)",
    "create temp table g (n int, id uuid)",
    "insert into u select n, id from unnest($2::uuid[]) with ordinality t(id, n)",
    "insert into g select n, id from unnest($3::uuid[]) with ordinality t(id, n)",
    "insert into auth.users (user_id, email, email_key, display_name, managing_organization_id, create_time, update_time) \
     select id, 'u' || n || '@example.com', 'u' || n || '@example.com', 'u', $1::uuid, now(), now() from u",
    "insert into auth.memberships (organization_id, membership_id, user_id, state, create_time, update_time) \
     select $1::uuid, id, id, 1, now(), now() from u",
    "insert into auth.groups (organization_id, group_id, display_name, create_time, update_time) select $1::uuid, id, 'g', now(), now() from g",
    "insert into auth.group_members select $1::uuid, o.id, '\\x02'::bytea || uuid_send(i.id) from g i join g o on o.n = case \
     when i.n <= 900 then 900 + i.n % 90 + 1 when i.n <= 990 then 990 + i.n % 10 + 1 end",
    "insert into auth.group_members select $1::uuid, g.id, '\\x01'::bytea || uuid_send(u.id) from u join g on g.n in (u.n % 900 + 1, u.n * 7 % 900 + 1)",
    "insert into auth.relation_objects (organization_id, object) \
     select $1::uuid, 'objectTypes/space/objects/s' || n from generate_series(1, 100) n union all \
     select $1::uuid, 'objectTypes/folder/objects/f' || n from generate_series(1, 10000) n union all \
     select $1::uuid, 'objectTypes/page/objects/p' || n from generate_series(1, 480000) n",
    "insert into auth.relation_parents (organization_id, object, parent, most) \
     select $1::uuid, 'objectTypes/folder/objects/f' || n, 'objectTypes/space/objects/s' || n % 100 + 1, 4 from generate_series(1, 10000) n union all \
     select $1::uuid, 'objectTypes/page/objects/p' || n, 'objectTypes/folder/objects/f' || n % 10000 + 1, 4 from generate_series(1, 480000) n",
    "insert into auth.relations (organization_id, object, subject, relation) \
     select $1::uuid, 'objectTypes/page/objects/p' || n, '\\x01'::bytea || uuid_send(u.id), n % 4 + 1 from generate_series(1, 480000) n join u on u.n = n * 13 % 20000 + 1 union all \
     select $1::uuid, 'objectTypes/folder/objects/f' || n, '\\x02'::bytea || uuid_send(g.id), n % 4 + 1 from generate_series(1, 10000) n join g on g.n = n % 900 + 1 union all \
     select $1::uuid, 'objectTypes/folder/objects/f' || n, '\\x01'::bytea || uuid_send(u.id), n % 4 + 1 from generate_series(1, 10000) n join u on u.n = n * 3 % 20000 + 1 union all \
     select $1::uuid, 'objectTypes/space/objects/s' || n, '\\x02'::bytea || uuid_send(g.id), 1 from generate_series(1, 100) n join g on g.n = 990 + n % 10 + 1",
    "analyze auth.memberships, auth.group_members, auth.relation_objects, auth.relation_parents, auth.relations",
];

/// Measures everything.
pub(super) async fn measure(calls: usize) -> Result<Vec<Row>> {
    let platform = Measured::start(&running::root().join("tools")).await?;
    let mut rows = Vec::new();
    let measured = work(&platform, calls, &mut rows).await;
    platform.stop().await?;
    measured.map(|()| rows)
}

async fn work(platform: &Measured, calls: usize, rows: &mut Vec<Row>) -> Result<()> {
    let http = Http::quiet(&platform.place.gateway);
    let config = running::config_of(&platform.root())?;
    let cast =
        people::gather(&http, &platform.root().join("demo.json"), async || crate::bootstrap::new_code(&config).await)
            .await?;
    let organization = cast.organization();
    let owner = SignedIn::begin(&http, &cast.people[0], &organization).await?;
    let users: Vec<Id> = (0..USERS).map(|number| Id::derive(Id::ZERO, format!("user {number}").as_bytes())).collect();
    let relations =
        fill(platform, cast.organization.parse().context("the organization's id is damaged")?, &users).await?;
    rows.push(Row::of("relations", "", relations as f64, None, ""));
    let client = Asker::connect(&platform.place.gateway, &owner.token().await?, organization, users).await?;
    measured(platform, calls, rows, ("Check", 1.0), |index| client.check(index)).await?;
    let pages = (calls / 10).max(100);
    measured(platform, pages, rows, ("ListResources, page of 50", 10.0), |index| client.list(index)).await
}

async fn fill(platform: &Measured, organization: Id, users: &[Id]) -> Result<i64> {
    terminal::note("writing a million relations");
    let url =
        engines::Addresses::of_running(&platform.root()).context("the platform's engines are not on record")?.postgres;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    #[expect(clippy::disallowed_methods, reason = "the connection's driver ends with its client")]
    tokio::spawn(connection);
    let groups: Vec<uuid::Uuid> =
        (0..GROUPS).map(|number| Id::derive(Id::ZERO, format!("group {number}").as_bytes()).uuid()).collect();
    let users: Vec<uuid::Uuid> = users.iter().map(|user| user.uuid()).collect();
    let organization = organization.uuid();
    for sql in FILL {
        let parameters: &[&(dyn tokio_postgres::types::ToSql + Sync)] = match sql {
            sql if sql.contains("$2::") => &[&users],
            sql if sql.contains("$3::") => &[&groups],
            sql if sql.contains("$1") => &[&organization],
            _ => &[],
        };
        client
            .execute(&sql.replace("$2", "$1").replace("$3", "$1"), parameters)
            .await
            .with_context(|| sql.to_owned())?;
    }
    let sql = "select (select count(*) from auth.relations) + (select count(*) from auth.relation_parents)";
    Ok(client.query_one(sql, &[]).await?.try_get(0)?)
}

/// One caller after the other for the latency, then many for throughput and CPU time.
async fn measured<F: Future<Output = Result<()>>>(
    platform: &Measured,
    calls: usize,
    rows: &mut Vec<Row>,
    (name, goal): (&str, f64),
    call: impl Fn(usize) -> F,
) -> Result<()> {
    terminal::note(name);
    for index in 0..calls / 10 {
        call(index).await?;
    }
    let mut alone = Vec::with_capacity(calls);
    for index in 0..calls {
        let begin = Instant::now();
        call(index).await?;
        alone.push(begin.elapsed());
    }
    alone.sort_unstable();
    let share = |part: f64| alone.get((calls as f64 * part) as usize).map_or(0.0, Duration::as_secs_f64) * 1000.0;
    let p50 = share(0.5);
    rows.push(
        Row::of(&format!("{name}: p50, one caller"), "ms", p50, None, "")
            .goal(format!("at most {goal} ms"), Some(p50 <= goal)),
    );
    rows.push(Row::of(&format!("{name}: p99, one caller"), "ms", share(0.99), None, ""));
    let before = platform.cpu()?;
    let run = Run::of(calls, &call).await?;
    let cpu = (platform.cpu()? - before) * 1e6 / calls as f64;
    rows.push(Row::of(&format!("{name}: CPU of the platform per call, engines aside"), "us", cpu, None, ""));
    rows.push(Row::of(&format!("{name}: calls, sixteen callers"), "per s", run.rate(), None, ""));
    Ok(())
}

/// Asks about the users, one after the other.
struct Asker {
    client: AuthorizationServiceClient<Channel>,
    bearer: MetadataValue<tonic::metadata::Ascii>,
    organization: String,
    users: Vec<Id>,
}

impl Asker {
    async fn connect(gateway: &str, token: &str, organization: String, users: Vec<Id>) -> Result<Self> {
        let client = AuthorizationServiceClient::connect(gateway.to_owned()).await?;
        Ok(Self { client, bearer: format!("Bearer {token}").parse()?, organization, users })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }

    fn user(&self, index: usize) -> String {
        format!("users/{}", self.users[index * 7919 % self.users.len()])
    }

    async fn check(&self, index: usize) -> Result<()> {
        let page = index * 104_729 % PAGES + 1;
        let request = CheckRequest {
            parent: self.organization.clone(),
            subject: self.user(index),
            permission: "object:read".to_owned(),
            resource: format!("{}/objectTypes/page/objects/p{page}", self.organization),
            at_least: String::new(),
        };
        self.client.clone().check(self.request(request)).await?;
        Ok(())
    }

    async fn list(&self, index: usize) -> Result<()> {
        let request = ListResourcesRequest {
            parent: self.organization.clone(),
            subject: self.user(index),
            permission: "object:read".to_owned(),
            r#type: "objectTypes/page/objects".to_owned(),
            page_size: 50,
            page_token: String::new(),
            at_least: String::new(),
        };
        let page = self.client.clone().list_resources(self.request(request)).await?.into_inner();
        anyhow::ensure!(page.resources.len() == 50, "every user reaches more than a page");
        Ok(())
    }
}
