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

async fn suite(content: &dyn Content) {
    let ids = Ids::default();
    let (one, two, empty) = (ids.next(), ids.next(), ids.next());
    let first = Segment { fence: 1, start: 0 };

    // One writer that is continued: what was not acknowledged is cut off.
    write(content, one, first, 0, b"hello, lost tail").await;
    write(content, one, first, 7, b"world").await;
    content.finish(one, &[first], 12, 1).await.expect("finished");
    content.finish(one, &[first], 12, 1).await.expect("again changes nothing");
    assert_eq!(read_all(content.read(one, 0, 12).await.expect("there")).await, b"hello, world");
    assert_eq!(read_all(content.read(one, 7, 3).await.expect("there")).await, b"wor");
    assert!(
        matches!(content.finish(one, &[first], 11, 1).await, Err(ContentError::Damaged)),
        "an object never changes"
    );

    // Two writers, each with its own segment; the first one's tail beyond the second's start does not count.
    let second = Segment { fence: 2, start: 3 };
    write(content, two, first, 0, b"abcXXX").await;
    write(content, two, second, 0, b"def").await;
    let both = content.read_segments(two, &[first, second], 6).await.expect("there");
    assert_eq!(read_all(both).await, b"abcdef");
    content.finish(two, &[first, second], 6, 2).await.expect("finished");
    assert_eq!(read_all(content.read(two, 0, 6).await.expect("there")).await, b"abcdef");

    // Nothing at all is an object too.
    content.finish(empty, &[], 0, 1).await.expect("finished");
    assert_eq!(read_all(content.read(empty, 0, 0).await.expect("there")).await, b"");

    // A segment that lost bytes is not silently filled with zeros.
    assert!(matches!(content.segment(ids.next(), first, 5).await, Err(ContentError::Damaged)));

    content.drop_segments(two, &[first, second]).await.expect("dropped");
    content.drop_object(two).await.expect("dropped");
    content.drop_object(two).await.expect("again is no error");
    assert!(matches!(content.read(two, 0, 6).await, Err(ContentError::Damaged)));
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
    suite(&disk).await;
    cuts(&disk).await;
    shelves(&disk).await;
    std::fs::remove_dir_all(root).expect("removed");
}
