//! Our side: the edge, by gRPC, as any client calls it. The caller is the owner, who may ask about everybody.
use anyhow::{Context, Result};
use api::Id;
use proto::auth::v1::{CheckRequest, ListResourcesRequest, authorization_service_client::AuthorizationServiceClient};
use tonic::{Request, transport::Channel};

use super::graph::{EDGES, GROUPS, USERS};
use crate::demo::people::SignedIn;

/// The rows as writes would have left them, in the organization $1; users $2, groups $3. The users have the password of the user $4.
const FILL: [&str; 14] = [
    EDGES,
    "create temp table u as select n::int as n, id, '\\x01'::bytea || uuid_send(id) as key from unnest($2::uuid[]) with ordinality t(id, n)",
    "create temp table g as select n::int as n, id, '\\x02'::bytea || uuid_send(id) as key from unnest($3::uuid[]) with ordinality t(id, n)",
    "create temp table subject as select 'user' as kind, n, key from u union all select 'group', n, key from g",
    "insert into auth.users (user_id, email, email_key, display_name, managing_organization_id, create_time, update_time) \
     select id, 'u' || n || '@example.com', 'u' || n || '@example.com', 'u', $1::uuid, now(), now() from u",
    "insert into auth.passwords (user_id, hash, update_time) select u.id, p.hash, now() from u, auth.passwords p where p.user_id = $4::uuid",
    "insert into auth.memberships (organization_id, membership_id, user_id, state, create_time, update_time) \
     select $1::uuid, id, id, 1, now(), now() from u",
    "insert into auth.groups (organization_id, group_id, display_name, create_time, update_time) select $1::uuid, id, 'g', now(), now() from g",
    "insert into auth.group_members (organization_id, group_id, member) select $1::uuid, g.id, s.key from edge e join g on g.n = e.number \
     join subject s on s.kind = e.subject_kind and s.n = e.subject where e.kind = 'group'",
    "insert into auth.relation_objects (organization_id, object, height) \
     select $1::uuid, 'objectTypes/space/objects/s' || n, 2 from generate_series(1, 100) n union all \
     select $1::uuid, 'objectTypes/folder/objects/f' || n, 1 from generate_series(1, 10000) n union all \
     select $1::uuid, 'objectTypes/page/objects/p' || n, 0 from generate_series(1, 480000) n",
    "insert into auth.relation_parents (organization_id, object, parent, most) select $1::uuid, \
       'objectTypes/' || kind || '/objects/' || left(kind, 1) || number, \
       'objectTypes/' || subject_kind || '/objects/' || left(subject_kind, 1) || subject, 4 from edge where tie = 'parent'",
    "insert into auth.relations (organization_id, object, subject, relation) select $1::uuid, \
       'objectTypes/' || e.kind || '/objects/' || left(e.kind, 1) || e.number, s.key, array_position(array['viewer', 'commenter', 'editor', 'owner'], e.tie) \
     from edge e join subject s on s.kind = e.subject_kind and s.n = e.subject where e.tie not in ('member', 'parent')",
    "insert into auth.relation_heads as h (organization_id, revision) values ($1::uuid, 1) \
     on conflict (organization_id) do update set revision = h.revision + 1",
    "vacuum analyze auth.users, auth.memberships, auth.group_members, auth.relation_objects, auth.relation_parents, auth.relations",
];

/// Who of our side is who: ids made of the numbers of the graph.
fn ids(count: usize, kind: &str) -> Vec<Id> {
    (1..=count).map(|number| Id::derive(Id::ZERO, format!("{kind} {number}").as_bytes())).collect()
}

/// Writes the rows; gives how many relations there are.
pub(crate) async fn fill(url: &str, organization: Id, owner: Id) -> Result<i64> {
    let client = super::postgres(url).await?;
    let uuids = |ids: Vec<Id>| ids.iter().map(|id| id.uuid()).collect::<Vec<_>>();
    let (users, groups) = (uuids(ids(USERS, "user")), uuids(ids(GROUPS, "group")));
    let (organization, owner) = (organization.uuid(), owner.uuid());
    let named: [(&str, &(dyn tokio_postgres::types::ToSql + Sync)); 4] =
        [("$1::", &organization), ("$2::", &users), ("$3::", &groups), ("$4::", &owner)];
    for sql in FILL {
        // Each statement has one of them, which is its first.
        let given = named.iter().find(|(name, _)| sql.contains(name));
        let text = given.map_or_else(|| sql.to_owned(), |(name, _)| sql.replace(name, "$1::"));
        let parameters: Vec<_> = given.iter().map(|(_, value)| *value).collect();
        client.execute(&text, &parameters).await.with_context(|| sql.to_owned())?;
    }
    let sql = "select (select count(*) from auth.relations) + (select count(*) from auth.relation_parents) + \
         (select count(*) from auth.group_members)";
    Ok(client.query_one(sql, &[]).await?.try_get(0)?)
}

/// A client of the edge.
pub(crate) struct Ours<'a> {
    client: AuthorizationServiceClient<Channel>,
    owner: SignedIn<'a>,
    organization: String,
    users: Vec<Id>,
}

impl<'a> Ours<'a> {
    /// Connects as the owner.
    pub(crate) async fn connect(gateway: &str, owner: SignedIn<'a>, organization: String) -> Result<Self> {
        let client = AuthorizationServiceClient::connect(gateway.to_owned()).await?;
        Ok(Self { client, owner, organization, users: ids(USERS, "user") })
    }

    async fn request<T>(&self, message: T) -> Result<Request<T>> {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", self.owner.token().await?).parse()?;
        request.metadata_mut().insert("authorization", bearer);
        Ok(request)
    }

    /// Whether the user may read the page.
    pub(crate) async fn check(&self, user: usize, page: usize) -> Result<bool> {
        let request = CheckRequest {
            parent: self.organization.clone(),
            subject: format!("users/{}", self.users[user - 1]),
            permission: "object:read".to_owned(),
            resource: format!("{}/objectTypes/page/objects/p{page}", self.organization),
            at_least: String::new(),
        };
        Ok(self.client.clone().check(self.request(request).await?).await?.into_inner().allowed)
    }

    /// The first pages of those that the user may read.
    pub(crate) async fn list(&self, user: usize, most: usize) -> Result<Vec<String>> {
        let request = ListResourcesRequest {
            parent: self.organization.clone(),
            subject: format!("users/{}", self.users[user - 1]),
            permission: "object:read".to_owned(),
            r#type: "objectTypes/page/objects".to_owned(),
            page_size: i32::try_from(most)?,
            page_token: String::new(),
            at_least: String::new(),
        };
        let page = self.client.clone().list_resources(self.request(request).await?).await?.into_inner();
        let number = |name: &String| name.rsplit_once("/p").map(|(_, number)| number.to_owned());
        page.resources.iter().map(number).collect::<Option<_>>().context("a resource that is no page")
    }
}
