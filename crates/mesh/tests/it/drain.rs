//! Going away without losing a call: old age, stop under load, and the limit of patience.
use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use mesh::{Period, Settings};
use proto::{
    auth::v1::{StartLoginRequest, login_service_client::LoginServiceClient},
    file::v1::upload_service_client::UploadServiceClient,
};
use tonic::Code;

use crate::{
    handler::Act,
    support::{World, context},
};

#[tokio::test]
async fn a_server_that_is_replaced_under_load_loses_no_call() {
    let world = Arc::new(World::new());
    let mut server = world.serve_pipe();
    let (mesh, token) = (world.mesh("gateway"), world.token(Some(proto::Role::Editor)));
    world.handler.always(Act::Wait(Duration::from_millis(3)));
    let load = join_all((0..16).map(|worker| {
        let (mesh, token, world) = (mesh.clone(), token.clone(), Arc::clone(&world));
        async move {
            for _ in 0..40 {
                if worker % 2 == 0 {
                    let channel = mesh.with_token("file", token.clone(), &context());
                    UploadServiceClient::new(channel).get_upload(world.get()).await.expect("no call is lost");
                } else {
                    // This one may be repeated only if it reached nobody, so nothing covers up for a lost call.
                    let channel = mesh.as_workload("file", &context());
                    let request = StartLoginRequest::default();
                    LoginServiceClient::new(channel).start_login(request).await.expect("no call is lost");
                }
            }
        }
    }));
    let replace = async {
        for round in 1..=5 {
            while world.handler.seen().len() < round * 100 {
                tokio::time::timeout(Duration::from_millis(1), std::future::pending::<()>())
                    .await
                    .expect_err("it only waits");
            }
            let old = std::mem::replace(&mut server, world.serve_pipe());
            old.stopped().await;
        }
    };
    tokio::join!(load, replace);
    assert_eq!(world.handler.seen().len(), 640, "none lost, none repeated");
}

#[tokio::test]
async fn connections_grow_old_and_no_call_notices() {
    let world = World::with(Settings { connection_age: Period::millis(20), ..Settings::default() });
    let _server = world.serve_pipe();
    let (mesh, token) = (world.mesh("gateway"), world.token(Some(proto::Role::Editor)));
    world.handler.always(Act::Wait(Duration::from_millis(2)));
    for _ in 0..100 {
        let channel = mesh.with_token("file", token.clone(), &context());
        UploadServiceClient::new(channel).get_upload(world.get()).await.expect("no call notices");
    }
    assert_eq!(world.handler.seen().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_running_call_is_finished_before_the_server_ends() {
    let world = World::new();
    let server = world.serve_pipe();
    world.handler.always(Act::Wait(Duration::from_secs(10)));
    let mut uploads = world.uploads();
    let (answer, ()) = tokio::join!(uploads.get_upload(world.get()), async {
        while world.handler.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        server.stopped().await;
    });
    answer.expect("it had time");
}

#[tokio::test(start_paused = true)]
async fn patience_with_running_calls_has_a_limit() {
    let retries = mesh::Retries { tries: 1, ..Default::default() };
    let world = World::with(Settings { drain: Period::secs(2), retries, ..Settings::default() });
    let server = world.serve_pipe();
    world.handler.always(Act::Wait(Duration::from_secs(14)));
    let mut uploads = world.uploads();
    let start = tokio::time::Instant::now();
    let (answer, ()) = tokio::join!(uploads.get_upload(world.get()), async {
        while world.handler.seen().is_empty() {
            tokio::task::yield_now().await;
        }
        server.stopped().await;
    });
    assert_eq!(answer.expect_err("it took too long").code(), Code::Unavailable);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}
