//! Peers that are slow, dead or flapping.
use std::{sync::Arc, time::Duration};

use mesh::{
    Settings,
    client::{Mesh, Transport},
    server::Listener,
};
use proto::{Role, file::v1::upload_service_client::UploadServiceClient};
use tonic::Code;

use crate::{
    handler::Act,
    secure,
    support::{World, context},
};

#[tokio::test(start_paused = true)]
async fn a_server_that_comes_back_is_found_again() {
    let world = World::new();
    let mut uploads = world.uploads();
    assert_eq!(uploads.get_upload(world.get()).await.expect_err("nobody yet").code(), Code::Unavailable);
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(6)).await;
        let server = world.serve_pipe();
        uploads.get_upload(world.get()).await.expect("it is there");
        server.stopped().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_dies_in_the_middle_of_a_call_fails_it_as_unavailable() {
    let world =
        World::with(Settings { retries: mesh::Retries { tries: 1, ..Default::default() }, ..Settings::default() });
    let server = world.serve_pipe();
    world.handler.always(Act::Wait(Duration::from_secs(5)));
    let mut uploads = world.uploads();
    let (answer, ()) = tokio::join!(uploads.get_upload(world.get()), async {
        while world.handler.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        server.task.abort();
    });
    let error = answer.expect_err("the server died");
    assert!(matches!(error.code(), Code::Unavailable), "{error:?}");
}

#[tokio::test]
async fn calls_go_round_a_dead_address() {
    let (folder, world) = (secure::folder(), World::new());
    let (_live, live) = secure::serve(&world, &folder, "file").await;
    let dead =
        tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound").to_string();
    let addresses = [("file".to_owned(), vec![live, dead])].into();
    let settings = Settings { addresses, ..Settings::default() };
    let mesh = Mesh::new(
        "gateway",
        Transport::Direct(secure::identity(&folder, "gateway")),
        Arc::new(world.verifier.clone()),
        settings,
    );
    let token = world.token(Some(Role::Editor));
    for _ in 0..30 {
        let channel = mesh.with_token("file", token.clone(), &context());
        UploadServiceClient::new(channel).get_upload(world.get()).await.expect("one of them is alive");
    }
}

#[tokio::test]
async fn calls_are_spread_over_all_addresses() {
    let folder = secure::folder();
    let worlds = [World::new(), World::new()];
    let [first, second] = &worlds;
    // The same keys on both sides: the second server verifies what the first world mints.
    second.verifier.keys().replace(vec![first.mint.verify_key()]);
    let (_one, one) = secure::serve(first, &folder, "file").await;
    let (_two, two) = secure::serve(second, &folder, "file").await;
    let settings = Settings { addresses: [("file".to_owned(), vec![one, two])].into(), ..Settings::default() };
    let mesh = Mesh::new(
        "gateway",
        Transport::Direct(secure::identity(&folder, "gateway")),
        Arc::new(first.verifier.clone()),
        settings,
    );
    let token = first.token(Some(Role::Editor));
    for _ in 0..60 {
        let channel = mesh.with_token("file", token.clone(), &context());
        UploadServiceClient::new(channel).get_upload(first.get()).await.expect("served");
    }
    let counts = [first.handler.seen().len(), second.handler.seen().len()];
    assert!(counts.iter().all(|count| *count > 0) && counts.iter().sum::<usize>() == 60, "{counts:?}");
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_does_not_hold_the_listener() {
    let (folder, world) = (secure::folder(), World::new());
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = tcp.local_addr().expect("bound");
    let _server = world.serve(Listener::Tls(tcp, secure::identity(&folder, "file")));
    let _silent = tokio::net::TcpStream::connect(address).await.expect("a connection that says nothing");
    let mesh = secure::mesh(&world, &folder, "gateway", address.to_string());
    let channel = mesh.with_token("file", world.token(Some(Role::Editor)), &context());
    UploadServiceClient::new(channel).get_upload(world.get()).await.expect("others are served");
}
