//! Bytes on the local disk: `uploads/<id>.<fence>` while they come, `objects/<2 letters>/<id>` when they are complete.
//!
//! Paths are made of ids and numbers only. A rename makes an object, and the folder is synced after it. Work that may block
//! runs on the threads for it, one piece at a time; writing names its position, so that a failed write leaves no trace.
mod read;

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use api::Id;
use bytes::Bytes;
use futures::future::BoxFuture;
use time::OffsetDateTime;

use super::{Content, ContentError, Opened, Reader, Segment, SegmentWriter, Stored};
use read::{Part, Parts};

/// Characters of an id (Crockford base32), in lower case. Two of them name a folder of objects.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The local disk.
#[derive(Clone, Debug)]
pub(crate) struct LocalDisk {
    root: PathBuf,
}

impl LocalDisk {
    /// Uses a folder of its own.
    pub(crate) async fn open(root: PathBuf) -> Result<Self, ContentError> {
        let folder = root.clone();
        blocking(move || {
            fs::create_dir_all(folder.join("uploads"))?;
            fs::create_dir_all(folder.join("objects"))?;
            sync_folder(&folder)
        })
        .await?;
        Ok(Self { root })
    }

    fn uploads(&self) -> PathBuf {
        self.root.join("uploads")
    }

    fn segment_path(&self, content: Id, fence: i64) -> PathBuf {
        self.uploads().join(format!("{content}.{fence}"))
    }

    fn whole_path(&self, content: Id, fence: i64) -> PathBuf {
        self.uploads().join(format!("{content}.{fence}.whole"))
    }

    /// The end of an id is random, its beginning is the time.
    fn object_path(&self, content: Id) -> PathBuf {
        let id = content.to_string();
        self.root.join("objects").join(&id[id.len() - 2..]).join(id)
    }

    /// The files that the upload consists of, with the part of each that counts.
    fn parts(&self, content: Id, segments: &[Segment], length: i64) -> Vec<Part> {
        let ends = segments.iter().skip(1).map(|segment| segment.start).chain([length]);
        let counted = segments.iter().zip(ends).filter(|(segment, end)| segment.start < *end);
        let part = |(segment, end): (&Segment, i64)| Part {
            path: self.segment_path(content, segment.fence),
            start: 0,
            length: end - segment.start,
        };
        counted.map(part).collect()
    }

    /// Path below the root of a shelf.
    fn shelf_key(number: usize) -> String {
        match number.checked_sub(1) {
            None => "uploads".to_owned(),
            Some(at) => {
                let letter = |at: usize| char::from(LETTERS[at % LETTERS.len()]);
                format!("objects/{}{}", letter(at / LETTERS.len()), letter(at))
            }
        }
    }
}

impl Content for LocalDisk {
    fn segment(
        &self,
        content: Id,
        segment: Segment,
        length: i64,
    ) -> BoxFuture<'_, Result<Box<dyn SegmentWriter>, ContentError>> {
        let (path, folder) = (self.segment_path(content, segment.fence), self.uploads());
        Box::pin(blocking(move || {
            let end = bytes(length);
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            let stored = file.metadata()?.len();
            if stored < end {
                return Err(ContentError::Damaged);
            }
            if stored > end {
                file.set_len(end)?;
            }
            // As long as nothing of it is durable, its name may not be either.
            let folder = (end == 0).then_some(folder);
            Ok(Box::new(DiskSegment { file: Arc::new(file), end, folder }) as Box<dyn SegmentWriter>)
        }))
    }

    fn read_segments<'a>(&'a self, content: Id, segments: &'a [Segment], length: i64) -> Opened<'a> {
        let parts = self.parts(content, segments, length);
        Box::pin(async move { Ok(Box::new(Parts::new(parts)) as Box<dyn Reader>) })
    }

    fn finish<'a>(
        &'a self,
        content: Id,
        segments: &'a [Segment],
        length: i64,
        fence: i64,
    ) -> BoxFuture<'a, Result<(), ContentError>> {
        let (object, whole) = (self.object_path(content), self.whole_path(content, fence));
        let (parts, objects) = (self.parts(content, segments, length), self.root.join("objects"));
        Box::pin(async move {
            let known = object.clone();
            if blocking(move || finished(&known, length)).await? {
                return Ok(());
            }
            let whole = match parts.as_slice() {
                [only] => only.path.clone(),
                _ => concatenate(parts, whole).await?,
            };
            blocking(move || place(&whole, &object, &objects, length)).await
        })
    }

    fn read(&self, content: Id, start: i64, length: i64) -> Opened<'_> {
        let path = self.object_path(content);
        Box::pin(async move {
            let checked = path.clone();
            if blocking(move || length_of(&checked)).await?.is_none_or(|stored| stored < start.saturating_add(length)) {
                return Err(ContentError::Damaged);
            }
            Ok(Box::new(Parts::new(vec![Part { path, start, length }])) as Box<dyn Reader>)
        })
    }

    fn drop_segments<'a>(&'a self, content: Id, segments: &'a [Segment]) -> BoxFuture<'a, Result<(), ContentError>> {
        let both =
            |segment: &Segment| [self.segment_path(content, segment.fence), self.whole_path(content, segment.fence)];
        let paths: Vec<_> = segments.iter().flat_map(both).collect();
        Box::pin(blocking(move || paths.iter().try_for_each(|path| remove(path))))
    }

    fn drop_object(&self, content: Id) -> BoxFuture<'_, Result<(), ContentError>> {
        let path = self.object_path(content);
        Box::pin(blocking(move || remove(&path)))
    }

    fn shelves(&self) -> usize {
        1 + LETTERS.len() * LETTERS.len()
    }

    fn shelf(&self, number: usize) -> BoxFuture<'_, Result<Vec<Stored>, ContentError>> {
        let (key, root) = (Self::shelf_key(number), self.root.clone());
        Box::pin(blocking(move || {
            let entries = match fs::read_dir(root.join(&key)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                entries => entries?,
            };
            Ok(entries.flatten().filter_map(|entry| stored(&key, number > 0, &entry)).collect())
        }))
    }

    fn discard<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), ContentError>> {
        let path = self.root.join(key);
        Box::pin(blocking(move || remove(&path)))
    }
}

struct DiskSegment {
    file: Arc<File>,
    end: u64,
    /// Folder that has to be synced once, because the file is new in it.
    folder: Option<PathBuf>,
}

impl SegmentWriter for DiskSegment {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), ContentError>> {
        let (file, at, length) = (self.file.clone(), self.end, bytes.len() as u64);
        Box::pin(async move {
            blocking(move || Ok(file.write_all_at(&bytes, at)?)).await?;
            self.end += length;
            Ok(())
        })
    }

    fn sync(&mut self) -> BoxFuture<'_, Result<(), ContentError>> {
        let (file, folder) = (self.file.clone(), self.folder.clone());
        Box::pin(async move {
            blocking(move || {
                file.sync_data()?;
                folder.map_or(Ok(()), |folder| sync_folder(&folder))
            })
            .await?;
            self.folder = None;
            Ok(())
        })
    }

    fn cut(&mut self, length: i64) -> BoxFuture<'_, Result<(), ContentError>> {
        let (file, end) = (self.file.clone(), bytes(length));
        Box::pin(async move {
            blocking(move || Ok(file.set_len(end)?)).await?;
            self.end = end;
            Ok(())
        })
    }
}

/// Runs work that blocks where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ContentError> + Send + 'static,
) -> Result<T, ContentError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(ContentError::Io(io::Error::other(error))))
}

/// One file of several parts, durable.
async fn concatenate(parts: Vec<Part>, target: PathBuf) -> Result<PathBuf, ContentError> {
    let path = target.clone();
    let file = Arc::new(blocking(move || Ok(File::create(path)?)).await?);
    let mut reader = Parts::new(parts);
    let mut at = 0;
    loop {
        let (piece, file) = (reader.next().await?, file.clone());
        let length = piece.len() as u64;
        if length == 0 {
            blocking(move || Ok(file.sync_all()?)).await?;
            return Ok(target);
        }
        blocking(move || Ok(file.write_all_at(&piece, at)?)).await?;
        at += length;
    }
}

/// An earlier try made the object. Its folder may not have been synced then.
fn finished(object: &Path, length: i64) -> Result<bool, ContentError> {
    match length_of(object)? {
        None => Ok(false),
        Some(stored) if stored == length => object.parent().map_or(Ok(()), sync_folder).map(|()| true),
        Some(_) => Err(ContentError::Damaged),
    }
}

/// Moves a whole file to its place.
fn place(whole: &Path, object: &Path, objects: &Path, length: i64) -> Result<(), ContentError> {
    let stored = length_of(whole)?.ok_or(ContentError::Damaged)?;
    if stored < length {
        return Err(ContentError::Damaged);
    }
    if stored > length {
        // What lies beyond the length was never acknowledged.
        let file = OpenOptions::new().write(true).open(whole)?;
        file.set_len(bytes(length))?;
        file.sync_all()?;
    }
    let folder = object.parent().unwrap_or(objects);
    fs::create_dir_all(folder)?;
    fs::rename(whole, object)?;
    sync_folder(folder)?;
    sync_folder(objects)
}

fn stored(shelf: &str, complete: bool, entry: &fs::DirEntry) -> Option<Stored> {
    let name = entry.file_name().into_string().ok()?;
    let content = name.split('.').next()?.parse().ok()?;
    let modified = OffsetDateTime::from(entry.metadata().ok()?.modified().ok()?);
    Some(Stored { content, complete, key: format!("{shelf}/{name}"), modified })
}

fn length_of(path: &Path) -> Result<Option<i64>, ContentError> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(i64::try_from(found.len()).unwrap_or(i64::MAX))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Lengths are never negative: the database says so.
fn bytes(length: i64) -> u64 {
    u64::try_from(length).unwrap_or_default()
}

fn sync_folder(folder: &Path) -> Result<(), ContentError> {
    Ok(File::open(folder)?.sync_all()?)
}

fn remove(path: &Path) -> Result<(), ContentError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
