//! `RoleService`.
use api::{Caller, Etag, Mask, Page, timestamp};
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, role_service_server::RoleService};
use tonic::Request;

use super::{Rpc, chosen_id, organization_id, page};
use crate::{
    error::Error,
    model::{CustomRole, CustomRoleDraft, CustomRoleName, DisplayName, Permission, catalog},
    service::Once,
};

#[tonic::async_trait]
impl RoleService for Rpc {
    async fn get_permission(&self, request: Request<wire::GetPermissionRequest>) -> Reply<wire::Permission> {
        let (_caller, request) = caller(request)?;
        reply(permission(&request.name))
    }

    async fn list_permissions(
        &self,
        request: Request<wire::ListPermissionsRequest>,
    ) -> Reply<wire::ListPermissionsResponse> {
        let (caller, request) = caller(request)?;
        reply(self.permissions(&caller, &request))
    }

    async fn create_custom_role(&self, request: Request<wire::CreateCustomRoleRequest>) -> Reply<wire::CustomRole> {
        let (caller, request) = caller(request)?;
        reply(self.make_role(&caller, &request).await)
    }

    async fn get_custom_role(&self, request: Request<wire::GetCustomRoleRequest>) -> Reply<wire::CustomRole> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.custom_role(&caller, CustomRoleName::parse_field("name", &request.name)?).await };
        reply(found.await.map(render))
    }

    async fn list_custom_roles(
        &self,
        request: Request<wire::ListCustomRolesRequest>,
    ) -> Reply<wire::ListCustomRolesResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async { self.auth.custom_roles(&caller, organization_id("parent", &request.parent)?, &page).await };
        reply(found.await.map(|(roles, next_page_token)| wire::ListCustomRolesResponse {
            custom_roles: roles.into_iter().map(render).collect(),
            next_page_token,
        }))
    }

    async fn update_custom_role(&self, request: Request<wire::UpdateCustomRoleRequest>) -> Reply<wire::CustomRole> {
        let (caller, request) = caller(request)?;
        reply(self.change_role(&caller, &request).await)
    }

    async fn delete_custom_role(&self, request: Request<wire::DeleteCustomRoleRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let once = Once::new(&caller, &request.request_id, &request);
        let done = async {
            let name = CustomRoleName::parse_field("name", &request.name)?;
            self.auth.delete_custom_role(&caller, name, &request.etag, &once).await
        };
        reply(done.await)
    }
}

impl Rpc {
    async fn make_role(
        &self,
        caller: &Caller,
        request: &wire::CreateCustomRoleRequest,
    ) -> Result<wire::CustomRole, Error> {
        let once = Once::new(caller, &request.request_id, request);
        let organization = organization_id("parent", &request.parent)?;
        let id = chosen_id("custom_role_id", &request.custom_role_id)?;
        let sent = request.custom_role.clone().unwrap_or_default();
        let draft = CustomRoleDraft {
            display_name: Some(DisplayName::parse("custom_role.display_name", &sent.display_name)?),
            permissions: Some(CustomRoleDraft::permissions("custom_role.permissions", &sent.permissions)?),
        };
        Ok(render(self.auth.create_custom_role(caller, organization, id, draft, &once).await?))
    }

    async fn change_role(
        &self,
        caller: &Caller,
        request: &wire::UpdateCustomRoleRequest,
    ) -> Result<wire::CustomRole, Error> {
        let once = Once::new(caller, &request.request_id, request);
        let sent = request.custom_role.clone().unwrap_or_default();
        let name = CustomRoleName::parse_field("custom_role.name", &sent.name)?;
        let populated: Vec<&str> =
            [("display_name", !sent.display_name.is_empty()), ("permissions", !sent.permissions.is_empty())]
                .iter()
                .filter(|(_, sent)| *sent)
                .map(|(name, _)| *name)
                .collect();
        let ignored = ["name", "etag", "create_time", "update_time"];
        let mask = Mask::parse(request.update_mask.as_ref(), &["display_name", "permissions"], &ignored, &populated)?;
        let name_of = || DisplayName::parse("custom_role.display_name", &sent.display_name);
        let permissions = || CustomRoleDraft::permissions("custom_role.permissions", &sent.permissions);
        let draft = CustomRoleDraft {
            display_name: mask.has("display_name").then(name_of).transpose()?,
            permissions: mask.has("permissions").then(permissions).transpose()?,
        };
        Ok(render(self.auth.update_custom_role(caller, name, &sent.etag, draft, &once).await?))
    }

    /// The contract is the list; its order is that of the texts.
    fn permissions(
        &self,
        caller: &Caller,
        request: &wire::ListPermissionsRequest,
    ) -> Result<wire::ListPermissionsResponse, Error> {
        let size = Page::parse(request.page_size, 50, 1000)?.size;
        let after = self.auth.position(caller.context(), "permissions", &request.page_token)?;
        let mut rest = catalog().values().filter(|permission| permission.text.as_bytes() > after.as_slice());
        let page: Vec<&Permission> = rest.by_ref().take(size).collect();
        let more = rest.next().is_some();
        let last = page.last().filter(|_| more).map(|last| last.text.as_bytes());
        let next_page_token = last.map(|last| self.auth.token_of(caller.context(), "permissions", last));
        Ok(wire::ListPermissionsResponse {
            permissions: page.into_iter().map(render_permission).collect(),
            next_page_token: next_page_token.unwrap_or_default(),
        })
    }
}

fn permission(name: &str) -> Result<wire::Permission, Error> {
    let text = name.strip_prefix("permissions/").map(|text| text.replacen('.', ":", 1));
    let text = text.ok_or_else(|| api::Error::invalid_field("name", "must have the form permissions/*"))?;
    let found = catalog().get(text.as_str()).ok_or_else(|| api::Error::not_found(name))?;
    Ok(render_permission(found))
}

fn render_permission(permission: &Permission) -> wire::Permission {
    wire::Permission {
        name: format!("permissions/{}", permission.text.replacen(':', ".", 1)),
        permission: permission.text.to_owned(),
        role: permission.least.into(),
        share: permission.share.unwrap_or_default().into(),
        methods: permission.methods.iter().map(|method| (*method).to_owned()).collect(),
    }
}

fn render(role: CustomRole) -> wire::CustomRole {
    wire::CustomRole {
        name: role.name().to_string(),
        permissions: role.permissions.iter().map(str::to_owned).collect(),
        display_name: role.display_name,
        etag: Etag::of_version(role.version),
        create_time: Some(timestamp(role.create_time)),
        update_time: Some(timestamp(role.update_time)),
    }
}
