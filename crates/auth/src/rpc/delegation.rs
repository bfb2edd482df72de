//! `DelegationService`.
use api::{Caller, from_timestamp};
use mesh::{Reply, caller, reply};
use proto::{
    Rule,
    auth::v1::{self as wire, delegation_service_server::DelegationService},
};
use tonic::Request;

use super::{Rpc, organization_id, page, render_delegation};
use crate::{
    error::Error,
    model::{DelegationName, DelegationPurpose, NewDelegation},
    service::Once,
};

const METHODS_MAX: usize = 32;
/// All names together: they stand in each token, which has 4,096 bytes.
const METHODS_BYTES_MAX: usize = 1600;

#[tonic::async_trait]
impl DelegationService for Rpc {
    async fn create_delegation(&self, request: Request<wire::CreateDelegationRequest>) -> Reply<wire::Delegation> {
        let (caller, request) = caller(request)?;
        reply(self.delegate(&caller, &request).await)
    }

    async fn get_delegation(&self, request: Request<wire::GetDelegationRequest>) -> Reply<wire::Delegation> {
        let (caller, request) = caller(request)?;
        let found = async { self.auth.delegation(&caller, DelegationName::parse_field("name", &request.name)?).await };
        reply(found.await.map(render_delegation))
    }

    async fn list_delegations(
        &self,
        request: Request<wire::ListDelegationsRequest>,
    ) -> Reply<wire::ListDelegationsResponse> {
        let (caller, request) = caller(request)?;
        let page = page(request.page_size, request.page_token);
        let found = async { self.auth.delegations(&caller, organization_id("parent", &request.parent)?, &page).await };
        reply(found.await.map(|(delegations, next_page_token)| wire::ListDelegationsResponse {
            delegations: delegations.into_iter().map(render_delegation).collect(),
            next_page_token,
        }))
    }

    async fn revoke_delegation(&self, request: Request<wire::RevokeDelegationRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done =
            async { self.auth.revoke_delegation(&caller, DelegationName::parse_field("name", &request.name)?).await };
        reply(done.await)
    }

    async fn delete_delegation(&self, request: Request<wire::DeleteDelegationRequest>) -> Reply<()> {
        let (caller, request) = caller(request)?;
        let done =
            async { self.auth.delete_delegation(&caller, DelegationName::parse_field("name", &request.name)?).await };
        reply(done.await)
    }
}

impl Rpc {
    async fn delegate(
        &self,
        caller: &Caller,
        request: &wire::CreateDelegationRequest,
    ) -> Result<wire::Delegation, Error> {
        let once = Once::new(caller, &request.request_id, request);
        let organization = organization_id("parent", &request.parent)?;
        let sent = request.delegation.clone().unwrap_or_default();
        let expire_time = sent.expire_time.as_ref().and_then(from_timestamp);
        let new = NewDelegation {
            purpose: DelegationPurpose::parse("delegation.purpose", &sent.purpose)?,
            methods: methods(sent.methods)?,
            expire_time: expire_time
                .ok_or_else(|| api::Error::invalid_field("delegation.expire_time", "is missing or no time"))?,
        };
        Ok(render_delegation(self.auth.create_delegation(caller, organization, new, &once).await?))
    }
}

/// Only methods that a permission guards can be delegated: accounts are managed by people, and workloads need no delegation.
fn methods(mut names: Vec<String>) -> Result<Vec<String>, Error> {
    names.sort_unstable();
    names.dedup();
    let invalid = |problem: &str| Err(api::Error::invalid_field("delegation.methods", problem).into());
    if names.is_empty() || names.len() > METHODS_MAX || names.iter().map(String::len).sum::<usize>() > METHODS_BYTES_MAX
    {
        return invalid("must name 1 to 32 RPCs, together at most 1,600 bytes");
    }
    let delegable = |name: &String| {
        let access = proto::methods().get(&format!("/{name}")).and_then(|method| method.access.as_ref());
        access.is_some_and(|access| matches!(access.rule, Rule::Permission(_)))
    };
    if names.iter().all(delegable) {
        Ok(names)
    } else {
        invalid("must be RPCs of the contract (package.Service/Method) that a permission guards")
    }
}
