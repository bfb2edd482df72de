//! What lies in the demo's folder: which files become documents and which are uploaded.
//!
//! A regular file that is UTF-8 without NUL and at most 4 MiB long becomes a document; everything else is uploaded. Symbolic
//! links, sockets and the like are counted and left alone. Ids come from organization and path, so a second run finds the
//! first one's resources. Paths need not be UTF-8: ids are made from their bytes, names shown to people are cleaned.
use std::{
    fs::File,
    io::Read,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use api::Id;

/// Longest text of a document.
pub(crate) const TEXT_LIMIT: u64 = 4 * 1024 * 1024;
/// Deepest folder that the document service keeps; deeper files go to the folder above.
const DEPTH_LIMIT: usize = 100;

/// One file to be imported.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// Where it lies.
    pub(crate) path: PathBuf,
    /// Id of document or upload.
    pub(crate) id: Id,
    /// Id of the folder, `None` for the root.
    pub(crate) folder: Option<Id>,
    /// Title or file name for people.
    pub(crate) title: String,
    /// Size in bytes.
    pub(crate) size: u64,
    /// Media type by the name's ending.
    pub(crate) media_type: &'static str,
}

/// One folder to be made, parents before children.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// Its id.
    pub(crate) id: Id,
    /// Its parent, `None` for the root.
    pub(crate) parent: Option<Id>,
    /// Name shown to people.
    pub(crate) display_name: String,
}

/// Everything found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Folders, parents first.
    pub(crate) folders: Vec<Folder>,
    /// Files that become documents.
    pub(crate) documents: Vec<Item>,
    /// Files that are uploaded.
    pub(crate) uploads: Vec<Item>,
    /// Entries that are neither file nor folder, or cannot be read.
    pub(crate) skipped: Vec<String>,
}

/// Walks `root`. `namespace` is the organization's id.
pub(crate) fn scan(root: &Path, namespace: Id) -> Result<Scan> {
    let mut scan = Scan::default();
    std::fs::read_dir(root).with_context(|| format!("{} cannot be read; name a folder with files", root.display()))?;
    for entry in walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                scan.skipped.push(error.to_string());
                continue;
            }
        };
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let folder = relative.parent().and_then(|parent| folder_id(namespace, parent));
        if entry.file_type().is_dir() {
            if let Some(id) = folder_id(namespace, relative).filter(|_| entry.depth() < DEPTH_LIMIT) {
                scan.folders.push(Folder {
                    id,
                    parent: folder,
                    display_name: cleaned(entry.file_name().as_bytes(), 200),
                });
            }
        } else if entry.file_type().is_file() {
            add_file(&mut scan, namespace, entry.path(), relative, folder);
        } else {
            scan.skipped.push(format!("{}: neither file nor folder", relative.display()));
        }
    }
    Ok(scan)
}

fn add_file(scan: &mut Scan, namespace: Id, path: &Path, relative: &Path, folder: Option<Id>) {
    let kind = match File::open(path).and_then(|mut file| Ok((file.metadata()?.len(), is_text(&mut file)?))) {
        Ok(kind) => kind,
        Err(error) => return scan.skipped.push(format!("{}: {error}", relative.display())),
    };
    let (size, text) = kind;
    let item = Item {
        path: path.to_owned(),
        id: Id::derive(
            namespace,
            &[if text { b"document:".as_slice() } else { b"file:" }, relative.as_os_str().as_bytes()].concat(),
        ),
        folder,
        title: cleaned(relative.as_os_str().as_bytes(), if text { 1024 } else { 240 }),
        size,
        media_type: media_type(relative, text),
    };
    if text { scan.documents.push(item) } else { scan.uploads.push(item) }
}

/// The id of a folder; files below the depth limit share the deepest folder.
fn folder_id(namespace: Id, relative: &Path) -> Option<Id> {
    let kept: PathBuf = relative.components().take(DEPTH_LIMIT - 1).collect();
    (!kept.as_os_str().is_empty()).then(|| Id::derive(namespace, &[b"folder:", kept.as_os_str().as_bytes()].concat()))
}

/// Reads the file whole only while it may still be a document.
fn is_text(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() > TEXT_LIMIT {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    file.take(TEXT_LIMIT + 1).read_to_end(&mut bytes)?;
    Ok(bytes.len() as u64 <= TEXT_LIMIT && !bytes.contains(&0) && std::str::from_utf8(&bytes).is_ok())
}

/// A name for people: valid UTF-8 without control and direction characters, the end kept when it is too long.
fn cleaned(bytes: &[u8], limit: usize) -> String {
    let hidden = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let text: String =
        String::from_utf8_lossy(bytes).chars().map(|letter| if hidden(letter) { '\u{fffd}' } else { letter }).collect();
    let mut start = text.len().saturating_sub(limit);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let kept = text[start..].trim();
    if kept.is_empty() { String::from("unnamed") } else { kept.to_owned() }
}

fn media_type(path: &Path, text: bool) -> &'static str {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
    match (ending.as_str(), text) {
        ("md" | "markdown", true) => "text/markdown",
        ("html" | "htm", true) => "text/html",
        ("json", true) => "application/json",
        ("csv", true) => "text/csv",
        (_, true) => "text/plain",
        ("png", _) => "image/png",
        ("jpg" | "jpeg", _) => "image/jpeg",
        ("gif", _) => "image/gif",
        ("svg", _) => "image/svg+xml",
        ("pdf", _) => "application/pdf",
        ("gz" | "tgz", _) => "application/gzip",
        ("zip", _) => "application/zip",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, fs};

    use super::*;

    #[test]
    fn odd_names_empty_files_and_binaries_find_their_place() {
        let root = std::env::temp_dir().join(format!("workos-scan-{}", std::process::id()));
        fs::create_dir_all(root.join("a/b")).expect("the folder can be made");
        fs::write(root.join("a/empty.md"), b"").expect("written");
        fs::write(root.join("a/b/nul.txt"), b"a\0b").expect("written");
        fs::write(root.join(OsStr::from_bytes(b"odd\xff\n.txt")), b"text").expect("written");
        std::os::unix::fs::symlink("/", root.join("link")).expect("linked");
        let first = scan(&root, Id::ZERO).expect("scanned");
        let second = scan(&root, Id::ZERO).expect("scanned");
        fs::remove_dir_all(&root).expect("removed");

        assert_eq!(
            first.documents.iter().map(|item| item.id).collect::<Vec<_>>(),
            second.documents.iter().map(|item| item.id).collect::<Vec<_>>()
        );
        assert_eq!(
            (first.folders.len(), first.documents.len(), first.uploads.len(), first.skipped.len()),
            (2, 2, 1, 1)
        );
        assert!(first.documents.iter().all(|item| item.title.chars().all(|letter| !letter.is_control())));
    }
}
