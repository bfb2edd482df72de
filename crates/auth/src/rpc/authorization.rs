//! `AuthorizationService`.
use api::{Caller, OrganizationId, UserId, from_timestamp, timestamp};
use mesh::{Reply, caller, reply};
use proto::auth::v1::{
    self as wire, authorization_service_server::AuthorizationService, relation::Kind,
    write_relations_request::update::Action,
};
use tonic::Request;

use super::{Rpc, oneself, organization_id, page};
use crate::{
    error::Error,
    model::{
        AtLeast, GroupName, Object, Permissions, Precondition, Question, Relation, ServiceAccountName, Share, Standing,
        Subject, Tie, Update, Wanted, collection, relation_limit,
    },
    service::{Explanation, Filter, Listing, Once},
};

#[tonic::async_trait]
impl AuthorizationService for Rpc {
    async fn check(&self, request: Request<wire::CheckRequest>) -> Reply<wire::CheckResponse> {
        let (caller, request) = caller(request)?;
        let answer = async {
            let organization = organization_id("parent", &request.parent)?;
            let at_least = AtLeast::parse(&request.at_least, organization)?;
            let question = question(&caller, organization, (&request.subject, &request.permission, &request.resource))?;
            self.auth.check(&caller, organization, &[question], &at_least).await
        };
        reply(answer.await.map(|(allowed, consistency_token)| wire::CheckResponse {
            allowed: allowed.first().copied().unwrap_or_default(),
            consistency_token,
        }))
    }

    async fn batch_check(&self, request: Request<wire::BatchCheckRequest>) -> Reply<wire::BatchCheckResponse> {
        let (caller, request) = caller(request)?;
        let answer = async {
            let organization = organization_id("parent", &request.parent)?;
            let at_least = AtLeast::parse(&request.at_least, organization)?;
            bounded("items", request.items.len(), 1)?;
            let ask = |item: &wire::batch_check_request::Item| {
                question(&caller, organization, (&item.subject, &item.permission, &item.resource))
            };
            let questions = request.items.iter().map(ask).collect::<Result<Vec<_>, _>>()?;
            self.auth.check(&caller, organization, &questions, &at_least).await
        };
        let item = |allowed| wire::batch_check_response::Item { allowed };
        reply(answer.await.map(|(allowed, consistency_token)| wire::BatchCheckResponse {
            items: allowed.into_iter().map(item).collect(),
            consistency_token,
        }))
    }

    async fn list_resources(&self, request: Request<wire::ListResourcesRequest>) -> Reply<wire::ListResourcesResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token.clone());
        let found = async {
            let (listing, at_least) = listing(&caller, &request)?;
            self.auth.list_resources(&caller, &listing, &page, &at_least).await
        };
        reply(found.await.map(|(objects, next_page_token)| wire::ListResourcesResponse {
            resources: objects.iter().map(Object::name).collect(),
            next_page_token,
        }))
    }

    async fn explain(&self, request: Request<wire::ExplainRequest>) -> Reply<wire::ExplainResponse> {
        let (caller, request) = caller(request)?;
        let found = async {
            let organization = organization_id("parent", &request.parent)?;
            let at_least = AtLeast::parse(&request.at_least, organization)?;
            let question = question(&caller, organization, (&request.subject, &request.permission, &request.resource))?;
            let found = self.auth.explain(&caller, organization, &question, &at_least).await?;
            Ok::<_, Error>(render_explanation(found, &question))
        };
        reply(found.await)
    }

    async fn list_subjects(&self, request: Request<wire::ListSubjectsRequest>) -> Reply<wire::ListSubjectsResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async {
            let organization = organization_id("parent", &request.parent)?;
            let at_least = AtLeast::parse(&request.at_least, organization)?;
            let object = Object::parse("resource", &request.resource, organization)?;
            let wanted = Wanted::parse(&request.permission, object.is_own())?;
            self.auth.list_subjects(&caller, (&object, wanted, &request.permission), &page, &at_least).await
        };
        reply(found.await.map(|(users, next_page_token)| wire::ListSubjectsResponse {
            subjects: users.into_iter().map(UserId::name).collect(),
            next_page_token,
        }))
    }

    async fn read_relations(&self, request: Request<wire::ReadRelationsRequest>) -> Reply<wire::ReadRelationsResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token.clone());
        let found = async {
            let organization = organization_id("parent", &request.parent)?;
            let filter = filter(&request, organization)?;
            self.auth.read_relations(&caller, organization, &filter, &page).await
        };
        reply(found.await.map(|(relations, next_page_token)| wire::ReadRelationsResponse {
            relations: relations.into_iter().map(render_relation).collect(),
            next_page_token,
        }))
    }

    async fn write_relations(
        &self,
        request: Request<wire::WriteRelationsRequest>,
    ) -> Reply<wire::WriteRelationsResponse> {
        let (caller, request) = caller(request)?;
        let once = Once::new(&caller, &request.request_id, &request);
        let written = async {
            let organization = organization_id("parent", &request.parent)?;
            let (updates, preconditions) = changes(&request, organization)?;
            self.auth.write_relations(&caller, organization, &updates, &preconditions, &once).await
        };
        reply(written.await.map(|consistency_token| wire::WriteRelationsResponse { consistency_token }))
    }
}

/// A question as the request writes it: subject, permission, resource.
fn question(
    caller: &Caller,
    organization: OrganizationId,
    (subject, permission, resource): (&str, &str, &str),
) -> Result<Question, Error> {
    let object = Object::parse("resource", resource, organization)?;
    let wanted = Wanted::parse(permission, object.is_own())?;
    Ok(Question { user: user(caller, organization, subject)?, wanted, object })
}

fn user(caller: &Caller, organization: OrganizationId, subject: &str) -> Result<UserId, Error> {
    match ServiceAccountName::parse(subject) {
        Ok(name) if name.organization == organization => Ok(UserId(name.account)),
        _ => oneself(caller, "subject", if subject.is_empty() { "users/me" } else { subject }),
    }
}

fn listing(caller: &Caller, request: &wire::ListResourcesRequest) -> Result<(Listing, AtLeast), Error> {
    let organization = organization_id("parent", &request.parent)?;
    let at_least = AtLeast::parse(&request.at_least, organization)?;
    let collection = collection("type", &request.r#type)?;
    let wanted = Wanted::parse(&request.permission, collection.starts_with("objectTypes/"))?;
    let (user, permission) = (user(caller, organization, &request.subject)?, request.permission.clone());
    Ok((Listing { organization, user, wanted, permission, collection }, at_least))
}

fn filter(request: &wire::ReadRelationsRequest, organization: OrganizationId) -> Result<Filter, Error> {
    let object = || Object::parse("resource", &request.resource, organization);
    let subject = || Subject::parse("subject", &request.subject, organization);
    match (request.resource.is_empty(), request.subject.is_empty()) {
        (false, true) => Ok(Filter::Object(object()?)),
        (true, false) => Ok(Filter::Subject(subject()?)),
        (false, false) => Ok(Filter::Both(object()?, subject()?)),
        (true, true) => Err(api::Error::invalid_field("resource", "is missing; send it, `subject` or both").into()),
    }
}

fn changes(
    request: &wire::WriteRelationsRequest,
    organization: OrganizationId,
) -> Result<(Vec<Update>, Vec<Precondition>), Error> {
    bounded("updates", request.updates.len(), 1)?;
    bounded("preconditions", request.preconditions.len(), 0)?;
    let update = |update: &wire::write_relations_request::Update| {
        let write = match Action::try_from(update.action) {
            Ok(Action::Write) => true,
            Ok(Action::Delete) => false,
            Ok(Action::Unspecified) | Err(_) => {
                return Err(api::Error::invalid_field("updates.action", "must be WRITE or DELETE").into());
            }
        };
        Ok::<_, Error>(Update { write, relation: relation("updates.relation", &update.relation, organization)? })
    };
    let precondition = |sent: &wire::write_relations_request::Precondition| {
        let relation = relation("preconditions.relation", &sent.relation, organization)?;
        Ok::<_, Error>(Precondition { relation, absent: sent.absent })
    };
    let updates = request.updates.iter().map(update).collect::<Result<_, _>>()?;
    Ok((updates, request.preconditions.iter().map(precondition).collect::<Result<_, _>>()?))
}

fn bounded(field: &str, count: usize, least: usize) -> Result<(), Error> {
    if (least..=relation_limit::PER_REQUEST).contains(&count) {
        return Ok(());
    }
    let problem = format!("must be {least} to {}; send several requests", relation_limit::PER_REQUEST);
    Err(api::Error::invalid_field(field, problem).into())
}

fn relation(field: &str, sent: &Option<wire::Relation>, organization: OrganizationId) -> Result<Relation, Error> {
    let sent = sent.clone().unwrap_or_default();
    let object = Object::parse(&format!("{field}.resource"), &sent.resource, organization)?;
    let subject_field = format!("{field}.subject");
    let held = |share| Subject::parse(&subject_field, &sent.subject, organization).map(|held| Tie::Held(held, share));
    let tie = match sent.kind() {
        Kind::Viewer => held(Share::Reader)?,
        Kind::Commenter => held(Share::Commenter)?,
        Kind::Editor => held(Share::Writer)?,
        Kind::Owner => held(Share::Keeper)?,
        Kind::Parent => Tie::Parent(Object::parse(&subject_field, &sent.subject, organization)?),
        Kind::Unspecified => {
            let problem = "must be VIEWER, COMMENTER, EDITOR, OWNER or PARENT";
            return Err(api::Error::invalid_field(&format!("{field}.kind"), problem).into());
        }
    };
    let end_field = format!("{field}.expire_time");
    let expire_time = match &sent.expire_time {
        None => None,
        Some(_) if matches!(tie, Tie::Parent(_)) => {
            return Err(api::Error::invalid_field(&end_field, "cannot be given for PARENT; delete it then").into());
        }
        Some(time) => {
            let time = from_timestamp(time);
            Some(time.ok_or_else(|| api::Error::invalid_field(&end_field, "is no time of the years 1 to 9999"))?)
        }
    };
    Ok(Relation { object, tie, expire_time })
}

fn kind(share: Share) -> Kind {
    match share {
        Share::Unspecified => Kind::Unspecified,
        Share::Reader => Kind::Viewer,
        Share::Commenter => Kind::Commenter,
        Share::Writer => Kind::Editor,
        Share::Keeper => Kind::Owner,
    }
}

fn render_relation(relation: Relation) -> wire::Relation {
    let organization = relation.object.organization;
    let (kind, subject) = match &relation.tie {
        Tie::Held(subject, share) => (kind(*share), subject.name(organization)),
        Tie::Parent(parent) => (Kind::Parent, parent.name()),
    };
    let expire_time = relation.expire_time.map(timestamp);
    wire::Relation { resource: relation.object.name(), kind: kind.into(), subject, expire_time }
}

fn render_explanation(found: Explanation, question: &Question) -> wire::ExplainResponse {
    let (organization, wanted) = (question.object.organization, question.wanted);
    let standing = &found.standing;
    let allowed = standing.allows(wanted, organization);
    let built_in = Standing { permissions: Permissions::default(), held: None, ..standing.clone() };
    let by_built_in = built_in.by_role(wanted, organization);
    let role = match standing.role {
        _ if !by_built_in => "",
        Some(role) => role.text(),
        None => "member",
    };
    let held = standing.held.as_ref().filter(|_| standing.by_relation(wanted));
    let relation = held.map(|held| Relation {
        object: Object::restore(organization, held.way.last().cloned().unwrap_or_default()),
        tie: Tie::Held(held.subject, held.given),
        expire_time: held.end,
    });
    let way = held.map(|held| held.way.clone()).unwrap_or_default();
    let lacks = !allowed;
    wire::ExplainResponse {
        allowed,
        role: role.to_owned(),
        custom_roles: found.custom_roles.iter().map(ToString::to_string).collect(),
        relation: relation.map(render_relation),
        inherited_over: way.into_iter().map(|path| Object::restore(organization, path).name()).collect(),
        groups: found.groups.into_iter().map(|group| GroupName { organization, group }.to_string()).collect(),
        no_member: lacks && !standing.member,
        missing_role: if lacks { wanted.least_role().into() } else { 0 },
        missing_share: if lacks { wanted.share().unwrap_or_default().into() } else { 0 },
        consistency_token: found.token,
    }
}
