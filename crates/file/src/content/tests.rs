//! The contract suite of every place of bytes.
use api::Ids;

use super::*;

async fn read_all(mut reader: Box<dyn Reader>) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let piece = reader.next().await.expect("readable");
        if piece.is_empty() {
            return all;
        }
        all.extend_from_slice(&piece);
    }
}

async fn write(content: &dyn Content, id: Id, segment: Segment, length: i64, bytes: &'static [u8]) {
    let mut writer = content.segment(id, segment, length).await.expect("opened");
    writer.write(Bytes::from_static(bytes)).await.expect("written");
    writer.sync().await.expect("durable");
}

const FIRST: Segment = Segment { fence: 1, start: 0 };

async fn object(content: &dyn Content, id: Id, start: i64, length: i64) -> Vec<u8> {
    read_all(content.read(id, start, length).await.expect("there")).await
}

/// One writer that is continued: what was not acknowledged is cut off. The object never changes.
async fn one_writer(content: &dyn Content) {
    let id = Ids::default().next();
    write(content, id, FIRST, 0, b"hello, lost tail").await;
    write(content, id, FIRST, 7, b"world").await;
    content.finish(id, &[FIRST], 12, 1).await.expect("finished");
    content.finish(id, &[FIRST], 12, 1).await.expect("again changes nothing");
    assert_eq!(object(content, id, 0, 12).await, b"hello, world");
    assert_eq!(object(content, id, 7, 3).await, b"wor");
    assert!(matches!(content.finish(id, &[FIRST], 11, 1).await, Err(ContentError::Damaged)));
}

/// Two writers, each with its own segment; the first one's tail beyond the second's start does not count.
async fn two_writers(content: &dyn Content) {
    let (id, second) = (Ids::default().next(), Segment { fence: 2, start: 3 });
    write(content, id, FIRST, 0, b"abc---").await;
    write(content, id, second, 0, b"def").await;
    let both = content.read_segments(id, &[FIRST, second], 6).await.expect("there");
    assert_eq!(read_all(both).await, b"abcdef");
    content.finish(id, &[FIRST, second], 6, 2).await.expect("finished");
    assert_eq!(object(content, id, 0, 6).await, b"abcdef");
    content.drop_segments(id, &[FIRST, second]).await.expect("dropped");
    content.drop_object(id).await.expect("dropped");
    content.drop_object(id).await.expect("again is no error");
    assert!(matches!(content.read(id, 0, 6).await, Err(ContentError::Damaged)));
}

/// Nothing at all is an object too; lost bytes are not silently filled with zeros.
async fn nothing(content: &dyn Content) {
    let (empty, lost) = (Ids::default().next(), Ids::default().next());
    content.finish(empty, &[], 0, 1).await.expect("finished");
    assert_eq!(object(content, empty, 0, 0).await, b"");
    assert!(matches!(content.segment(lost, FIRST, 5).await, Err(ContentError::Damaged)));
}

/// What was cut off is gone, and writing goes on where the cut was.
async fn cuts(content: &dyn Content) {
    let (id, segment) = (Ids::default().next(), Segment { fence: 1, start: 0 });
    let mut writer = content.segment(id, segment, 0).await.expect("opened");
    writer.write(Bytes::from_static(b"abcdef")).await.expect("written");
    writer.cut(2).await.expect("cut");
    writer.write(Bytes::from_static(b"z")).await.expect("written");
    writer.sync().await.expect("durable");
    content.finish(id, &[segment], 3, 1).await.expect("finished");
    assert_eq!(read_all(content.read(id, 0, 3).await.expect("there")).await, b"abz");
}

/// Everything stored lies on exactly one shelf, and can be discarded from there.
async fn shelves(content: &dyn Content) {
    let ids = Ids::default();
    let (object, open) = (ids.next(), ids.next());
    write(content, object, Segment { fence: 1, start: 0 }, 0, b"whole").await;
    content.finish(object, &[Segment { fence: 1, start: 0 }], 5, 1).await.expect("finished");
    write(content, open, Segment { fence: 3, start: 0 }, 0, b"part").await;
    let mut found = Vec::new();
    for number in 0..content.shelves() {
        found.extend(content.shelf(number).await.expect("listed"));
    }
    let of = |id| found.iter().filter(|stored| stored.content == id).map(|stored| stored.complete).collect::<Vec<_>>();
    assert_eq!((of(object), of(open)), (vec![true], vec![false]));
    for stored in &found {
        content.discard(&stored.key).await.expect("deleted");
        content.discard(&stored.key).await.expect("again is no error");
    }
    assert!(matches!(content.read(object, 0, 5).await, Err(ContentError::Damaged)));
}

#[tokio::test]
async fn the_local_disk_keeps_the_contract() {
    let root = testkit::temporary_folder(&format!("content-{}", Ids::default().next()));
    let disk = LocalDisk::open(root.clone()).await.expect("opened");
    one_writer(&disk).await;
    two_writers(&disk).await;
    nothing(&disk).await;
    cuts(&disk).await;
    shelves(&disk).await;
    std::fs::remove_dir_all(root).expect("removed");
}
