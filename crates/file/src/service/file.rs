//! Files: look, list, delete, and what the index is told.
use std::collections::HashMap;

use api::{CallContext, Caller, Etag, Id, OrganizationId, Share};

use super::{Attempt, Files};
use crate::{
    error::Error,
    events,
    model::{File, FileName, Position},
    store,
};

/// Documents that are asked for the readers of one file.
const DOCUMENTS: i64 = 200;

impl Files {
    /// The record of a file that the caller may read. A deleted file is there for nobody.
    pub(crate) async fn get_file(&self, caller: &Caller, name: FileName) -> Result<File, Error> {
        let tx = self.db.tenant(caller).await?;
        let found = store::file::find(&tx, name).await?.filter(|file| file.delete_time.is_none());
        if caller.granted() || found.as_ref().is_some_and(|file| Some(file.owner) == caller.user()) {
            return Ok(caller.permit_own(found, |_| true, name)?);
        }
        // The reference rows decide which documents to ask; the documents' own rows decide who may read them.
        let documents = if found.is_some() { store::reference::documents(&tx, name, DOCUMENTS).await? } else { Vec::new() };
        drop(tx);
        let readers = self.documents.principals(name.organization, &documents, caller.context()).await?;
        let reads = readers.values().flatten().any(|principal| caller.principals().contains(principal));
        Ok(caller.permit(found, |_| reads.then_some(Share::Reader), name)?)
    }

    /// Lists files: all of them by role, else the caller's own.
    pub(crate) async fn list_files(&self, caller: &Caller, after: Option<Position>, size: usize) -> Result<(Vec<File>, Option<Position>), Error> {
        let organization = caller.organization()?;
        let owner = if caller.granted() { None } else { Some(caller.user_required()?) };
        let tx = self.db.tenant(caller).await?;
        let mut files = store::file::list(&tx, organization, owner, after, size + 1).await?;
        let more = files.len() > size;
        files.truncate(size);
        let next = files.last().filter(|_| more).map(|file| Position { create_micros: micros(file), id: file.name.file });
        Ok((files, next))
    }

    /// Deletes a file; its bytes are kept a while.
    pub(crate) async fn delete_file(&self, caller: &Caller, name: FileName, etag: &str, attempt: &Attempt) -> Result<(), Error> {
        let tx = self.db.tenant(caller).await?;
        if attempt.is_repeat(&tx).await? {
            return Ok(());
        }
        let found = store::file::lock(&tx, name).await?.filter(|file| file.delete_time.is_none());
        let file = caller.permit_own(found, |file| Some(file.owner) == caller.user(), name)?;
        Etag::check(etag, file.version)?;
        if !store::reference::documents(&tx, name, 1).await?.is_empty() {
            return Err(Error::Attached);
        }
        let file = file.deleted(self.clock.now());
        store::file::save(&tx, &file).await?;
        tx.publish(&events::deleted(&file), name.file, file.version)?;
        attempt.remember(&tx, &name.to_string());
        Ok(tx.commit().await?)
    }

    /// Files with those who may read them beyond the roles: owners, and readers of the documents they are attached to.
    pub(crate) async fn batch_read(&self, organization: OrganizationId, ids: &[Id], context: &CallContext) -> Result<Vec<(File, Vec<String>)>, Error> {
        let tx = self.db.tenant_as(organization, context).await?;
        let files = store::file::find_many(&tx, organization, ids).await?;
        let pairs = store::reference::documents_of_many(&tx, organization, ids, DOCUMENTS).await?;
        drop(tx);
        let mut documents: Vec<_> = pairs.iter().map(|(_, document)| *document).collect();
        documents.sort_unstable();
        documents.dedup();
        let readers = self.documents.principals(organization, &documents, context).await?;
        let mut principals: HashMap<Id, Vec<String>> = HashMap::new();
        for (file, document) in pairs {
            principals.entry(file).or_default().extend(readers.get(&document.to_string()).into_iter().flatten().cloned());
        }
        let with = |file: File| {
            let mut known = principals.remove(&file.name.file).unwrap_or_default();
            known.push(file.owner.name());
            known.sort_unstable();
            known.dedup();
            (file, known)
        };
        Ok(files.into_iter().map(with).collect())
    }
}

fn micros(file: &File) -> i64 {
    i64::try_from(file.create_time.unix_timestamp_nanos() / 1000).unwrap_or_default()
}
