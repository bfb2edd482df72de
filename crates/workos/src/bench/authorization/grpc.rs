//! gRPC to a peer with messages that are written out by hand: the few fields that a bench needs.
use anyhow::{Context, Result};
use prost::Message;
use tonic::{
    Request,
    codegen::http::uri::PathAndQuery,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

/// A connection.
#[derive(Clone)]
pub(crate) struct Grpc {
    channel: Channel,
    bearer: Option<MetadataValue<Ascii>>,
}

impl Grpc {
    /// Connects; a key goes with every call as bearer token.
    pub(crate) async fn connect(address: std::net::SocketAddr, key: &str) -> Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
        let bearer = if key.is_empty() { None } else { Some(format!("Bearer {key}").parse()?) };
        Ok(Self { channel, bearer })
    }

    fn request<Q>(&self, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }

    async fn ready(&self) -> Result<tonic::client::Grpc<Channel>> {
        let mut client = tonic::client::Grpc::new(self.channel.clone());
        client.ready().await.context("the connection is lost")?;
        Ok(client)
    }

    /// A unary call.
    pub(crate) async fn call<Q: Message + 'static, A: Message + Default + 'static>(
        &self,
        path: &'static str,
        message: Q,
    ) -> Result<A> {
        let codec = ProstCodec::<Q, A>::default();
        let mut client = self.ready().await?;
        Ok(client.unary(self.request(message), PathAndQuery::from_static(path), codec).await?.into_inner())
    }

    /// A call that is answered by a stream, read whole.
    pub(crate) async fn read<Q: Message + 'static, A: Message + Default + 'static>(
        &self,
        path: &'static str,
        message: Q,
    ) -> Result<Vec<A>> {
        let codec = ProstCodec::<Q, A>::default();
        let mut client = self.ready().await?;
        let answer = client.server_streaming(self.request(message), PathAndQuery::from_static(path), codec).await?;
        let mut stream = answer.into_inner();
        let mut found = Vec::new();
        while let Some(message) = stream.message().await? {
            found.push(message);
        }
        Ok(found)
    }
}
