//! Requests that may be sent twice: the same request id gives the first answer again.
//!
//! The row is inserted before the effect, so a parallel twin waits on its key until the first commits, then reads the answer;
//! should the first roll back, the twin takes its place. The key holds tenant, subject and method.
use prost::Message;
use sha2::{Digest, Sha256};

use crate::{Error, Kind, Tx, pipeline::Write};

/// Longest request id, in bytes. Clients send UUIDs.
const REQUEST_ID_MAX: usize = 128;
const INSERT: &str =
    "insert into idempotency (method, request_id, fingerprint) values ($1, $2, $3) on conflict do nothing";
const SELECT: &str = "select fingerprint, response_name from idempotency \
     where organization_id = workos.tenant() and subject_id = workos.person() and method = $1 and request_id = $2";
const REMEMBER: &str = "update idempotency set response_name = $3 \
     where organization_id = workos.tenant() and subject_id = workos.person() and method = $1 and request_id = $2";

/// Whether a request id was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// Never: do the work, then [`Tx::remember`] the answer.
    New,
    /// Before, by the same request: this is what [`Tx::remember`] kept.
    Seen(String),
}

/// Fingerprint of a request: SHA-256 over the method and the encoded message. The contract has no map fields, so equal
/// messages have equal bytes.
#[must_use]
pub fn fingerprint(method: &str, request: &impl Message) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update((method.len() as u64).to_be_bytes());
    hash.update(method.as_bytes());
    hash.update(request.encode_to_vec());
    hash.finalize().into()
}

impl Tx {
    /// Takes a request id for this transaction, or gives the answer of the request that had it first. An empty request id
    /// is always new and nothing is kept.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when the id is malformed (FIELD_INVALID) or belonged to another request (REQUEST_ID_REUSED);
    /// [`Kind::Deadline`] when the twin does not finish in time.
    pub async fn replay(&self, request_id: &str, fingerprint: &[u8]) -> Result<Replay, Error> {
        if request_id.is_empty() {
            return Ok(Replay::New);
        }
        if request_id.len() > REQUEST_ID_MAX || !request_id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(api::Error::invalid_field(
                "request_id",
                "must be at most 128 visible ASCII characters; send a UUID",
            )
            .into());
        }
        let method = &self.context().method;
        if self.execute(INSERT, &[method, &request_id, &fingerprint]).await? == 1 {
            self.pending().unanswered = Some(request_id.to_owned());
            return Ok(Replay::New);
        }
        let Some(row) = self.query_opt(SELECT, &[method, &request_id]).await? else {
            return Err(Error::new(Kind::Conflict, "the row of a request id was purged between two statements"));
        };
        if row.try_get::<_, &[u8]>(0)? != fingerprint {
            return Err(api::Error::request_id_reused().into());
        }
        let response: Option<String> = row.try_get(1)?;
        response.map(Replay::Seen).ok_or_else(|| Error::internal("a request id was committed without an answer"))
    }

    /// Keeps the answer of a new request id, usually the name of what was made. Written with the commit.
    pub fn remember(&self, request_id: &str, response: &str) {
        if request_id.is_empty() {
            return;
        }
        let params: Vec<Box<dyn tokio_postgres::types::ToSql + Send + Sync>> = vec![
            Box::new(self.context().method.clone()),
            Box::new(request_id.to_owned()),
            Box::new(response.to_owned()),
        ];
        let mut pending = self.pending();
        pending.unanswered.take_if(|awaited| awaited == request_id);
        pending.writes.push(Write { sql: REMEMBER, params });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_and_request_both_make_the_fingerprint() {
        let request = |text: &str| prost_types_string(text);
        assert_eq!(fingerprint("a", &request("x")), fingerprint("a", &request("x")));
        assert_ne!(fingerprint("a", &request("x")), fingerprint("a", &request("y")));
        assert_ne!(fingerprint("a", &request("x")), fingerprint("b", &request("x")));
    }

    fn prost_types_string(text: &str) -> String {
        text.to_owned()
    }
}
