//! Authenticate and authorize, then the handler. Permission comes before validation and before existence (AIP-211): all that
//! is read of the request up to here is the name of its resource.
use std::sync::Arc;

use api::{CommonReason, Error};
use http::{HeaderName, HeaderValue, Request, Response};
use proto::{Method, Reason};
use tonic::{Status, body::Body, metadata::MetadataMap};

use super::{
    Shared,
    call::{self, Call},
    offer::unknown_method,
};
use crate::{
    body::Check,
    call::{Incoming, STALE_KEY},
    frame::{self, First},
    wire,
};

static STALE: HeaderName = HeaderName::from_static(STALE_KEY);

/// What runs behind the layers: the decision, then the handler.
pub(crate) async fn checked(
    shared: &Arc<Shared>,
    call: &Call,
    request: Request<Body>,
    standing: &mut Option<Check>,
) -> Response<Body> {
    match admitted(shared, call, request, standing).await {
        Ok(request) => {
            let mut response = shared.services.serve(request).await;
            // A service behind this one may have said so of the token it got; here the handler has run.
            response.headers_mut().remove(&STALE);
            response
        }
        Err(error) => {
            let is_stale = error.reason() == CommonReason::TokenStale.as_reason();
            let mut response = Status::from(error).into_http();
            if is_stale {
                response.headers_mut().insert(&STALE, HeaderValue::from_static("1"));
            }
            response
        }
    }
}

async fn admitted(
    shared: &Arc<Shared>,
    call: &Call,
    request: Request<Body>,
    standing: &mut Option<Check>,
) -> Result<Request<Body>, Error> {
    let method =
        call.method.filter(|method| shared.mounted.contains(method.full_service)).ok_or_else(unknown_method)?;
    let (parts, body) = request.into_parts();
    let metadata = MetadataMap::from_headers(parts.headers);
    let token = call::token(&metadata)?;
    let (resource, body) = resource(method, body, shared.settings.message_bytes_max).await?;
    if let Some(resource) = &resource {
        call.note_resource(resource);
    }
    let context = call.context(method, resource.as_deref());
    let incoming = Incoming { method, token: token.as_ref(), peer: &call.peer, resource: resource.as_deref(), context };
    let caller = shared.authorizer.authorize(incoming).inspect_err(|_| {
        if let Some(whose) = token.as_ref().and_then(|token| shared.authorizer.whose(token)) {
            call.note_refused(whose);
        }
    })?;
    call.note_caller(&caller);
    if method.server_streaming && caller.token().is_some() {
        let (authorizer, caller) = (Arc::clone(&shared.authorizer), caller.clone());
        *standing = Some(Box::new(move || authorizer.recheck(&caller)));
    }
    let mut request = Request::new(body);
    *request.method_mut() = parts.method;
    *request.uri_mut() = parts.uri;
    *request.version_mut() = parts.version;
    *request.headers_mut() = metadata.into_headers();
    // The token's only way on is the caller, which narrows it; a handler cannot forward it as it came.
    request.headers_mut().remove(crate::call::TOKEN_KEY);
    *request.extensions_mut() = parts.extensions;
    request.extensions_mut().insert(caller);
    Ok(request)
}

/// Name of the resource, read out of the first message.
async fn resource(method: &Method, body: Body, limit: usize) -> Result<(Option<String>, Body), Error> {
    if method.resource_path.is_empty() {
        return Ok((None, body));
    }
    let First { message, body, .. } = frame::first(body, limit, !method.client_streaming).await?;
    let Some(message) = message else {
        return Err(Error::invalid_field("request", "is missing; send one message"));
    };
    let field = method.access.as_ref().map_or("request", |access| access.resource.as_str());
    let name = wire::text_at(&message, &method.resource_path)
        .map_err(|malformed| Error::invalid_field(field, format!("cannot be read: {malformed}")))?;
    Ok((name.filter(|name| !name.is_empty()).map(str::to_owned), body))
}
