//! What this service publishes: events are thin, whoever needs content reads it. And what it hears: that a group, a
//! role or a link is gone.
use std::sync::Arc;

use ::events::{Consumer, Delivery, Handler, Outcome};
use api::timestamp;
use futures::future::BoxFuture;
use proto::{
    Event,
    api::v1::{Relations, relations},
    auth::v1::{CustomRoleDeleted, GroupDeleted, LinkDeleted},
    document::v1::{DocumentCreated, DocumentDeleted, DocumentGrantsChanged, DocumentUndeleted, DocumentUpdated},
};

use crate::{
    model::{Document, DocumentName, Grant, Principal},
    service::Documents,
};

const GROUPS: &str = "groups";

/// The consumer of groups, roles and links that are gone.
pub(crate) fn groups() -> Consumer {
    Consumer::new(GROUPS).on::<GroupDeleted>().on::<CustomRoleDeleted>().on::<LinkDeleted>()
}

/// Ends what groups, roles and links hold that are gone.
pub(crate) struct Groups(pub(crate) Arc<Documents>);

impl Handler for Groups {
    fn handle(&self, delivery: Delivery) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            match gone(&delivery) {
                Ok(principal) => {
                    let (organization, context) = (delivery.envelope.organization, delivery.context(GROUPS));
                    Outcome::from(self.0.end_principal(organization, &principal, &context).await)
                }
                Err(outcome) => outcome,
            }
        })
    }
}

/// Who is gone.
fn gone(delivery: &Delivery) -> Result<Principal, Outcome> {
    let name = match delivery.envelope.kind.as_str() {
        GroupDeleted::TYPE => format!("{}#member", delivery.decode::<GroupDeleted>()?.name),
        CustomRoleDeleted::TYPE => format!("{}#member", delivery.decode::<CustomRoleDeleted>()?.name),
        LinkDeleted::TYPE => format!("{}#holder", delivery.decode::<LinkDeleted>()?.name),
        other => return Err(Outcome::Hold(format!("{other} is not known here"))),
    };
    Principal::parse(&name, delivery.envelope.organization)
        .map_err(|_| Outcome::Hold(format!("{name} is no principal")))
}

/// A document was created.
pub(crate) fn created(document: &Document) -> DocumentCreated {
    DocumentCreated { name: document.name.to_string() }
}

/// A document was changed in the fields named.
pub(crate) fn updated(document: &Document, changed_paths: Vec<String>) -> DocumentUpdated {
    DocumentUpdated { name: document.name.to_string(), changed_paths, files: Vec::new(), relations: None }
}

/// Files were attached or taken off.
pub(crate) fn files_changed(document: &Document) -> DocumentUpdated {
    files_are(document.name, document.file_names())
}

/// A document was purged: nothing refers to its files any more, and nobody holds anything on it.
pub(crate) fn released(name: DocumentName) -> DocumentUpdated {
    DocumentUpdated { relations: Some(Relations::default()), ..files_are(name, Vec::new()) }
}

fn files_are(name: DocumentName, files: Vec<String>) -> DocumentUpdated {
    DocumentUpdated { name: name.to_string(), changed_paths: vec!["files".to_owned()], files, relations: None }
}

/// A document was moved to the trash.
pub(crate) fn deleted(name: DocumentName) -> DocumentDeleted {
    DocumentDeleted { name: name.to_string() }
}

/// A document was taken out of the trash.
pub(crate) fn undeleted(document: &Document) -> DocumentUndeleted {
    DocumentUndeleted { name: document.name.to_string() }
}

/// Somebody gained or lost access; `grants` are all that there are now.
pub(crate) fn grants_changed(
    name: DocumentName,
    title: String,
    (gained, lost): (Vec<String>, Vec<String>),
    grants: &[Grant],
) -> DocumentGrantsChanged {
    let holder = |grant: &Grant| relations::Holder {
        subject: grant.principal.as_str().to_owned(),
        share: grant.role.into(),
        expire_time: grant.expire_time.map(timestamp),
    };
    let relations = Relations { holders: grants.iter().map(holder).collect(), parents: Vec::new() };
    DocumentGrantsChanged { name: name.to_string(), gained, lost, title, relations: Some(relations) }
}
