//! Every method of a running system, called with a token of another tenant: all of them refuse, and say the same.
//!
//! Requests are made from the contract alone: the resource field gets a well-formed name in a foreign organization, the rest
//! stays empty. Permission comes before existence and before validation, so nothing else may be heard.
use std::collections::BTreeMap;

use bytes::{Buf, BufMut as _, Bytes};
use proto::{Method, Rule};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::System;

/// What one method answered to a foreign tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The method.
    pub rpc: &'static str,
    /// What was wrong with its answer.
    pub problem: String,
}

/// Calls every unary method of these services whose resource names an organization, as the owner of another one. Returns
/// those that answered anything but PERMISSION_DENIED.
pub async fn foreign_tenant(system: &System, services: &[&str]) -> Vec<Foreign> {
    let (ours, theirs) = (system.organization(), system.organization());
    let stranger = theirs.user(proto::Role::Owner);
    let (found, _) = foreign_to(&ours.name(), services, async |method| stranger.channel(method.service)).await;
    found
}

/// Calls every method of these services whose resource names an organization, on names below `parent`, over channels that bring the
/// token of another organization. Returns those that answered anything but PERMISSION_DENIED, and how many were called.
pub async fn foreign_to(
    parent: &str,
    services: &[&str],
    channel: impl AsyncFn(&'static Method) -> mesh::client::Channel,
) -> (Vec<Foreign>, usize) {
    let (mut found, mut called) = (Vec::new(), 0);
    for service in services {
        for method in proto::methods().iter().filter(|method| method.service == *service && is_subject(method)) {
            called += 1;
            let request = request(method, parent);
            let answer = call(channel(method).await, method, request).await;
            if answer != Err(tonic::Code::PermissionDenied) {
                found.push(Foreign {
                    rpc: method.rpc,
                    problem: format!("a foreign tenant heard {answer:?}, must hear PERMISSION_DENIED"),
                });
            }
        }
    }
    (found, called)
}

fn is_subject(method: &Method) -> bool {
    let access = method.access.as_ref();
    let by_permission = access.is_some_and(|access| matches!(access.rule, Rule::Permission(_)));
    by_permission && !method.client_streaming && !method.resource_path.is_empty()
}

/// A request whose resource field holds a name below `parent`, as the REST binding or the field's comment would.
fn request(method: &Method, parent: &str) -> Bytes {
    let mut bytes = resource_name(method, parent).into_bytes();
    for number in method.resource_path.iter().rev() {
        let mut field = Vec::new();
        prost::encoding::encode_key(*number, prost::encoding::WireType::LengthDelimited, &mut field);
        prost::encoding::encode_varint(bytes.len() as u64, &mut field);
        field.extend(bytes);
        bytes = field;
    }
    Bytes::from(bytes)
}

/// The pattern of the method's REST path with every `*` but the first filled by an id that does not exist.
fn resource_name(method: &Method, parent: &str) -> String {
    let pattern = bindings().get(method.path).map(|(_, pattern)| pattern.clone()).unwrap_or_default();
    let rest = pattern.strip_prefix("organizations/*").unwrap_or_default();
    format!("{parent}{}", rest.replace('*', "00000000000000000000000001"))
}

/// Field and pattern of the name in the REST path, by method path: `name` and `organizations/*/documents/*` of
/// `/v1/{name=organizations/*/documents/*}`.
pub(super) fn bindings() -> BTreeMap<String, (String, String)> {
    let contract = super::Contract::default();
    let Some(http) = contract.pool.get_extension_by_name("google.api.http") else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for (method, known) in contract.methods() {
        let options = method.options();
        let text = options.get_extension(&http).into_owned();
        let text = text
            .as_message()
            .map(|rule| rule.fields().filter_map(|(_, value)| value.as_str().map(str::to_owned)).collect::<Vec<_>>());
        let path = text.unwrap_or_default().into_iter().find(|text| text.contains('='));
        let binding = path.as_deref().and_then(|path| {
            let (before, rest) = path.split_once('=')?;
            Some((before.rsplit_once('{')?.1.to_owned(), rest.split_once('}')?.0.to_owned()))
        });
        found.extend(binding.map(|binding| (known.path.to_owned(), binding)));
    }
    found
}

/// One call with raw bytes; the answer's bytes, or the code it failed with.
async fn call(channel: mesh::client::Channel, method: &'static Method, request: Bytes) -> Result<usize, tonic::Code> {
    let mut client = tonic::client::Grpc::new(channel);
    let path = http::uri::PathAndQuery::from_static(method.path);
    let Ok(()) = client.ready().await;
    if method.server_streaming {
        let response =
            client.server_streaming(tonic::Request::new(request), path, Raw).await.map_err(|status| status.code())?;
        let message = response.into_inner().message().await.map_err(|status| status.code())?;
        return Ok(message.map_or(0, |message| message.len()));
    }
    let response = client.unary(tonic::Request::new(request), path, Raw).await.map_err(|status| status.code())?;
    Ok(response.into_inner().len())
}

/// Bytes as they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(&mut self, item: Bytes, target: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        target.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        Ok(Some(source.copy_to_bytes(source.remaining())))
    }
}
