//! The circuit breaker and the retry budget: what is refused, in which words, and when there is room again.
use super::*;
use crate::settings::{CircuitBreaker, Retries};

fn settings(max_requests: u32, max_pending_requests: u32) -> Settings {
    Settings {
        circuit_breaker: CircuitBreaker { max_requests, max_pending_requests, ..CircuitBreaker::default() },
        ..Settings::default()
    }
}

/// The error names the limit, its value and the setting, and says when to come again.
fn names(error: &Error, setting: &str, value: &str) {
    assert_eq!((error.code(), error.reason()), (Code::Unavailable, "UPSTREAM_OVERLOADED"), "{error:?}");
    let metadata = error.metadata();
    assert_eq!(metadata.get("setting").map(String::as_str), Some(setting));
    assert_eq!(metadata.get("value").map(String::as_str), Some(value));
    assert!(error.message().contains(setting) && error.retry_delay().is_some(), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn above_the_limit_of_running_calls_one_is_refused_at_once_and_named() {
    let world = World::new(&[Act::Hang], settings(2, 10));
    let running = async { tokio::join!(world.call(), world.call()) };
    let refused = async {
        until(|| world.calls() == [2]).await;
        let start = tokio::time::Instant::now();
        names(&world.call().await.expect_err("full"), "mesh.circuit_breaker.max_requests", "2");
        assert_eq!(start.elapsed(), Duration::ZERO, "it is not tried again");
        world.cluster().requests
    };
    let used = tokio::select! {
        _ = running => panic!("they hang"),
        used = refused => used,
    };
    assert_eq!((used.active, used.max, used.overflowed), (2, 2, 1));
    world.peers[0].now(OK);
    assert_eq!(world.cluster().requests.active, 0, "who left gave his place back");
    assert_eq!(world.burst(2).await, 2);
}

#[tokio::test(start_paused = true)]
async fn above_the_limit_of_waiting_calls_one_is_refused_and_named() {
    let mut world = World::new(&[OK], settings(10, 1));
    world.peers.clear();
    let _mute = mute(&world.network, "peer-0");
    let waiting = world.call();
    let refused = async {
        until(|| world.cluster().pending_requests.active == 1).await;
        names(&world.call().await.expect_err("full"), "mesh.circuit_breaker.max_pending_requests", "1");
    };
    tokio::select! {
        _ = waiting => panic!("nobody takes the connection"),
        () = refused => {}
    }
    assert_eq!(world.cluster().pending_requests.active, 0);
}

#[tokio::test(start_paused = true)]
async fn a_limit_behind_the_server_is_neither_tried_again_nor_held_against_it() {
    let full = Act::Refuse(api::CommonReason::UpstreamOverloaded);
    let world = World::new(&[full, full], Settings::default());
    assert_eq!(world.call().await.expect_err("full").reason(), "UPSTREAM_OVERLOADED");
    assert_eq!(world.calls().iter().sum::<usize>(), 1);
    let cluster = world.cluster();
    assert!(cluster.endpoints.iter().all(|endpoint| endpoint.failed_total == 0), "{cluster:?}");
    assert_eq!(cluster.retries.saved, World::new(&[OK], Settings::default()).cluster().retries.saved, "untouched");
}

#[tokio::test(start_paused = true)]
async fn retries_are_a_share_of_the_running_calls() {
    let retries = Retries { tries: 2, backoff: crate::Period::secs(1), ..Retries::default() };
    let world = World::new(&[AWAY], Settings { retries, ..settings(100, 100) });
    // Fifty at once: ten of them may retry, and ten retries are in reserve.
    assert_eq!(world.burst(50).await, 0);
    assert_eq!(world.calls(), [60]);
    assert_eq!(world.cluster().retries.active, 0);
    // With the reserve spent, five calls pay for one retry.
    assert_eq!(world.burst(10).await, 0);
    assert!((70..=74).contains(&world.calls()[0]), "{:?}", world.calls());
}

#[tokio::test(start_paused = true)]
async fn one_try_waits_as_long_as_it_may_and_the_next_goes_elsewhere() {
    let retries = Retries { per_try_timeout: crate::Period::millis(200), ..Retries::default() };
    let world =
        World::new(&[Act::Hang, Act::Answer(Duration::from_millis(5))], Settings { retries, ..settings(100, 100) });
    for _ in 0..10 {
        world.call().await.expect("the other one");
    }
    assert!(world.cluster().endpoints[0].timed_out_total >= 1, "{:?}", world.cluster());
    let error = call(&world.mesh, ONCE, Duration::from_secs(5)).await;
    assert!(error.is_ok(), "what may not be repeated has all its time: {error:?}");
}
