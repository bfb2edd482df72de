//! Files of a document: attach, detach.
use api::Caller;

use super::{Attempt, Documents};
use crate::{
    error::Error,
    events,
    model::{DocumentName, Edition, FileName},
};

impl Documents {
    /// Attaches a file that the caller may read.
    pub(crate) async fn attach(
        &self,
        caller: &Caller,
        name: DocumentName,
        file: FileName,
        etag: &str,
        attempt: &Attempt,
    ) -> Result<Edition, Error> {
        let Some(change) = self.begin(caller, name, attempt).await? else {
            return self.get(caller, name).await;
        };
        change.current.document.changeable(etag)?;
        // The change is given up and begun again, so that nobody waits for its lock while the file service is asked.
        drop(change);
        if file.organization != name.organization {
            return Err(Error::FileNotFound(file.to_string()));
        }
        self.files.check_readable(caller, file).await?;
        let Some(change) = self.begin(caller, name, attempt).await? else {
            return self.get(caller, name).await;
        };
        change.current.document.changeable(etag)?;
        let Some(next) = change.current.document.with_file(file.file, self.clock.now())? else {
            return change.keep().await;
        };
        let event = events::files_changed(&next);
        change.save(next, event).await
    }

    /// Takes a file off a document; one that is not attached is as wanted.
    pub(crate) async fn detach(
        &self,
        caller: &Caller,
        name: DocumentName,
        file: FileName,
        etag: &str,
        attempt: &Attempt,
    ) -> Result<Edition, Error> {
        let Some(change) = self.begin(caller, name, attempt).await? else {
            return self.get(caller, name).await;
        };
        change.current.document.changeable(etag)?;
        let attached = Some(file).filter(|file| file.organization == name.organization);
        let next = attached.and_then(|file| change.current.document.without_file(file.file, self.clock.now()));
        let Some(next) = next else { return change.keep().await };
        let event = events::files_changed(&next);
        change.save(next, event).await
    }
}
