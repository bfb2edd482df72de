//! Calls to other services. Their messages stop here.
use std::collections::HashMap;

use api::{CallContext, Code, Error, Id, OrganizationId, UserId};
use mesh::client::Mesh;
use proto::auth::v1::{
    BatchReadUsersRequest, TakeEmailSecretRequest, take_email_secret_response::Purpose,
    token_service_client::TokenServiceClient, user_service_client::UserServiceClient,
};

use crate::model::{AccountMail, Matter, Recipient};

/// The auth service, asked in this service's own name.
pub(crate) struct Users {
    mesh: Mesh,
}

impl Users {
    /// Calls over this mesh.
    pub(crate) fn new(mesh: Mesh) -> Self {
        Self { mesh }
    }

    /// Those of the users who are active members of the organization, with their addresses.
    pub(crate) async fn members(
        &self,
        context: &CallContext,
        organization: OrganizationId,
        users: &[UserId],
    ) -> Result<HashMap<UserId, Recipient>, Error> {
        let mut client = UserServiceClient::new(self.mesh.as_workload("auth", context));
        let names = users.iter().map(|user| user.name()).collect();
        let request = BatchReadUsersRequest { organization: organization.name(), names };
        let answer = client.batch_read_users(request).await?.into_inner();
        let recipient = |user: proto::auth::v1::User| {
            let id = UserId::parse(&user.name).ok()?;
            Some((id, Recipient { address: user.email, display_name: user.display_name }))
        };
        Ok(answer.users.into_iter().filter_map(recipient).collect())
    }

    /// What a mail of the auth service says; `None` when it is not to be sent any more.
    pub(crate) async fn account_mail(&self, context: &CallContext, delivery: Id) -> Result<Option<AccountMail>, Error> {
        let mut client = TokenServiceClient::new(self.mesh.as_workload("auth", context));
        let name = format!("emailDeliveries/{delivery}");
        let answer = match client.take_email_secret(TakeEmailSecretRequest { name }).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if Code::from(status.code()) == Code::FailedPrecondition => return Ok(None),
            Err(status) => return Err(status.into()),
        };
        Ok(matter(answer.purpose()).map(|matter| AccountMail {
            matter,
            recipient: Recipient { address: answer.email, display_name: answer.display_name },
            link: answer.link,
            code: answer.code,
            organization: answer.organization_display_name,
            inviter: answer.inviter_display_name,
            impersonator: Recipient {
                address: answer.impersonator_email,
                display_name: answer.impersonator_display_name,
            },
            reason: answer.impersonation_reason,
        }))
    }
}

fn matter(purpose: Purpose) -> Option<Matter> {
    Some(match purpose {
        Purpose::Unspecified => return None,
        Purpose::SignUp => Matter::SignUp,
        Purpose::VerifyEmail => Matter::VerifyEmail,
        Purpose::ChangeEmail => Matter::ChangeEmail,
        Purpose::ResetPassword => Matter::ResetPassword,
        Purpose::SignIn => Matter::SignIn,
        Purpose::Invitation => Matter::Invitation,
        Purpose::NoticeSignUp => Matter::NoticeSignUp,
        Purpose::NoticePasswordChanged => Matter::NoticePasswordChanged,
        Purpose::NoticeEmailChanged => Matter::NoticeEmailChanged,
        Purpose::NoticeTokenReused => Matter::NoticeTokenReused,
        Purpose::NoticeFactorsChanged => Matter::NoticeFactorsChanged,
        Purpose::NoticeImpersonated => Matter::NoticeImpersonated,
    })
}
