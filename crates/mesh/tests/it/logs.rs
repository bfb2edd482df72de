//! What the log says of a call: once, at the right level, with what the client never sees.
use std::{
    fmt,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use api::Error;
use proto::{Role, file::v1::upload_service_client::UploadServiceClient};
use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::DefaultGuard,
};

use crate::{
    handler::Act,
    support::{World, context},
};

/// An event as text: level, target, then `field=value`.
#[derive(Clone, Default)]
struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    next: Arc<AtomicU64>,
}

impl Log {
    fn of(&self, target: &str) -> Vec<String> {
        let lines = self.lines.lock().expect("no test panics while it holds this");
        lines.iter().filter(|line| line.contains(&format!(" {target} "))).cloned().collect()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {field}={value:?}"));
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(self.next.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} {} ", event.metadata().level(), event.metadata().target()));
        event.record(&mut line);
        self.lines.lock().expect("no test panics while it holds this").push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Records the events of this thread while the guard lives.
fn recording() -> (Log, DefaultGuard) {
    // While there is only one subscriber, tracing asks the thread that meets an event first, which may be another test's
    // and have none, and remembers its answer for all. A second one that stays makes it ask each thread.
    static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Log::default()));
    LazyLock::force(&SECOND);
    let log = Log::default();
    (log.clone(), tracing::subscriber::set_default(log))
}

#[tokio::test]
async fn each_call_has_one_line_and_only_our_own_faults_are_errors() {
    let (log, _guard) = recording();
    let world = World::new();
    let _server = world.serve_pipe();
    let secret = std::io::Error::other("relation \"uploads\" does not exist");
    world.handler.then([Act::Answer, Act::Fail(Error::not_found("x")), Act::Fail(Error::internal(secret)), Act::Panic]);
    let mut uploads = world.uploads();
    for _ in 0..4 {
        if let Err(status) = uploads.get_upload(world.get()).await {
            assert!(!format!("{status:?}").contains("relation"), "the driver's text stays here");
        }
    }
    let lines = log.of("access");
    let levels: Vec<_> = lines.iter().map(|line| line.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(levels, ["INFO", "INFO", "ERROR", "ERROR"], "{lines:#?}");
    assert!(lines[1].contains("NOT_FOUND") && lines[1].contains("RESOURCE_NOT_FOUND"), "{}", lines[1]);
    assert!(lines[2].contains("relation"), "{}", lines[2]);
    assert!(lines[3].contains("the handler broke"), "{}", lines[3]);
}

#[tokio::test]
async fn a_refusal_is_told_with_who_what_and_why() {
    let (log, _guard) = recording();
    let world = World::new();
    let _server = world.serve_pipe();
    world.uploads().get_upload(world.get()).await.expect("an editor");
    assert_eq!(log.of("audit"), Vec::<String>::new());
    let member = world.mesh("gateway").with_token("file", world.token(None), &context());
    UploadServiceClient::new(member).get_upload(world.get()).await.expect_err("no editor");
    world.handler.then([Act::Fail(Error::denied())]);
    let editor = world.mesh("gateway").with_token("file", world.token(Some(Role::Editor)), &context());
    UploadServiceClient::new(editor).get_upload(world.get()).await.expect_err("the handler refuses");
    let [first, second] = &log.of("audit")[..] else { panic!("two refusals: {:#?}", log.of("audit")) };
    for part in ["UploadService/GetUpload", "gateway", "request-1", "ACCESS_DENIED", &world.upload()] {
        assert!(first.contains(part) && second.contains(part), "{part}: {first} {second}");
    }
    assert!(second.contains(&world.user.name()), "{second}");
}
