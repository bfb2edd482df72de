//! What verifiers and services ask `auth` for, answered by the test: keys, revocations, groups and links.
use std::sync::{Arc, PoisonError, atomic::Ordering};

use api::{Error, OrganizationId, UserId};
use chassis::identity::Source;
use futures::future::BoxFuture;
use proto::auth::v1::{
    ListRevocationsRequest, ListRevocationsResponse, ListUserGroupsRequest, ListUserGroupsResponse,
    list_verify_keys_response::{VerifyKey, verify_key::Use},
};

use super::World;

/// Keys and revocations of the test's own mint, and groups as the test says.
pub(super) struct Injected(pub(super) Arc<World>);

impl Source for Injected {
    fn keys(&self) -> BoxFuture<'_, Result<Vec<VerifyKey>, Error>> {
        let key = self.0.mint.verify_key();
        let key = VerifyKey {
            r#use: Use::Internal.into(),
            key_id: key.key_id,
            public_key: key.public_key,
            kid: String::new(),
            activate_time: None,
        };
        Box::pin(async move { Ok(vec![key]) })
    }

    fn revocations(&self, _: ListRevocationsRequest) -> BoxFuture<'_, Result<ListRevocationsResponse, Error>> {
        let revocations = self.0.revocations.read().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move { Ok(ListRevocationsResponse { revocations, ..ListRevocationsResponse::default() }) })
    }

    fn groups(&self, request: ListUserGroupsRequest) -> BoxFuture<'_, Result<ListUserGroupsResponse, Error>> {
        Box::pin(async move {
            if self.0.groups_away.load(Ordering::SeqCst) {
                return Err(Error::unavailable("the test's groups"));
            }
            let key = (OrganizationId::parse(&request.parent)?, UserId::parse(&request.user)?);
            let groups = self.0.groups.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
            Ok(groups.unwrap_or_default())
        })
    }
}
