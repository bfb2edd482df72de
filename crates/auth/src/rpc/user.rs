//! `UserService`.
use api::{Caller, Mask, UserId, timestamp};
use mesh::{Reply, caller, reply};
use proto::auth::v1::{self as wire, user_service_server::UserService};
use tonic::Request;

use super::{
    Rpc, chosen_id, oneself, organization_id, own_session, page, render_membership, render_session, render_user, role,
    user_id,
};
use crate::{
    error::Error,
    model::{DisplayName, Email, Reason, UserState},
    service::{NewUser, Once},
};

const NAMES_MAX: usize = 1000;

#[tonic::async_trait]
impl UserService for Rpc {
    async fn create_user(&self, request: Request<wire::CreateUserRequest>) -> Reply<wire::User> {
        let (caller, request) = caller(request)?;
        reply(self.add_user(&caller, request).await)
    }

    async fn get_user(&self, request: Request<wire::GetUserRequest>) -> Reply<wire::User> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.user(&caller, oneself(&caller, "name", &request.name)?).await };
        reply(found.await.map(render_user))
    }

    async fn list_own_memberships(
        &self,
        request: Request<wire::ListOwnMembershipsRequest>,
    ) -> Reply<wire::ListOwnMembershipsResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found =
            async { self.auth.own_memberships(&caller, oneself(&caller, "parent", &request.parent)?, &page).await };
        reply(found.await.map(|(memberships, next_page_token)| wire::ListOwnMembershipsResponse {
            memberships: memberships.into_iter().map(render_membership).collect(),
            next_page_token,
        }))
    }

    async fn change_password(&self, request: Request<wire::ChangePasswordRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done = async {
            let user = oneself(&caller, "name", &request.name)?;
            self.auth.change_password(&caller, user, &request.current_password, &request.new_password).await
        };
        reply(done.await)
    }

    async fn update_user(&self, request: Request<wire::UpdateUserRequest>) -> Reply<wire::User> {
        let (caller, request) = caller(request)?;
        reply(self.rename_user(&caller, request).await)
    }

    async fn delete_user(&self, request: Request<wire::DeleteUserRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done = async { self.auth.delete_user(&caller, oneself(&caller, "name", &request.name)?).await };
        reply(done.await)
    }

    async fn change_email(&self, request: Request<wire::ChangeEmailRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done =
            async { self.auth.change_email(&caller, oneself(&caller, "name", &request.name)?, &request.email).await };
        reply(done.await)
    }

    async fn disable_user(&self, request: Request<wire::DisableUserRequest>) -> Reply<wire::User> {
        let (caller, request) = caller(request)?;
        let done =
            async { self.auth.set_user_state(&caller, user_id("name", &request.name)?, UserState::Disabled).await };
        reply(done.await.map(render_user))
    }

    async fn enable_user(&self, request: Request<wire::EnableUserRequest>) -> Reply<wire::User> {
        let (caller, request) = caller(request)?;
        let done =
            async { self.auth.set_user_state(&caller, user_id("name", &request.name)?, UserState::Active).await };
        reply(done.await.map(render_user))
    }

    async fn reset_user_factors(&self, request: Request<wire::ResetUserFactorsRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done = async { self.auth.reset_factors(&caller, user_id("name", &request.name)?).await };
        reply(done.await)
    }

    async fn impersonate_user(
        &self,
        request: Request<wire::ImpersonateUserRequest>,
    ) -> Reply<wire::ImpersonateUserResponse> {
        let (caller, request) = caller(request)?;
        let begun = async {
            let (user, reason) = (user_id("name", &request.name)?, Reason::parse("reason", &request.reason)?);
            self.auth.impersonate(&caller, user, reason).await
        };
        reply(begun.await.map(|begun| wire::ImpersonateUserResponse {
            access_token: begun.access,
            expire_time: Some(timestamp(begun.expire_time)),
            session: begun.session.to_string(),
        }))
    }

    async fn revoke_all_sessions(&self, request: Request<wire::RevokeAllSessionsRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done = async {
            let user = oneself(&caller, "parent", &request.parent)?;
            self.auth.revoke_all_sessions(&caller, user, request.keep_current).await
        };
        reply(done.await)
    }

    async fn get_session(&self, request: Request<wire::GetSessionRequest>) -> Reply<wire::Session> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.session(&caller, own_session(&caller, "name", &request.name)?).await };
        reply(found.await.map(|session| render_session(&caller, session)))
    }

    async fn list_sessions(&self, request: Request<wire::ListSessionsRequest>) -> Reply<wire::ListSessionsResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async { self.auth.sessions(&caller, oneself(&caller, "parent", &request.parent)?, &page).await };
        reply(found.await.map(|(sessions, next_page_token)| wire::ListSessionsResponse {
            sessions: sessions.into_iter().map(|session| render_session(&caller, session)).collect(),
            next_page_token,
        }))
    }

    async fn delete_session(&self, request: Request<wire::DeleteSessionRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done = async { self.auth.delete_session(&caller, own_session(&caller, "name", &request.name)?).await };
        reply(done.await)
    }

    async fn batch_read_users(
        &self,
        request: Request<wire::BatchReadUsersRequest>,
    ) -> Reply<wire::BatchReadUsersResponse> {
        let (caller, request) = caller(request)?;
        reply(self.read_users(&caller, &request).await)
    }
}

impl Rpc {
    async fn add_user(&self, caller: &Caller, mut request: wire::CreateUserRequest) -> Result<wire::User, Error> {
        let password = std::mem::take(&mut request.password);
        request.password = self.auth.masked(&password);
        let once = Once::new(caller, &request.request_id, &request);
        let user = request.user.unwrap_or_default();
        let organization = organization_id("parent", &request.parent)?;
        let new = NewUser {
            id: chosen_id("user_id", &request.user_id)?.map(UserId),
            email: Email::parse(&user.email)?,
            display_name: DisplayName::parse("user.display_name", &user.display_name)?,
            password,
            role: role("role", request.role)?,
        };
        Ok(render_user(self.auth.create_user(caller, organization, new, &once).await?))
    }

    async fn rename_user(&self, caller: &Caller, request: wire::UpdateUserRequest) -> Result<wire::User, Error> {
        let sent = request.user.unwrap_or_default();
        let user = oneself(caller, "user.name", &sent.name)?;
        let populated: &[&str] = if sent.display_name.is_empty() { &[] } else { &["display_name"] };
        let fixed = ["name", "email", "managing_organization", "create_time", "update_time", "state", "email_verified"];
        let mask = Mask::parse(request.update_mask.as_ref(), &["display_name"], &fixed, populated)?;
        let name = mask.has("display_name").then(|| DisplayName::parse("user.display_name", &sent.display_name));
        Ok(render_user(self.auth.update_user(caller, user, name.transpose()?).await?))
    }

    async fn read_users(
        &self,
        caller: &Caller,
        request: &wire::BatchReadUsersRequest,
    ) -> Result<wire::BatchReadUsersResponse, Error> {
        let organization = organization_id("organization", &request.organization)?;
        if request.names.len() > NAMES_MAX {
            return Err(api::Error::invalid_field("names", "holds more than 1,000 names; ask in several calls").into());
        }
        let names: Vec<UserId> = request.names.iter().map(|name| user_id("names", name)).collect::<Result<_, _>>()?;
        let users = self.auth.read_users(caller, organization, &names).await?;
        Ok(wire::BatchReadUsersResponse { users: users.into_iter().map(render_user).collect() })
    }
}
