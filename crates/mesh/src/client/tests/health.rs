//! Active checks: who says that he does not serve, who says nothing, and what happens when nobody is good.
use super::*;
use crate::settings::HealthCheck;

fn world(acts: &[Act]) -> World {
    let health_check = HealthCheck { interval: crate::Period::secs(1), ..HealthCheck::default() };
    let settings = Settings { health_check, retries: once(), ..Settings::default() };
    World::with(acts, settings, Supervision { ejects: true, checks: true })
}

fn health_of(cluster: &Cluster) -> Vec<&'static str> {
    cluster.endpoints.iter().map(|endpoint| endpoint.health).collect()
}

#[tokio::test(start_paused = true)]
async fn who_does_not_serve_gets_no_calls_until_he_does() {
    let world = world(&[OK, OK]);
    assert_eq!(world.burst(4).await, 4, "unchecked, but nobody says that they are bad");
    world.peers[0].health(Ok(2));
    world.until(|cluster| health_of(cluster) == ["unhealthy", "healthy"]).await;
    let before = world.calls();
    assert_eq!(world.burst(20).await, 20);
    assert_eq!(world.calls(), [before[0], before[1] + 20]);
    world.peers[0].health(Ok(1));
    world.until(|cluster| health_of(cluster) == ["healthy", "healthy"]).await;
    assert_eq!(world.burst(20).await, 20);
    assert!(world.calls()[0] > before[0], "{:?}", world.calls());
}

#[tokio::test(start_paused = true)]
async fn silence_counts_when_it_repeats() {
    let world = world(&[OK, OK]);
    world.peers[1].health(Err(Act::Hang));
    world.call().await.expect("served");
    world.until(|cluster| health_of(cluster) == ["healthy", "unhealthy"]).await;
    let endpoints = world.cluster().endpoints;
    assert_eq!(endpoints[1].health_checks_failed_total, 2, "{endpoints:?}");
    assert!(world.peers[1].script.connections.load(Ordering::Relaxed) >= 2, "each silence opens a new connection");
}

#[tokio::test(start_paused = true)]
async fn a_server_without_health_is_taken_for_healthy() {
    let world = world(&[OK]);
    world.peers[0].health(Err(Act::Code("12")));
    world.call().await.expect("served");
    world.until(|cluster| health_of(cluster) == ["healthy"]).await;
}

#[tokio::test(start_paused = true)]
async fn when_too_few_are_good_all_are_used() {
    let world = world(&[OK, OK, OK]);
    for peer in &world.peers[..2] {
        peer.health(Ok(2));
    }
    world.call().await.expect("served");
    world.until(|cluster| cluster.panic).await;
    for _ in 0..5 {
        assert_eq!(world.burst(12).await, 12);
    }
    assert!(world.calls().iter().all(|count| *count > 0), "{:?}", world.calls());
    assert!(world.cluster().panic_calls >= 12);
}

#[tokio::test(start_paused = true)]
async fn without_panic_a_service_without_good_endpoints_is_away() {
    let balancing = crate::settings::Balancing { panic_threshold: 0, ..Default::default() };
    let health_check = HealthCheck { interval: crate::Period::secs(1), ..HealthCheck::default() };
    let settings = Settings { health_check, balancing, retries: once(), ..Settings::default() };
    let world = World::with(&[OK, OK], settings, Supervision { ejects: true, checks: true });
    for peer in &world.peers {
        peer.health(Ok(2));
    }
    world.call().await.expect("nobody knows yet");
    world.until(|cluster| health_of(cluster) == ["unhealthy", "unhealthy"]).await;
    assert_eq!(world.call().await.expect_err("nobody is good").code(), Code::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn checks_rest_when_nobody_calls_and_go_on_with_the_next_call() {
    let world = world(&[OK]);
    world.call().await.expect("served");
    pass(Duration::from_secs(70)).await;
    let checks = world.peers[0].checks();
    assert!(checks > 30, "{checks}");
    pass(Duration::from_secs(300)).await;
    assert_eq!(world.peers[0].checks(), checks);
    world.call().await.expect("served");
    until(|| world.peers[0].checks() > checks).await;
}

#[tokio::test(start_paused = true)]
async fn checks_end_with_the_mesh() {
    let World { mesh, upstream, peers, .. } = world(&[OK]);
    call(&mesh, READ, Duration::from_secs(1)).await.expect("served");
    until(|| peers[0].checks() > 0).await;
    drop((mesh, upstream));
    let checks = peers[0].checks();
    pass(Duration::from_secs(10)).await;
    assert_eq!(peers[0].checks(), checks);
}
