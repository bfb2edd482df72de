//! What this service publishes, and what it hears: which files a document has, and who may read the document.
use std::sync::Arc;

use ::events::{Consumer, Delivery, Guard, Handler, Outcome};
use api::Id;
use futures::future::BoxFuture;
use proto::{
    document::v1::{DocumentDeleted, DocumentGrantsChanged, DocumentUndeleted, DocumentUpdated},
    file::v1::{FileCreated, FileDeleted, FileReferencesChanged},
};

use crate::{
    error::Error,
    model::{DocumentName, File, FileName},
    service::Files,
};

const NAME: &str = "references";

/// A file was completed.
pub(crate) fn created(file: &File) -> FileCreated {
    FileCreated { name: file.name.to_string() }
}

/// Documents of a file, or who may read them, changed.
pub(crate) fn references_changed(file: &File) -> FileReferencesChanged {
    FileReferencesChanged { name: file.name.to_string() }
}

/// A file was deleted.
pub(crate) fn deleted(name: FileName) -> FileDeleted {
    FileDeleted { name: name.to_string() }
}

/// The consumer of document events.
pub(crate) fn references() -> Consumer {
    Consumer::new(NAME)
        .on::<DocumentUpdated>()
        .on::<DocumentGrantsChanged>()
        .on::<DocumentDeleted>()
        .on::<DocumentUndeleted>()
}

/// Keeps the references.
pub(crate) struct References(pub(crate) Arc<Files>);

impl Handler for References {
    fn handle(&self, delivery: Delivery) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let change = match change(&delivery) {
                Ok(Some(change)) => change,
                Ok(None) => return Outcome::Done,
                Err(outcome) => return outcome,
            };
            Outcome::from(self.apply(&delivery, change).await)
        })
    }
}

/// What an event says about references: the new list, or that the document's readers changed.
struct Change {
    document: String,
    files: Option<Vec<String>>,
}

fn change(delivery: &Delivery) -> Result<Option<Change>, Outcome> {
    let readers = |document| Ok(Some(Change { document, files: None }));
    match delivery.envelope.kind.as_str() {
        "document.updated" => {
            let event: DocumentUpdated = delivery.decode()?;
            let listed = event.changed_paths.iter().any(|path| path == "files");
            Ok(listed.then_some(Change { document: event.name, files: Some(event.files) }))
        }
        "document.grants_changed" => readers(delivery.decode::<DocumentGrantsChanged>()?.name),
        "document.deleted" => readers(delivery.decode::<DocumentDeleted>()?.name),
        "document.undeleted" => readers(delivery.decode::<DocumentUndeleted>()?.name),
        other => Err(Outcome::Hold(format!("{other} is not known here"))),
    }
}

impl References {
    async fn apply(&self, delivery: &Delivery, change: Change) -> Result<(), Error> {
        let document = DocumentName::parse(&change.document)?;
        let context = delivery.context(NAME);
        match change.files {
            Some(files) => {
                let files: Vec<Id> = {
                    let names = files.iter().map(|name| FileName::parse(name)).collect::<Result<Vec<_>, _>>()?;
                    // A document has files of its own organization only.
                    let own = names.into_iter().filter(|name| name.organization == document.organization);
                    own.map(|name| name.file).collect()
                };
                let guard = Guard::new("document_guards");
                self.0.attach(&guard, &delivery.envelope, document, &files, &context).await
            }
            None => self.0.readers_changed(delivery.envelope.event_id, document, &context).await,
        }
    }
}
