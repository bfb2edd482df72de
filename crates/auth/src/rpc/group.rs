//! `GroupService`.
use api::{Caller, Etag, Mask, timestamp};
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, group_service_server::GroupService};
use tonic::Request;

use super::{Rpc, chosen_id, organization_id, page};
use crate::{
    error::Error,
    model::{DisplayName, Group, GroupName},
    service::Once,
};

#[tonic::async_trait]
impl GroupService for Rpc {
    async fn create_group(&self, request: Request<wire::CreateGroupRequest>) -> Reply<wire::Group> {
        let (caller, request) = caller(request)?;
        let once = Once::new(&caller, &request.request_id, &request);
        let made = async {
            let organization = organization_id("parent", &request.parent)?;
            let id = chosen_id("group_id", &request.group_id)?;
            let sent = request.group.unwrap_or_default();
            let name = DisplayName::parse("group.display_name", &sent.display_name)?;
            self.auth.create_group(&caller, organization, id, name, &once).await
        };
        reply(made.await.map(render))
    }

    async fn get_group(&self, request: Request<wire::GetGroupRequest>) -> Reply<wire::Group> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.group(&caller, GroupName::parse_field("name", &request.name)?).await };
        reply(found.await.map(render))
    }

    async fn list_groups(&self, request: Request<wire::ListGroupsRequest>) -> Reply<wire::ListGroupsResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async { self.auth.groups(&caller, organization_id("parent", &request.parent)?, &page).await };
        reply(found.await.map(|(groups, next_page_token)| wire::ListGroupsResponse {
            groups: groups.into_iter().map(render).collect(),
            next_page_token,
        }))
    }

    async fn update_group(&self, request: Request<wire::UpdateGroupRequest>) -> Reply<wire::Group> {
        let (caller, request) = caller(request)?;
        reply(self.rename_group(&caller, &request).await)
    }

    async fn delete_group(&self, request: Request<wire::DeleteGroupRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let once = Once::new(&caller, &request.request_id, &request);
        let done = async {
            let name = GroupName::parse_field("name", &request.name)?;
            self.auth.delete_group(&caller, name, &request.etag, &once).await
        };
        reply(done.await)
    }

    async fn list_group_members(
        &self,
        request: Request<wire::ListGroupMembersRequest>,
    ) -> Reply<wire::ListGroupMembersResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async {
            let name = GroupName::parse_field("parent", &request.parent)?;
            let (members, next_page_token) = self.auth.group_members(&caller, name, &page).await?;
            let members = members.into_iter().map(|member| Group::member_name(member, name.organization)).collect();
            Ok::<_, Error>(wire::ListGroupMembersResponse { members, next_page_token })
        };
        reply(found.await)
    }

    async fn add_group_members(&self, request: Request<wire::AddGroupMembersRequest>) -> Reply<wire::Group> {
        let (caller, request) = caller(request)?;
        let once = Once::new(&caller, &request.request_id, &request);
        let changed = async {
            let name = GroupName::parse_field("name", &request.name)?;
            let members = Group::members("members", &request.members, name.organization)?;
            self.auth.add_group_members(&caller, name, &members, &once).await
        };
        reply(changed.await.map(render))
    }

    async fn remove_group_members(&self, request: Request<wire::RemoveGroupMembersRequest>) -> Reply<wire::Group> {
        let (caller, request) = caller(request)?;
        let once = Once::new(&caller, &request.request_id, &request);
        let changed = async {
            let name = GroupName::parse_field("name", &request.name)?;
            let members = Group::members("members", &request.members, name.organization)?;
            self.auth.remove_group_members(&caller, name, &members, &once).await
        };
        reply(changed.await.map(render))
    }
}

impl Rpc {
    async fn rename_group(&self, caller: &Caller, request: &wire::UpdateGroupRequest) -> Result<wire::Group, Error> {
        let once = Once::new(caller, &request.request_id, request);
        let sent = request.group.clone().unwrap_or_default();
        let name = GroupName::parse_field("group.name", &sent.name)?;
        let populated: &[&str] = if sent.display_name.is_empty() { &[] } else { &["display_name"] };
        let ignored = ["name", "etag", "create_time", "update_time"];
        let mask = Mask::parse(request.update_mask.as_ref(), &["display_name"], &ignored, populated)?;
        let display_name =
            mask.has("display_name").then(|| DisplayName::parse("group.display_name", &sent.display_name));
        Ok(render(self.auth.update_group(caller, name, &sent.etag, display_name.transpose()?, &once).await?))
    }
}

fn render(group: Group) -> wire::Group {
    wire::Group {
        name: group.name().to_string(),
        display_name: group.display_name,
        etag: Etag::of_version(group.version),
        create_time: Some(timestamp(group.create_time)),
        update_time: Some(timestamp(group.update_time)),
    }
}
