//! Audit rows: who changed what, in the change's own commit; who was refused what, soon after.
//!
//! A handler need not think of it: the row is written from the call's context when the contract says EVERY_CALL and the transaction
//! has written anything. A use case that can say it better does so by [`Tx::audit`](crate::Tx::audit), which takes the place of that
//! row. Rows are never changed or deleted by a service: its roles may only insert and read.
use api::{CallContext, Ids, OrganizationId};
use serde_json::{Map, Value};
use tokio_postgres::types::Json;

use crate::{Db, Error, pipeline::Write};

/// Characters kept of each text.
const TEXT_MAX: usize = 512;
/// The transaction has an id as soon as it wrote or locked a row; one that only read leaves no trace.
const IMPLICIT: &str = "insert into audit_event (audit_id, organization_id, method, action, resource, actor, acting, network, request_id, traceparent) \
     select $1::uuid, $2::uuid, $3::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::text \
     where pg_current_xact_id_if_assigned() is not null";
const EXPLICIT: &str = "insert into audit_event (audit_id, organization_id, method, action, resource, actor, acting, outcome, reason, network, \
     request_id, traceparent, occurrences, details) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

/// What happened, in the words of a service. Whatever is not said is taken from the context of the transaction.
#[derive(Clone, Debug, Default)]
pub struct Record {
    action: String,
    resource: Option<String>,
    actor: Option<String>,
    acting: Option<String>,
    organization: Option<OrganizationId>,
    refused: Option<String>,
    occurrences: i32,
    details: Map<String, Value>,
}

impl Record {
    /// A change that is made in this transaction: `membership.updated`.
    #[must_use]
    pub fn done(action: impl Into<String>) -> Self {
        Self { action: action.into(), occurrences: 1, ..Self::default() }
    }

    /// Something that was asked for and refused, with the reason.
    #[must_use]
    pub fn refused(action: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { refused: Some(reason.into()), ..Self::done(action) }
    }

    /// Name of the resource it is about.
    #[must_use]
    pub fn about(mut self, resource: impl ToString) -> Self {
        self.resource = Some(resource.to_string());
        self
    }

    /// Who did it, where the call had no credential yet: `users/{id}` after a proof.
    #[must_use]
    pub fn by(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Who acts for him, where the call's credential does not say so.
    #[must_use]
    pub fn through(mut self, acting: impl Into<String>) -> Self {
        self.acting = Some(acting.into());
        self
    }

    /// Organization whose log it belongs to; only a system transaction can commit that of another one.
    #[must_use]
    pub fn of(mut self, organization: OrganizationId) -> Self {
        self.organization = Some(organization);
        self
    }

    /// One more thing worth knowing; never a secret.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.details.insert(name.to_owned(), Value::from(cut(&value.to_string())));
        self
    }

    /// Several things of one kind, parted by blanks, under `name`, `name_2` and so on: none of them is cut.
    #[must_use]
    pub fn with_all(mut self, name: &str, values: impl IntoIterator<Item = impl ToString>) -> Self {
        let mut texts = vec![String::new()];
        for value in values {
            let value = value.to_string();
            let fits = |text: &String| text.is_empty() || text.len() + 1 + value.len() <= TEXT_MAX;
            match texts.last_mut().filter(|text| fits(text)) {
                Some(text) if text.is_empty() => *text = value,
                Some(text) => *text = format!("{text} {value}"),
                None => texts.push(value),
            }
        }
        for (number, text) in (1..).zip(texts) {
            let name = if number == 1 { name.to_owned() } else { format!("{name}_{number}") };
            self = self.with(&name, text);
        }
        self
    }

    /// How many equal refusals it stands for, at least one.
    #[must_use]
    pub fn times(mut self, occurrences: u32) -> Self {
        self.occurrences = i32::try_from(occurrences.max(1)).unwrap_or(i32::MAX);
        self
    }

    pub(crate) fn write(self, ids: &Ids, organization: OrganizationId, context: &CallContext) -> Write {
        let outcome: i16 = if self.refused.is_some() { 2 } else { 1 };
        Write {
            sql: EXPLICIT,
            params: vec![
                Box::new(ids.next().uuid()),
                Box::new(self.organization.unwrap_or(organization).uuid()),
                Box::new(context.method.clone()),
                Box::new(cut(&self.action)),
                Box::new(cut(self.resource.as_ref().unwrap_or(&context.resource))),
                Box::new(cut(self.actor.as_ref().unwrap_or(&context.actor))),
                Box::new(cut(self.acting.as_ref().unwrap_or(&context.acting))),
                Box::new(outcome),
                Box::new(cut(&self.refused.unwrap_or_default())),
                Box::new(context.network.clone()),
                Box::new(context.request_id.clone()),
                Box::new(context.traceparent.clone()),
                Box::new(self.occurrences),
                Box::new(Json(Value::Object(self.details))),
            ],
        }
    }
}

fn cut(text: &str) -> String {
    text.chars().filter(|letter| *letter != '\0').take(TEXT_MAX).collect()
}

/// The row of a change whose service says nothing of its own.
pub(crate) fn write(ids: &Ids, organization: OrganizationId, context: &CallContext) -> Write {
    Write {
        sql: IMPLICIT,
        params: vec![
            Box::new(ids.next().uuid()),
            Box::new(organization.uuid()),
            Box::new(context.method.clone()),
            Box::new(cut(&context.resource)),
            Box::new(context.actor.clone()),
            Box::new(context.acting.clone()),
            Box::new(context.network.clone()),
            Box::new(context.request_id.clone()),
            Box::new(context.traceparent.clone()),
        ],
    }
}

impl Db {
    /// Keeps refusals of calls that reached no transaction, each with the context of its call.
    ///
    /// # Errors
    /// Those of [`crate::Kind`]; nothing is kept then.
    pub async fn audit_refusals(&self, refusals: Vec<(CallContext, Record)>) -> Result<(), Error> {
        let tx = self.quiet("audit refusals").await?;
        for (context, record) in refusals {
            tx.audit_as(&context, record);
        }
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_texts_go_under_several_names_and_none_is_cut() {
        let record = Record::done("x").with_all("scopes", (0..100).map(|number| format!("permission:{number}")));
        let texts: Vec<&str> = record.details.values().filter_map(Value::as_str).collect();
        assert!(texts.len() > 1 && texts.iter().all(|text| text.len() <= TEXT_MAX));
        assert_eq!(texts.iter().flat_map(|text| text.split(' ')).count(), 100);
        assert!(record.details.contains_key("scopes") && record.details.contains_key("scopes_2"));
        assert_eq!(Record::done("x").with_all("scopes", [""; 0]).details["scopes"], "");
    }
}
