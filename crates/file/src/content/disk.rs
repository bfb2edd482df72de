//! Bytes on the local disk: `uploads/<id>.<fence>` while they come, `objects/<2 letters>/<id>` when they are complete.
//!
//! Paths are made of ids and numbers only. A rename makes an object, and the folder is synced after it.
use std::{
    io::SeekFrom,
    path::{Path, PathBuf},
};

use api::Id;
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
};

use super::{Content, ContentError, Reader, Segment, SegmentWriter};

/// Bytes read at a time.
const PIECE: usize = 256 * 1024;

/// The local disk.
#[derive(Clone, Debug)]
pub(crate) struct LocalDisk {
    root: PathBuf,
}

impl LocalDisk {
    /// Uses a folder of its own.
    pub(crate) async fn open(root: PathBuf) -> Result<Self, std::io::Error> {
        fs::create_dir_all(root.join("uploads")).await?;
        fs::create_dir_all(root.join("objects")).await?;
        Ok(Self { root })
    }

    fn segment_path(&self, upload: Id, fence: i64) -> PathBuf {
        self.root.join("uploads").join(format!("{upload}.{fence}"))
    }

    /// The end of an id is random, its beginning is the time.
    fn object_path(&self, object: Id) -> PathBuf {
        let id = object.to_string();
        self.root.join("objects").join(&id[id.len() - 2..]).join(id)
    }

    async fn concatenate(&self, upload: Id, segments: &[Segment], length: i64, target: &Path) -> Result<(), ContentError> {
        let mut out = File::create(target).await?;
        let mut parts = self.parts(upload, segments, length);
        parts.reverse();
        let mut reader = Parts { rest: parts, open: None };
        loop {
            let piece = reader.next().await?;
            if piece.is_empty() {
                break;
            }
            out.write_all(&piece).await?;
        }
        out.flush().await?;
        out.sync_all().await?;
        Ok(())
    }

    /// The files that the upload consists of, with the part of each that counts.
    fn parts(&self, upload: Id, segments: &[Segment], length: i64) -> Vec<Part> {
        let ends = segments.iter().skip(1).map(|segment| segment.start).chain([length]);
        let counted = segments.iter().zip(ends).filter(|(segment, end)| segment.start < *end);
        counted.map(|(segment, end)| Part { path: self.segment_path(upload, segment.fence), start: 0, length: end - segment.start }).collect()
    }
}

impl Content for LocalDisk {
    fn segment(&self, upload: Id, segment: Segment, length: i64) -> BoxFuture<'_, Result<Box<dyn SegmentWriter>, ContentError>> {
        Box::pin(async move {
            let path = self.segment_path(upload, segment.fence);
            let mut file = OpenOptions::new().create(true).truncate(false).write(true).read(true).open(&path).await?;
            let stored = file.metadata().await?.len();
            let length = u64::try_from(length).unwrap_or_default();
            if stored < length {
                return Err(ContentError::Damaged);
            }
            if stored > length {
                file.set_len(length).await?;
            }
            file.seek(SeekFrom::Start(length)).await?;
            file.set_max_buf_size(PIECE);
            let fresh = stored == 0;
            let folder = self.root.join("uploads");
            Ok(Box::new(DiskSegment { file, folder: fresh.then_some(folder) }) as Box<dyn SegmentWriter>)
        })
    }

    fn read_segments<'a>(&'a self, upload: Id, segments: &'a [Segment], length: i64) -> BoxFuture<'a, Result<Box<dyn Reader>, ContentError>> {
        Box::pin(async move {
            let mut rest = self.parts(upload, segments, length);
            rest.reverse();
            Ok(Box::new(Parts { rest, open: None }) as Box<dyn Reader>)
        })
    }

    fn finish<'a>(&'a self, upload: Id, segments: &'a [Segment], length: i64) -> BoxFuture<'a, Result<(), ContentError>> {
        Box::pin(async move {
            let object = self.object_path(upload);
            if let Ok(found) = fs::metadata(&object).await
                && i64::try_from(found.len()).is_ok_and(|stored| stored == length)
            {
                return Ok(());
            }
            let folder = object.parent().unwrap_or(&self.root).to_owned();
            fs::create_dir_all(&folder).await?;
            let whole = match self.parts(upload, segments, length).as_slice() {
                [only] => only.path.clone(),
                _ => {
                    let target = self.root.join("uploads").join(format!("{upload}.whole"));
                    self.concatenate(upload, segments, length, &target).await?;
                    target
                }
            };
            let stored = fs::metadata(&whole).await?.len();
            if i64::try_from(stored).is_ok_and(|stored| stored != length) {
                // What lies beyond the length was never acknowledged.
                let file = OpenOptions::new().write(true).open(&whole).await?;
                if stored < u64::try_from(length).unwrap_or_default() {
                    return Err(ContentError::Damaged);
                }
                file.set_len(u64::try_from(length).unwrap_or_default()).await?;
                file.sync_all().await?;
            }
            fs::rename(&whole, &object).await?;
            sync_folder(&folder).await?;
            sync_folder(&self.root.join("objects")).await
        })
    }

    fn read(&self, object: Id, start: i64, length: i64) -> BoxFuture<'_, Result<Box<dyn Reader>, ContentError>> {
        Box::pin(async move {
            let path = self.object_path(object);
            let stored = match fs::metadata(&path).await {
                Ok(found) => i64::try_from(found.len()).unwrap_or(i64::MAX),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(ContentError::Damaged),
                Err(error) => return Err(error.into()),
            };
            if stored < start.saturating_add(length) {
                return Err(ContentError::Damaged);
            }
            let rest = if length == 0 { Vec::new() } else { vec![Part { path, start, length }] };
            Ok(Box::new(Parts { rest, open: None }) as Box<dyn Reader>)
        })
    }

    fn drop_segments<'a>(&'a self, upload: Id, segments: &'a [Segment]) -> BoxFuture<'a, Result<(), ContentError>> {
        Box::pin(async move {
            for segment in segments {
                remove(&self.segment_path(upload, segment.fence)).await?;
            }
            remove(&self.root.join("uploads").join(format!("{upload}.whole"))).await
        })
    }

    fn drop_object(&self, object: Id) -> BoxFuture<'_, Result<(), ContentError>> {
        Box::pin(async move { remove(&self.object_path(object)).await })
    }
}

struct DiskSegment {
    file: File,
    /// Folder that has to be synced once, because the file is new in it.
    folder: Option<PathBuf>,
}

impl SegmentWriter for DiskSegment {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), ContentError>> {
        Box::pin(async move { Ok(self.file.write_all(&bytes).await?) })
    }

    fn sync(&mut self) -> BoxFuture<'_, Result<(), ContentError>> {
        Box::pin(async move {
            self.file.flush().await?;
            self.file.sync_data().await?;
            match self.folder.take() {
                Some(folder) => sync_folder(&folder).await,
                None => Ok(()),
            }
        })
    }
}

struct Part {
    path: PathBuf,
    start: i64,
    length: i64,
}

/// Reads files one after the other.
struct Parts {
    /// The next one stands last.
    rest: Vec<Part>,
    open: Option<(File, i64)>,
}

impl Reader for Parts {
    fn next(&mut self) -> BoxFuture<'_, Result<Bytes, ContentError>> {
        Box::pin(async move {
            loop {
                let Some((file, left)) = &mut self.open else {
                    let Some(part) = self.rest.pop() else { return Ok(Bytes::new()) };
                    let mut file = File::open(&part.path).await?;
                    file.seek(SeekFrom::Start(u64::try_from(part.start).unwrap_or_default())).await?;
                    self.open = Some((file, part.length));
                    continue;
                };
                if *left == 0 {
                    self.open = None;
                    continue;
                }
                let wanted = usize::try_from(*left).unwrap_or(PIECE).min(PIECE);
                let mut piece = BytesMut::with_capacity(wanted);
                let read = file.take(wanted as u64).read_buf(&mut piece).await?;
                if read == 0 {
                    return Err(ContentError::Damaged);
                }
                *left -= i64::try_from(read).unwrap_or_default();
                return Ok(piece.freeze());
            }
        })
    }
}

async fn sync_folder(folder: &Path) -> Result<(), ContentError> {
    Ok(File::open(folder).await?.sync_all().await?)
}

async fn remove(path: &Path) -> Result<(), ContentError> {
    match fs::remove_file(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
