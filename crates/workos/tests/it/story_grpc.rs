//! The story of the platform as a native gRPC client tells it, through the same public port, with a bearer token.
use std::time::Duration;

use futures::StreamExt as _;
use proto::{
    auth::v1::{
        ContinueLoginRequest, CreateUserRequest, GetUserRequest, ListMembershipsRequest, StartLoginRequest, User,
        continue_login_request::{Answer, Password},
        login_service_client::LoginServiceClient,
        login_step::Step,
        organization_service_client::OrganizationServiceClient,
        user_service_client::UserServiceClient,
    },
    document::v1::{
        CreateDocumentRequest, CreateGrantRequest, Document, GetDocumentRequest, Grant, ListDocumentsRequest,
        UpdateDocumentRequest, document::Content, document_service_client::DocumentServiceClient, grant,
    },
    file::v1::{
        AppendUploadRequest, CreateUploadRequest, GetFileRequest, ReadFileRequest, Upload,
        append_upload_request::{Finish, Start, Step as Piece},
        file_service_client::FileServiceClient,
        upload_service_client::UploadServiceClient,
    },
    notification::v1::{
        ListCapturedMailsRequest, ListInboxItemsRequest, WatchInboxRequest,
        delivery_service_client::DeliveryServiceClient, inbox_service_client::InboxServiceClient,
    },
    search::v1::{SearchRequest, search_service_client::SearchServiceClient},
    workflow::v1::{
        CompleteTaskRequest, CreateRunRequest, DocumentApproval, ListTasksRequest, Run, WatchRunRequest,
        document_approval::Rule,
        run::{Input, Outcome, State},
        run_service_client::RunServiceClient,
        task::Decision,
        task_service_client::TaskServiceClient,
    },
};
use serde_json::json;
use testkit::eventually_within;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::{
    person::{CLIENT, Person, REDIRECT},
    platform::{Shared, shared},
};

const PATIENCE: Duration = Duration::from_secs(90);

/// Adds the bearer token to every call.
#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

type Way = InterceptedService<Channel, Bearer>;

async fn channel(shared: &Shared) -> Channel {
    let endpoint = Endpoint::from_shared(shared.platform.client().base().to_owned()).expect("an address");
    endpoint.connect().await.expect("the edge speaks HTTP/2")
}

async fn way(shared: &Shared, person: &Person) -> Way {
    let tokens = person.tokens(&shared.platform.client(), &person.organization).await;
    let bearer = format!("Bearer {}", tokens.access).parse().expect("a token is ASCII");
    InterceptedService::new(channel(shared).await, Bearer(bearer))
}

fn reason(status: &Status) -> (Code, String) {
    (status.code(), api::Error::from_status(status).reason().to_owned())
}

async fn document(owner: &Way, organization: &str, title: &str, text: &str) -> Document {
    let content = Content { media_type: "text/plain".to_owned(), text: text.to_owned() };
    let document = Document { title: title.to_owned(), content: Some(content), ..Document::default() };
    let request =
        CreateDocumentRequest { parent: organization.to_owned(), document: Some(document), ..Default::default() };
    DocumentServiceClient::new(owner.clone()).create_document(request).await.expect("the owner may").into_inner()
}

#[tokio::test]
async fn a_sign_in_by_grpc_ends_in_a_code() {
    let shared = shared().await;
    let member = shared.owner.member(&shared.platform.client(), "Maria Member", None).await;
    let mut login = LoginServiceClient::new(channel(shared).await);
    let request = StartLoginRequest {
        client_id: CLIENT.to_owned(),
        redirect_uri: REDIRECT.to_owned(),
        code_challenge: "A".repeat(43),
        code_challenge_method: "S256".to_owned(),
        state: String::new(),
        again: false,
    };
    let step = login.start_login(request).await.expect("anybody may begin").into_inner();
    assert!(matches!(step.step, Some(Step::Password(_))));
    let password = Password { email: member.email.clone(), password: "not this one at all".to_owned() };
    let request =
        ContinueLoginRequest { flow: step.flow, answer: Some(Answer::Password(password)), device: String::new() };
    let refused = login.continue_login(request).await.expect_err("the password is wrong");
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused:?}");
    assert!(refused.metadata().contains_key("x-request-id"), "{refused:?}");
    let mut users = UserServiceClient::new(way(shared, &shared.owner).await);
    let me = users.get_user(GetUserRequest { name: "users/me".to_owned() }).await.expect("signed in").into_inner();
    assert_eq!((me.name, me.email), (shared.owner.user.clone(), shared.owner.email.clone()));
}

#[tokio::test]
async fn documents_are_written_changed_shared_and_found() {
    let shared = shared().await;
    let organization = &shared.owner.organization;
    let owner = way(shared, &shared.owner).await;
    let person = shared.owner.member(&shared.platform.client(), "Maria Member", None).await;
    let member = way(shared, &person).await;
    let word: String = format!("{:x}", rand::random::<u128>())
        .chars()
        .map(|digit| char::from(b'a' + digit.to_digit(16).unwrap_or(0) as u8))
        .collect();
    let made = document(&owner, organization, "By gRPC", &format!("it holds {word} alone")).await;
    let mut documents = DocumentServiceClient::new(owner.clone());
    let change = |title: &str| UpdateDocumentRequest {
        document: Some(Document {
            name: made.name.clone(),
            title: title.to_owned(),
            etag: made.etag.clone(),
            ..Document::default()
        }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["title".to_owned()] }),
        request_id: String::new(),
    };
    let changed =
        documents.update_document(change("By gRPC, changed")).await.expect("the etag is current").into_inner();
    assert_eq!(changed.head_revision, 2);
    let stale = documents.update_document(change("Too late")).await.expect_err("the etag is stale");
    assert_eq!(reason(&stale), (Code::Aborted, "ETAG_MISMATCH".to_owned()));
    let list = ListDocumentsRequest {
        parent: organization.clone(),
        page_size: 1,
        page_token: "x".to_owned(),
        ..Default::default()
    };
    let refused = documents.list_documents(list).await.expect_err("no such page");
    assert_eq!(reason(&refused), (Code::InvalidArgument, "PAGE_TOKEN_INVALID".to_owned()));

    let mut of_member = DocumentServiceClient::new(member.clone());
    let get = || GetDocumentRequest { name: made.name.clone() };
    let denied = of_member.get_document(get()).await.expect_err("not shared yet");
    assert_eq!(reason(&denied), (Code::PermissionDenied, "ACCESS_DENIED".to_owned()));
    let grant = Grant { principal: person.user.clone(), role: grant::Role::Reader.into(), ..Grant::default() };
    let request = CreateGrantRequest { parent: made.name.clone(), grant: Some(grant), request_id: String::new() };
    documents.create_grant(request).await.expect("the owner may share");
    assert_eq!(of_member.get_document(get()).await.expect("shared now").into_inner().title, "By gRPC, changed");
    let search = || SearchRequest { parent: organization.clone(), query: word.clone(), ..Default::default() };
    let look = || async {
        let found =
            SearchServiceClient::new(member.clone()).search(search()).await.expect("members may search").into_inner();
        found.results.into_iter().find(|result| result.name == made.name).filter(|result| !result.highlights.is_empty())
    };
    assert_eq!(eventually_within(PATIENCE, "the member finds it", look).await.title, "By gRPC, changed");
}

#[tokio::test]
async fn a_file_is_streamed_up_and_down() {
    let shared = shared().await;
    let organization = &shared.owner.organization;
    let owner = way(shared, &shared.owner).await;
    let bytes: Vec<u8> = (0..2_500_000_u32).map(|at| (at.wrapping_mul(2_246_822_519) >> 24) as u8).collect();
    let mut uploads = UploadServiceClient::new(owner.clone());
    let length = i64::try_from(bytes.len()).expect("not that long");
    let upload = Upload { length_bytes: Some(length), display_name: "stream.bin".to_owned(), ..Upload::default() };
    let request = CreateUploadRequest { parent: organization.clone(), upload: Some(upload), ..Default::default() };
    let upload = uploads.create_upload(request).await.expect("the owner may").into_inner();
    let stream = |offset_bytes: i64, bytes: &[u8]| {
        let start = Piece::Start(Start { name: upload.name.clone(), offset_bytes });
        let chunks = bytes.chunks(200_000).map(|chunk| Piece::Chunk(chunk.to_vec().into()));
        let steps: Vec<_> = [start].into_iter().chain(chunks).chain([Piece::Finish(Finish {})]).collect();
        futures::stream::iter(steps.into_iter().map(|step| AppendUploadRequest { step: Some(step) }))
    };
    let first = uploads.append_upload(stream(0, &bytes[..1_000_000])).await.expect("the offset is right").into_inner();
    assert_eq!((first.offset_bytes, first.file.as_str()), (1_000_000, ""));
    let wrong = uploads.append_upload(stream(0, &bytes)).await.expect_err("the offset is wrong");
    assert_eq!(reason(&wrong).1, "OFFSET_MISMATCH");
    let done =
        uploads.append_upload(stream(1_000_000, &bytes[1_000_000..])).await.expect("the offset is right").into_inner();
    assert_eq!(done.offset_bytes, length);
    let mut files = FileServiceClient::new(owner);
    let file = files.get_file(GetFileRequest { name: done.file.clone() }).await.expect("it is complete").into_inner();
    assert_eq!((file.size_bytes, file.display_name.as_str()), (length, "stream.bin"));
    let mut down = files.read_file(ReadFileRequest { name: done.file }).await.expect("the owner may").into_inner();
    let mut read = Vec::new();
    while let Some(piece) = down.next().await {
        read.extend_from_slice(&piece.expect("the stream holds").data);
    }
    assert!(read == bytes, "the same bytes come back: {} of {}", read.len(), bytes.len());
}

#[tokio::test]
async fn an_approval_is_followed_by_streams() {
    let shared = shared().await;
    let organization = &shared.owner.organization;
    let owner = way(shared, &shared.owner).await;
    let person = shared.owner.member(&shared.platform.client(), "Noah Member", None).await;
    let member = way(shared, &person).await;
    let made = document(&owner, organization, "To be refused", "please decide").await;
    let parent = format!("{organization}/{}", person.user);
    let watch = WatchInboxRequest { parent: parent.clone(), after_sequence: Some(0) };
    let mut inbox = InboxServiceClient::new(member.clone());
    let mut items = inbox.watch_inbox(watch).await.expect("it is their own").into_inner();
    let approval = DocumentApproval {
        document: made.name,
        approvers: vec![person.user.clone()],
        rule: Rule::All.into(),
        ..Default::default()
    };
    let run = Run { input: Some(Input::DocumentApproval(approval)), ..Run::default() };
    let request = CreateRunRequest { parent: organization.clone(), run: Some(run), ..Default::default() };
    let run = RunServiceClient::new(owner.clone()).create_run(request).await.expect("members may").into_inner();
    let mut tasks = TaskServiceClient::new(member.clone());
    let look = || async {
        let list = ListTasksRequest { parent: organization.clone(), ..Default::default() };
        let page = TaskServiceClient::new(member.clone()).list_tasks(list).await.expect("members may").into_inner();
        page.tasks.into_iter().find(|task| task.run == run.name)
    };
    let task = eventually_within(PATIENCE, "a task", look).await;
    let item = tokio::time::timeout(PATIENCE, items.next())
        .await
        .expect("it comes in time")
        .expect("the stream holds")
        .expect("an item");
    assert_eq!((item.sequence, item.read), (1, false));
    let request = CompleteTaskRequest {
        name: task.name,
        decision: Decision::Reject.into(),
        comment: "no".to_owned(),
        request_id: String::new(),
    };
    tasks.complete_task(request).await.expect("it is their task");
    let last = followed_to_its_end(&owner, run.name).await;
    assert_eq!((last.state(), last.outcome()), (State::Completed, Outcome::Rejected));
    let list = ListInboxItemsRequest { parent, ..Default::default() };
    let page = inbox.list_inbox_items(list).await.expect("it is their own").into_inner();
    assert_eq!((page.inbox_items.len(), page.unread_count), (1, 1));
    a_mail_comes_to(&person.email, &owner, organization).await;
}

/// Watches a run until its stream ends, and gives the last state seen.
async fn followed_to_its_end(owner: &Way, name: String) -> Run {
    let watch = RunServiceClient::new(owner.clone()).watch_run(WatchRunRequest { name }).await;
    let mut states = watch.expect("the owner may").into_inner();
    let follow = async {
        let mut last = Run::default();
        while let Some(state) = states.next().await {
            last = state.expect("the stream holds");
        }
        last
    };
    tokio::time::timeout(PATIENCE, follow).await.expect("the stream ends with the run")
}

async fn a_mail_comes_to(email: &str, owner: &Way, organization: &str) {
    let look = || async {
        let list = ListCapturedMailsRequest { parent: organization.to_owned(), page_size: 1000, ..Default::default() };
        let page = DeliveryServiceClient::new(owner.clone()).list_captured_mails(list).await;
        let mails = page.expect("the owner may").into_inner().captured_mails;
        mails.into_iter().find(|mail| mail.to.contains(email))
    };
    eventually_within(PATIENCE, "a mail", look).await;
}

#[tokio::test]
async fn reflection_lists_what_may_be_called_and_nothing_else() {
    let shared = shared().await;
    let mut reflection = ServerReflectionClient::new(channel(shared).await);
    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers =
        reflection.server_reflection_info(futures::stream::iter([ask])).await.expect("anybody may ask").into_inner();
    let answer = answers.next().await.expect("one answer").expect("no error");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("another answer: {answer:?}")
    };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    for service in [
        "auth.v1.LoginService",
        "document.v1.DocumentService",
        "file.v1.UploadService",
        "workflow.v1.RunService",
        "search.v1.SearchService",
        "notification.v1.InboxService",
    ] {
        assert!(names.contains(&format!("workos.{service}")), "{service}: {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains("TokenService") || name.contains("BrowserService")), "{names:?}");
}

#[tokio::test]
async fn refusals_by_grpc_have_code_reason_and_request_id() {
    let shared = shared().await;
    let nobody = channel(shared).await;
    let request = GetUserRequest { name: "users/me".to_owned() };
    let missing = UserServiceClient::new(nobody.clone()).get_user(request.clone()).await.expect_err("no token");
    assert_eq!(reason(&missing), (Code::Unauthenticated, "CREDENTIAL_MISSING".to_owned()));
    let garbage = InterceptedService::new(nobody.clone(), Bearer("Bearer garbage".parse().expect("ASCII")));
    let garbage = UserServiceClient::new(garbage).get_user(request).await.expect_err("no token of ours");
    assert_eq!(reason(&garbage), (Code::Unauthenticated, "CREDENTIAL_INVALID".to_owned()));
    // Methods between workloads do not exist for callers from outside.
    let request = proto::auth::v1::ExchangeCredentialRequest { access_token: "x".to_owned(), ..Default::default() };
    let mut inner = proto::auth::v1::token_service_client::TokenServiceClient::new(nobody.clone());
    let inner = inner.exchange_credential(request).await.expect_err("between workloads");
    assert_eq!(reason(&inner), (Code::Unimplemented, "METHOD_UNKNOWN".to_owned()));
    for status in [missing, garbage, inner] {
        assert!(status.metadata().contains_key("x-request-id"), "{status:?}");
        assert!(status.message().len() > 10, "{status:?}");
    }
    let member = shared.owner.member(&shared.platform.client(), "No Role", None).await;
    let user = User { email: "x@y.example".to_owned(), display_name: "X".to_owned(), ..User::default() };
    let request = CreateUserRequest {
        parent: member.organization.clone(),
        user: Some(user),
        password: "a".repeat(20),
        ..Default::default()
    };
    let denied = UserServiceClient::new(way(shared, &member).await)
        .create_user(request)
        .await
        .expect_err("not an administrator");
    assert_eq!(reason(&denied), (Code::PermissionDenied, "ACCESS_DENIED".to_owned()));
}

/// A role that is given makes the token that the edge holds stale: it is exchanged again within the call, whatever its protocol (T4).
#[tokio::test]
async fn auth_t04_a_new_role_counts_with_the_next_call_of_grpc_and_of_a_stream() {
    let shared = shared().await;
    let client = shared.platform.client();
    let organization = &shared.owner.organization;
    let owner = shared.owner.sign_in(&client).await;
    let person = shared.owner.member(&client, "Renewed", None).await;
    let tokens = person.tokens(&client, organization).await;
    let bearer = Bearer(format!("Bearer {}", tokens.access).parse().expect("a token is ASCII"));
    let mut by_grpc = OrganizationServiceClient::new(InterceptedService::new(channel(shared).await, bearer));
    let by_rest = client.with_token(&tokens.access);
    let mine = by_rest.get("/v1/users/me/memberships").good().await;
    let membership = mine["memberships"][0]["name"].as_str().expect("he is a member").to_owned();
    let gives = async |role: &str| {
        owner.patch(format!("/v1/{membership}?updateMask=role"), &json!({"role": role})).good().await;
    };
    let list = || ListMembershipsRequest { parent: organization.clone(), ..Default::default() };
    let export =
        || by_rest.get(format!("/v1/{organization}/auditEvents:export")).header("accept", "application/x-ndjson");
    assert_eq!(by_grpc.list_memberships(list()).await.expect_err("no role").code(), Code::PermissionDenied);
    gives("VIEWER").await;
    by_grpc.list_memberships(list()).await.expect("the role allows it, without a new sign-in");
    assert_eq!(export().open().await.expect("an answer").status(), 403);
    gives("ADMIN").await;
    assert_eq!(export().open().await.expect("an answer").status(), 200, "the stream begins with the new role");
    gives("VIEWER").await;
    assert_eq!(export().open().await.expect("an answer").status(), 403, "and does not begin without it");
    by_grpc.list_memberships(list()).await.expect("a viewer still may");
}
