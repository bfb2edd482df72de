//! Identity: mutual TLS over real sockets, and what a sidecar says.
use std::{os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use mesh::{
    Settings,
    client::{Mesh, Transport},
    identity::Trust,
    server::Listener,
    tls::{Files, Reloading, certificates},
};
use proto::{
    Role,
    auth::v1::{StartLoginRequest, login_service_client::LoginServiceClient},
    file::v1::{
        BatchReadFilesRequest, file_service_client::FileServiceClient, upload_service_client::UploadServiceClient,
    },
};
use tempfile::TempDir;
use tonic::{Code, metadata::MetadataValue, transport::Endpoint};

use crate::support::{Running, World, context, reason};

pub(crate) fn trust() -> Trust {
    Trust::new("workos.local", "workos")
}

/// A folder with certificates for everybody.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let now = api::Clock::default().now();
    certificates(folder.path(), &["gateway", "file", "search", "auth"], &trust(), now).expect("written");
    folder
}

pub(crate) fn identity(folder: &TempDir, service: &str) -> Reloading {
    Reloading::open(files(folder.path(), service)).expect("a certificate")
}

fn files(folder: &Path, service: &str) -> Files {
    let (certificate, key) = (folder.join(format!("{service}.pem")), folder.join(format!("{service}-key.pem")));
    Files { certificate, key, ca: Some(folder.join("ca.pem")) }
}

/// Serves with the certificate of a service; gives the address.
pub(crate) async fn serve(world: &World, folder: &TempDir, service: &str) -> (Running, String) {
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = tcp.local_addr().expect("bound").to_string();
    (world.serve(Listener::Tls(tcp, identity(folder, service))), address)
}

pub(crate) fn mesh(world: &World, folder: &TempDir, me: &str, address: String) -> Mesh {
    let retries = mesh::Retries { tries: 1, ..Default::default() };
    let settings = Settings { addresses: [("file".to_owned(), vec![address])].into(), retries, ..Settings::default() };
    Mesh::new(me, Transport::Direct(identity(folder, me)), Arc::new(world.verifier.clone()), settings)
}

#[tokio::test]
async fn the_certificate_names_the_peer_whatever_the_client_says() {
    let (folder, world) = (folder(), World::new());
    let (_server, address) = serve(&world, &folder, "file").await;
    let parent = world.organization.name();
    let request = || BatchReadFilesRequest { parent: parent.clone(), ..Default::default() };
    let search = mesh(&world, &folder, "search", address.clone()).as_workload("file", &context());
    FileServiceClient::new(search).batch_read_files(request()).await.expect("search may");
    assert_eq!(world.handler.last().caller.peer(), "search");
    let gateway = mesh(&world, &folder, "gateway", address).as_workload("file", &context());
    let mut lying = tonic::Request::new(request());
    let forged = "URI=spiffe://workos.local/ns/workos/sa/search";
    lying.metadata_mut().insert("x-forwarded-client-cert", MetadataValue::from_static(forged));
    lying.metadata_mut().insert("x-workos-peer", MetadataValue::from_static("search"));
    let error = FileServiceClient::new(gateway).batch_read_files(lying).await.expect_err("the gateway may not");
    assert_eq!(reason(&error), "PEER_DENIED");
}

#[tokio::test]
async fn a_server_under_another_name_is_not_spoken_to() {
    let (folder, world) = (folder(), World::new());
    let (_server, address) = serve(&world, &folder, "auth").await;
    let channel =
        mesh(&world, &folder, "gateway", address).with_token("file", world.token(Some(Role::Editor)), &context());
    let error = UploadServiceClient::new(channel).get_upload(world.get()).await.expect_err("it is auth, not file");
    assert_eq!(error.code(), Code::Unavailable);
    assert!(world.handler.seen().is_empty());
}

#[tokio::test]
async fn a_client_of_another_signer_is_not_heard_and_a_plain_one_neither() {
    let (ours, theirs, world) = (folder(), folder(), World::new());
    let (_server, address) = serve(&world, &ours, "file").await;
    let channel = mesh(&world, &theirs, "gateway", address.clone()).as_workload("file", &context());
    let error =
        LoginServiceClient::new(channel).start_login(StartLoginRequest::default()).await.expect_err("another signer");
    assert_eq!(error.code(), Code::Unavailable);
    let plain = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy();
    LoginServiceClient::new(plain).start_login(StartLoginRequest::default()).await.expect_err("no certificate");
    assert!(world.handler.seen().is_empty());
}

#[tokio::test]
async fn new_certificates_are_used_without_a_restart() {
    let (folder, other, world) = (folder(), self::folder(), World::new());
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = tcp.local_addr().expect("bound").to_string();
    let server = identity(&folder, "file");
    let _running = world.serve(Listener::Tls(tcp, server.clone()));
    let call = |folder: &TempDir| {
        let channel = mesh(&world, folder, "gateway", address.clone()).as_workload("file", &context());
        async move { LoginServiceClient::new(channel).start_login(StartLoginRequest::default()).await }
    };
    call(&folder).await.expect("our signer");
    call(&other).await.expect_err("another signer");
    for name in ["file.pem", "file-key.pem", "ca.pem"] {
        std::fs::copy(other.path().join(name), folder.path().join(name)).expect("copied");
    }
    server.reload().expect("good files");
    call(&other).await.expect("the signer that is ours now");
    std::fs::write(folder.path().join("file.pem"), "rubbish").expect("written");
    let error = server.reload().expect_err("no certificate").to_string();
    assert!(error.contains("file.pem"), "{error}");
    call(&other).await.expect("the last good ones stay in force");
}

#[tokio::test]
async fn a_sidecar_on_this_host_names_the_peer_and_nothing_else_does() {
    let world = World::new();
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = tcp.local_addr().expect("bound");
    let _server = world.serve(Listener::Sidecar(tcp));
    let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy();
    let call = |header: Option<&'static str>| {
        let mut request = tonic::Request::new(StartLoginRequest::default());
        if let Some(header) = header {
            request.metadata_mut().insert("x-forwarded-client-cert", MetadataValue::from_static(header));
        }
        let mut login = LoginServiceClient::new(channel.clone());
        async move { login.start_login(request).await }
    };
    call(Some("By=x;Hash=y;URI=spiffe://workos.local/ns/workos/sa/gateway")).await.expect("named by the sidecar");
    assert_eq!(world.handler.last().caller.peer(), "gateway");
    for header in [None, Some(""), Some("URI=spiffe://elsewhere/ns/workos/sa/gateway"), Some("Subject=\"CN=gateway\"")]
    {
        assert_eq!(reason(&call(header).await.expect_err("nobody named it")), "PEER_DENIED", "{header:?}");
    }
}

#[tokio::test]
async fn the_pipe_believes_no_header() {
    let world = World::new();
    let _server = world.serve_pipe();
    let mut request =
        tonic::Request::new(BatchReadFilesRequest { parent: world.organization.name(), ..Default::default() });
    request
        .metadata_mut()
        .insert("x-forwarded-client-cert", MetadataValue::from_static("URI=spiffe://workos.local/ns/workos/sa/search"));
    let channel = world.mesh("gateway").as_workload("file", &context());
    let error = FileServiceClient::new(channel).batch_read_files(request).await.expect_err("the pipe says gateway");
    assert_eq!(reason(&error), "PEER_DENIED");
}

#[test]
fn a_good_signer_is_kept_and_keys_are_for_their_owner_alone() {
    let folder = folder();
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect("it is there");
    let (signer, certificate) = (read("ca.pem"), read("file.pem"));
    certificates(folder.path(), &["file"], &trust(), api::Clock::default().now()).expect("again");
    assert_eq!(read("ca.pem"), signer);
    assert_ne!(read("file.pem"), certificate);
    for name in ["ca-key.pem", "file-key.pem"] {
        let mode = std::fs::metadata(folder.path().join(name)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    // The new certificate still fits the kept signer.
    identity(&folder, "file").client(&trust(), "file").expect("usable");
}

#[test]
fn a_signer_that_cannot_be_used_is_not_overwritten() {
    let folder = folder();
    std::fs::write(folder.path().join("ca-key.pem"), "rubbish").expect("written");
    let again = || certificates(folder.path(), &["file"], &trust(), api::Clock::default().now());
    assert!(again().expect_err("no key").to_string().contains("remove ca.pem"));
    std::fs::remove_file(folder.path().join("ca-key.pem")).expect("removed");
    assert!(again().expect_err("half there").to_string().contains("half there"));
    let late = api::Clock::default().now() + time::Duration::days(3600);
    let fresh = self::folder();
    assert!(
        certificates(fresh.path(), &["file"], &trust(), late).expect_err("too old").to_string().contains("ends soon")
    );
}
