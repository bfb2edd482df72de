//! The operator's door: relay status, dead letters, redrive, discard. Answers for its own service only.
//!
//! `platform:events` is held in the system organization alone (authz decides it), so dead letters of all tenants may be shown.
use std::future::Future;

use api::{CallContext, Caller, Page, Sealer};
use db::Db;
use futures::{StreamExt, TryStreamExt, stream};
use proto::events::v1::{
    Backlog, DiscardDeadLettersRequest, DiscardDeadLettersResponse, GetBacklogRequest, GetRelayStatusRequest,
    ListDeadLettersRequest, ListDeadLettersResponse, RedriveDeadLettersRequest, RedriveDeadLettersResponse,
    RelayStatus, event_admin_service_server::EventAdminService, relay_status,
};
use tonic::{Request, Response, Status};

use crate::{
    Broker, Error,
    letters::{Letter, parse_name},
};

const LIST: &str = "workos.events.v1.EventAdminService/ListDeadLetters";
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 1000;
/// Dead letters of one request.
const NAMES_MAX: usize = 1000;
/// Redrives at once.
const WINDOW: usize = 32;

/// Serves `workos.events.v1.EventAdminService` for one service. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    broker: Broker,
    db: Db,
    sealer: Sealer,
}

impl Broker {
    /// The operator's service over this broker and the service's outbox.
    #[must_use]
    pub fn admin(&self, db: Db, sealer: Sealer) -> Admin {
        Admin { broker: self.clone(), db, sealer }
    }
}

impl Admin {
    async fn relay_status(&self) -> RelayStatus {
        let status = self.broker.refresh(&self.db).await;
        let consumers = status.consumers.into_iter().map(|consumer| relay_status::Consumer {
            name: consumer.name,
            pending_count: i64::try_from(consumer.pending).unwrap_or(i64::MAX),
            unacknowledged_count: i64::try_from(consumer.unacknowledged).unwrap_or(i64::MAX),
        });
        RelayStatus {
            unsent_count: status.unsent,
            oldest_unsent_time: status.oldest_unsent.map(api::timestamp),
            last_error: status.last_error,
            consumers: consumers.collect(),
        }
    }

    async fn backlog(&self) -> Result<Backlog, api::Error> {
        // What is unsent first: what moves on meanwhile is counted twice at worst, never missed.
        let unsent_count = self.db.outbox().backlog().await?.unsent;
        let unheard_count = i64::try_from(self.broker.unheard().await?).unwrap_or(i64::MAX);
        Ok(Backlog { unsent_count, unheard_count })
    }

    async fn list(&self, request: ListDeadLettersRequest) -> Result<ListDeadLettersResponse, api::Error> {
        let page = Page::parse(request.page_size, PAGE_DEFAULT, PAGE_MAX)?;
        let consumer = parse_consumer(&request.consumer)?;
        let position = self.sealer.open(LIST, consumer.as_bytes(), &request.page_token)?;
        let up_to = position.and_then(|bytes| bytes.try_into().ok()).map_or(u64::MAX, u64::from_be_bytes);
        // One more than asked tells whether another page follows.
        let mut letters = self.broker.letters(consumer, up_to, page.size + 1).await?;
        let next = letters.get(page.size).map(|letter| letter.sequence);
        letters.truncate(page.size);
        Ok(ListDeadLettersResponse {
            dead_letters: letters.iter().map(Letter::render).collect(),
            next_page_token: next
                .map(|next| self.sealer.seal(LIST, consumer.as_bytes(), &next.to_be_bytes()))
                .unwrap_or_default(),
        })
    }

    async fn redrive(
        &self,
        context: &CallContext,
        request: RedriveDeadLettersRequest,
    ) -> Result<RedriveDeadLettersResponse, api::Error> {
        let letters = match (request.names.as_slice(), request.consumer.as_str()) {
            ([], "") => {
                return Err(api::Error::invalid_field(
                    "names",
                    "name the dead letters, or a consumer whose dead letters are meant",
                ));
            }
            ([], consumer) => self.all_of(parse_consumer(consumer)?).await?,
            (names, "") => self.named(names).await?,
            _ => return Err(api::Error::invalid_field("consumer", "must be empty when names are given")),
        };
        let dead: Vec<_> = letters.into_iter().filter(|letter| letter.mark.is_none()).collect();
        let redriven_count = if request.validate_only {
            dead.len()
        } else {
            self.audit(context, "redrive of dead letters").await?;
            count(dead.iter().map(|letter| self.broker.redrive(letter)).collect()).await?
        };
        Ok(RedriveDeadLettersResponse { redriven_count: i32::try_from(redriven_count).unwrap_or(i32::MAX) })
    }

    async fn discard(
        &self,
        context: &CallContext,
        request: DiscardDeadLettersRequest,
    ) -> Result<DiscardDeadLettersResponse, api::Error> {
        if request.names.is_empty() {
            return Err(api::Error::invalid_field("names", "name the dead letters to discard"));
        }
        let letters = self.named(&request.names).await?;
        self.audit(context, "discard of dead letters").await?;
        let discarded = count(letters.iter().map(|letter| self.broker.discard(letter)).collect()).await?;
        Ok(DiscardDeadLettersResponse { discarded_count: i32::try_from(discarded).unwrap_or(i32::MAX) })
    }

    /// All unmarked letters of a consumer, oldest first, so that an aggregate's events go out in order.
    async fn all_of(&self, consumer: &str) -> Result<Vec<Letter>, api::Error> {
        let (mut letters, mut up_to) = (Vec::new(), u64::MAX);
        loop {
            let page = self.broker.letters(consumer, up_to, PAGE_MAX).await?;
            let oldest = page.last().map_or(0, |letter| letter.sequence);
            letters.extend(page.into_iter().filter(|letter| letter.mark.is_none()));
            if oldest <= 1 || letters.len() >= NAMES_MAX {
                letters.truncate(NAMES_MAX);
                letters.reverse();
                return Ok(letters);
            }
            up_to = oldest - 1;
        }
    }

    async fn named(&self, names: &[String]) -> Result<Vec<Letter>, api::Error> {
        if names.len() > NAMES_MAX {
            return Err(api::Error::invalid_field("names", format!("at most {NAMES_MAX} at once")));
        }
        let mut sequences = Vec::with_capacity(names.len());
        for name in names {
            let wrong = || {
                api::Error::invalid_field(
                    "names",
                    format!("`{name}` is not like deadLetters/17, as ListDeadLetters gives it"),
                )
            };
            sequences.push(parse_name(name).ok_or_else(wrong)?);
        }
        sequences.sort_unstable();
        sequences.dedup();
        let letters = self.broker.letters_at(&sequences).await?;
        let found = |sequence: &u64| letters.iter().any(|letter| letter.sequence == *sequence);
        match sequences.iter().find(|sequence| !found(sequence)) {
            Some(absent) => Err(api::Error::not_found(format!("deadLetters/{absent}"))),
            None => Ok(letters),
        }
    }

    /// Writes the audit row before the first letter moves: the change itself lies outside the database. Taking a transaction id
    /// makes it a transaction that has changed something.
    async fn audit(&self, context: &CallContext, reason: &'static str) -> Result<(), api::Error> {
        let tx = self.db.system(reason, context).await?;
        tx.execute("select pg_current_xact_id()", &[]).await?;
        Ok(tx.commit().await?)
    }
}

/// Runs the moves, some at once and begun in order; gives how many took effect.
async fn count(moves: Vec<impl Future<Output = Result<bool, Error>>>) -> Result<usize, Error> {
    stream::iter(moves).buffered(WINDOW).try_fold(0, |count, moved| async move { Ok(count + usize::from(moved)) }).await
}

fn parse_consumer(consumer: &str) -> Result<&str, api::Error> {
    let valid = consumer.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_');
    match consumer {
        "" => Ok("*"),
        consumer if valid && consumer.len() <= 64 => Ok(consumer),
        _ => Err(api::Error::invalid_field("consumer", "is not the name of a consumer, as GetRelayStatus gives it")),
    }
}

/// The server stack of the mesh put the caller there.
fn caller<T>(request: Request<T>) -> Result<(Caller, T), api::Error> {
    let (_, mut extensions, message) = request.into_parts();
    let caller =
        extensions.remove::<Caller>().ok_or_else(|| api::Error::fault("the call did not pass the server stack"))?;
    Ok((caller, message))
}

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl EventAdminService for Admin {
    async fn get_relay_status(&self, request: Request<GetRelayStatusRequest>) -> Reply<RelayStatus> {
        caller(request)?;
        Ok(Response::new(self.relay_status().await))
    }

    async fn get_backlog(&self, request: Request<GetBacklogRequest>) -> Reply<Backlog> {
        caller(request)?;
        Ok(Response::new(self.backlog().await?))
    }

    async fn list_dead_letters(&self, request: Request<ListDeadLettersRequest>) -> Reply<ListDeadLettersResponse> {
        let (_, request) = caller(request)?;
        Ok(Response::new(self.list(request).await?))
    }

    async fn redrive_dead_letters(
        &self,
        request: Request<RedriveDeadLettersRequest>,
    ) -> Reply<RedriveDeadLettersResponse> {
        let (caller, request) = caller(request)?;
        Ok(Response::new(self.redrive(caller.context(), request).await?))
    }

    async fn discard_dead_letters(
        &self,
        request: Request<DiscardDeadLettersRequest>,
    ) -> Reply<DiscardDeadLettersResponse> {
        let (caller, request) = caller(request)?;
        Ok(Response::new(self.discard(caller.context(), request).await?))
    }
}
