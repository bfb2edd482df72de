//! The directory is read page by page, again only when it changed, and holds up nothing else.
use super::*;
use crate::readiness::Readiness;

/// Two pages of one directory, or none ever.
#[derive(Default)]
struct Pages {
    asked: Mutex<Vec<GetDirectoryRequest>>,
    stuck: bool,
}

impl Source for Pages {
    fn keys(&self) -> BoxFuture<'_, Result<Vec<VerifyKey>, Error>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn revocations(&self, _: ListRevocationsRequest) -> BoxFuture<'_, Result<ListRevocationsResponse, Error>> {
        Box::pin(std::future::ready(Ok(ListRevocationsResponse::default())))
    }

    fn directory(&self, request: GetDirectoryRequest) -> BoxFuture<'_, Result<wire::Directory, Error>> {
        if self.stuck {
            return Box::pin(std::future::pending());
        }
        let first = request.page_token.is_empty();
        let unchanged = request.known_revision == "1";
        self.asked.lock().expect("not poisoned").push(request);
        let next_page_token = if first && !unchanged { "next".to_owned() } else { String::new() };
        // The second page is from a later state: what is held counts as the first, so that the next load asks anew.
        let revision = if first { "1" } else { "2" }.to_owned();
        let page = wire::Directory { revision, unchanged, next_page_token, ..wire::Directory::default() };
        Box::pin(std::future::ready(Ok(page)))
    }
}

fn identity(source: Arc<Pages>) -> Identity {
    Identity::new(Clock::default(), |_, _| source)
}

#[tokio::test]
async fn pages_are_read_to_the_end_and_what_is_held_is_told() {
    let source = Arc::new(Pages::default());
    let identity = identity(Arc::clone(&source));
    identity.load_directory().await.expect("it is there");
    assert_eq!(identity.directory().changes(), 1);
    identity.load_directory().await.expect("it is there");
    assert_eq!(identity.directory().changes(), 1, "nothing new");
    let asked = source.asked.lock().expect("not poisoned");
    let asked: Vec<_> = asked.iter().map(|request| (&*request.known_revision, &*request.page_token)).collect();
    assert_eq!(asked, [("", ""), ("", "next"), ("1", "")]);
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_was_not_loaded_for_longer_than_tokens_live_allows_nothing() {
    let identity = identity(Arc::new(Pages::default()));
    let organization = api::OrganizationId::SYSTEM;
    let role = CustomRole { organization, id: api::Id::ZERO, version: 1, permissions: Default::default() };
    identity.directory().put(role);
    let loaded = Instant::now();
    tokio::time::advance(BELIEVED).await;
    identity.forget_directory(loaded);
    assert!(!identity.directory().is_empty(), "a token may still live");
    tokio::time::advance(Duration::from_secs(1)).await;
    identity.forget_directory(loaded);
    assert!(identity.directory().is_empty());
    identity.load_directory().await.expect("it is there");
    assert_eq!(identity.directory().changes(), 3, "it is loaded again");
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_does_not_come_holds_up_no_keys() {
    let identity = identity(Arc::new(Pages { stuck: true, ..Pages::default() }));
    let (readiness, shutdown) = (Readiness::default(), CancellationToken::new());
    let keys = Arc::new(readiness.awaiting("verify keys"));
    let directory = Arc::new(readiness.awaiting("directory of roles"));
    let ready = async {
        let mut watch = readiness.watch();
        watch.wait_for(|state| !state.awaited.contains_key("verify keys")).await.expect("it is watched");
        assert!(!readiness.state().is_ready(), "the directory is waited for");
        watch.wait_for(crate::readiness::State::is_ready).await.expect("and no longer than one call may take");
        shutdown.cancel();
    };
    let keep = identity.clone().keep(keys, shutdown.clone());
    tokio::join!(keep, identity.keep_directory(directory, shutdown.clone()), ready);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_goes_on_is_said_once_a_minute() {
    let mut said = Said::default();
    assert_eq!(["away", "away", "down", "down"].map(|text| said.is_due(text)), [true, false, true, false]);
    tokio::time::advance(SAID).await;
    assert!(said.is_due("down") && !said.is_due("down"));
}
