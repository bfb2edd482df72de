//! Server reflection for callers, in the protocol they speak. It is answered from the schema in force: no upstream hears of it.
use std::sync::LazyLock;

use futures::FutureExt;
use http::{HeaderMap, Request, Response, request::Parts};
use hyper::body::Incoming;
use tonic::{body::Body, service::Routes};
use tonic_reflection::pb::{v1, v1alpha};
use tower::ServiceExt;
use transcode::{Contract, Options};

use crate::{
    call::{
        body::{Idle, Source},
        connect, grpc, grpc_web,
        inlet::Inlet,
        stream::Patience,
    },
    edge::Edge,
    filter::Passage,
    refusal::{Dialect, Refusal, Web},
};

const SERVICES: [&str; 2] = ["/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/"];

/// The messages of both versions, for who asks in JSON.
static CONTRACTS: LazyLock<Vec<Contract>> = LazyLock::new(|| {
    let sets = [v1::FILE_DESCRIPTOR_SET, v1alpha::FILE_DESCRIPTOR_SET];
    sets.into_iter().filter_map(|set| transcode::compile(set, &Options::default()).ok()).collect()
});

/// A path of the service, in either version.
pub(crate) fn is_at(path: &str) -> bool {
    SERVICES.iter().any(|service| path.starts_with(service))
}

/// Answers.
pub(crate) async fn drive(
    edge: &Edge,
    passage: Passage,
    incoming: Incoming,
    dialect: Dialect,
) -> Result<Response<Body>, Refusal> {
    let path = passage.head.uri.path();
    let Some(reflection) = &passage.schema.reflection else { return Err(Refusal::not_found(path)) };
    let (routes, head) = (reflection.routes(), passage.head.clone());
    // Who asks may take his time.
    let patience = Patience::of(&edge.config, &passage.connection).through_silence();
    match dialect {
        Dialect::ConnectStream(codec) => {
            let matched = CONTRACTS.iter().find_map(|contract| contract.at_own_path(path));
            let matched = matched.ok_or_else(|| Refusal::not_found(path))?;
            connect::own(edge, passage, incoming, (codec, matched), |body| served(routes, head, body)).await
        }
        Dialect::GrpcWeb(web) => {
            let inlet = match web {
                Web::Binary => asked(edge, incoming)?,
                Web::Text => grpc_web::inlet(edge, incoming, web)?,
            };
            grpc_web::framed(told(routes, head, inlet, patience).await?, web)
        }
        Dialect::Grpc | Dialect::Connect(_) | Dialect::Http => {
            told(routes, head, asked(edge, incoming)?, patience).await
        }
    }
}

/// The caller's frames as they are, with the pauses that a conversation may have.
fn asked(edge: &Edge, incoming: Incoming) -> Result<Inlet, Refusal> {
    let mut pieces = Source::stream(&edge.config, &HeaderMap::new(), incoming)?;
    pieces.idle = Idle::stream(&edge.config);
    Ok(Inlet::frames(pieces.pieces()))
}

/// The answers, which end with the connection.
async fn told(routes: Routes, head: Parts, inlet: Inlet, patience: Patience) -> Result<Response<Body>, Refusal> {
    let Inlet { body, fault } = inlet;
    let response = fault.or(served(routes, head, body).map(Ok)).await?;
    Ok(response.map(|body| grpc::told(body, patience)))
}

async fn served(routes: Routes, head: Parts, body: Body) -> Response<Body> {
    match routes.oneshot(Request::from_parts(head, body)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
