//! Calls to other services. Their messages stop here.
use std::collections::HashMap;

use api::{CallContext, Error, OrganizationId, UserId};
use mesh::client::Mesh;
use proto::auth::v1::{BatchReadUsersRequest, user_service_client::UserServiceClient};

use crate::model::Recipient;

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
}
