//! Files: look, list, delete, and what the index is told.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use api::{CallContext, Caller, Etag, Id, OrganizationId, Share};

use super::{Attempt, Files};
use crate::{
    error::Error,
    events,
    model::{DocumentName, File, FileName, Position},
    peers::Documents,
    store,
};

/// Who holds this by a role reads every document, and with it the files attached.
const DOCUMENT_READ: &str = "document:read";
/// Documents that are asked for the readers of one file.
const DOCUMENTS: usize = Documents::BATCH;
/// Documents that are asked for the readers of many files, and the least for one of them.
const DOCUMENTS_IN_ALL: usize = 10_000;
const DOCUMENTS_LEAST: usize = 10;
/// Principals in one answer: with names and titles they stay below the largest message of the mesh. Who is left out does not
/// find the file, but can read it.
const PRINCIPALS_IN_ALL: usize = 80_000;

impl Files {
    /// The record of a file that the caller may read. A deleted file is there for nobody.
    pub(crate) async fn get_file(&self, caller: &Caller, name: FileName) -> Result<File, Error> {
        let tx = self.db.tenant(caller).await?;
        let found = store::file::find(&tx, name).await?.filter(|file| file.delete_time.is_none());
        if caller.granted() || found.as_ref().is_some_and(|file| Some(file.owner) == caller.user()) {
            return Ok(caller.permit_own(found, |_| true, name)?);
        }
        // The reference rows decide which documents to ask; the documents' own rows decide who may read them.
        let documents =
            if found.is_some() { store::reference::documents(&tx, name, DOCUMENTS).await? } else { Vec::new() };
        drop(tx);
        let readers = self.documents.principals(name.organization, &documents, caller.context()).await?;
        let principals = self.groups.readers(caller, &[DOCUMENT_READ]).await;
        let reads = readers.values().any(|readers| principals.hold(readers));
        Ok(principals.decided(caller.permit(found, |_| reads.then_some(Share::Reader), name))?)
    }

    /// Lists files: all of them by role, else the caller's own.
    pub(crate) async fn list_files(
        &self,
        caller: &Caller,
        after: Option<Position>,
        size: usize,
    ) -> Result<(Vec<File>, Option<Position>), Error> {
        let organization = caller.organization()?;
        let owner = if caller.granted() { None } else { Some(caller.user_required()?) };
        let tx = self.db.tenant(caller).await?;
        let mut files = store::file::list(&tx, organization, owner, after, size + 1).await?;
        let more = files.len() > size;
        files.truncate(size);
        let next =
            files.last().filter(|_| more).map(|file| Position { create_micros: micros(file), id: file.name.file });
        Ok((files, next))
    }

    /// Deletes a file; its bytes are kept a while.
    pub(crate) async fn delete_file(
        &self,
        caller: &Caller,
        name: FileName,
        etag: &str,
        attempt: &Attempt,
    ) -> Result<(), Error> {
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
        tx.publish(&events::deleted(name), name.file, file.version)?;
        attempt.remember(&tx, &name.to_string());
        Ok(tx.commit().await?)
    }

    /// Files with those who may read them beyond the roles: owners, and readers of the documents they are attached to.
    pub(crate) async fn batch_read(
        &self,
        organization: OrganizationId,
        ids: &[Id],
        context: &CallContext,
    ) -> Result<Vec<(File, Vec<String>)>, Error> {
        let asked = ids.len().max(1);
        let of_each = (DOCUMENTS_IN_ALL / asked).clamp(DOCUMENTS_LEAST, DOCUMENTS);
        let tx = self.db.tenant_as(organization, context).await?;
        let files = store::file::find_many(&tx, organization, ids).await?;
        let pairs = store::reference::documents_of_many(&tx, organization, ids, of_each).await?;
        drop(tx);
        let mut readers = self.readers(organization, pairs, PRINCIPALS_IN_ALL / asked, context).await?;
        let with = |file: File| {
            let mut known = readers.remove(&file.name.file).unwrap_or_default();
            known.insert(file.owner.name());
            (file, known.into_iter().collect())
        };
        Ok(files.into_iter().map(with).collect())
    }

    /// Who may read each file because he may read a document it is attached to; at most `most` for each, where whole
    /// organizations come before persons.
    async fn readers(
        &self,
        organization: OrganizationId,
        pairs: Vec<(Id, DocumentName)>,
        most: usize,
        context: &CallContext,
    ) -> Result<HashMap<Id, BTreeSet<String>>, Error> {
        let mut files_of: BTreeMap<DocumentName, Vec<Id>> = BTreeMap::new();
        for (file, document) in pairs {
            files_of.entry(document).or_default().push(file);
        }
        let documents: Vec<_> = files_of.keys().copied().collect();
        let mut found: HashMap<Id, BTreeSet<String>> = HashMap::new();
        for batch in documents.chunks(Documents::BATCH) {
            let readers = self.documents.principals(organization, batch, context).await?;
            for document in batch {
                let Some(principals) = readers.get(&document.to_string()) else { continue };
                for file in files_of.get(document).into_iter().flatten() {
                    add(found.entry(*file).or_default(), principals, most);
                }
            }
        }
        Ok(found)
    }
}

/// `organizations/..` sorts before `users/..`, so persons give way.
fn add(known: &mut BTreeSet<String>, principals: &[String], most: usize) {
    for principal in principals {
        known.insert(principal.clone());
        if known.len() > most {
            known.pop_last();
        }
    }
}

fn micros(file: &File) -> i64 {
    i64::try_from(file.create_time.unix_timestamp_nanos() / 1000).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_organizations_come_before_persons() {
        let (mut known, all) =
            (BTreeSet::new(), ["users/b", "users/a", "users/b", "organizations/o#viewer"].map(str::to_owned));
        add(&mut known, &all, 2);
        assert_eq!(known.into_iter().collect::<Vec<_>>(), ["organizations/o#viewer", "users/a"]);
    }
}
