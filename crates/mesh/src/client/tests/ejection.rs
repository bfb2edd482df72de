//! Outlier detection: who is put out, for how long, how many, and who is not.
use super::*;
use crate::settings::OutlierDetection;

fn settings() -> Settings {
    Settings { retries: once(), ..Settings::default() }
}

/// Bursts until the first endpoint is ejected.
async fn until_ejected(world: &World) -> Duration {
    for _ in 0..100 {
        world.burst(16).await;
        if let Some(millis) = world.cluster().endpoints[0].ejected_for_ms {
            return Duration::from_millis(millis);
        }
        tokio::time::advance(Duration::from_millis(500)).await;
    }
    panic!("it stays: {:?}", world.cluster());
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_eject_and_each_time_for_longer() {
    let world = World::new(&[AWAY, Act::Answer(Duration::from_millis(5))], settings());
    for expected in [30, 60, 90] {
        let time = until_ejected(&world).await;
        assert_eq!(time.as_secs_f64().round() as u64, expected);
        let before = world.calls()[0];
        assert_eq!(world.burst(50).await, 50, "all go to the other one");
        assert_eq!(world.calls()[0], before);
        tokio::time::advance(time + Duration::from_millis(1)).await;
    }
    assert_eq!(world.cluster().endpoints[0].ejections_total, 3);
}

#[tokio::test(start_paused = true)]
async fn good_windows_are_rewarded() {
    let good = Act::Answer(Duration::from_millis(5));
    let world = World::new(&[AWAY, good], settings());
    let time = until_ejected(&world).await;
    tokio::time::advance(time).await;
    world.peers[0].now(good);
    for _ in 0..5 {
        assert_eq!(world.burst(16).await, 16, "it is back and works");
        tokio::time::advance(Duration::from_secs(11)).await;
    }
    world.peers[0].now(AWAY);
    assert_eq!(until_ejected(&world).await.as_secs_f64().round() as u64, 30, "as the first time");
}

#[tokio::test(start_paused = true)]
async fn never_more_than_the_allowed_share_is_out() {
    let world = World::new(&[AWAY; 5], settings());
    for _ in 0..50 {
        world.burst(10).await;
        let out = world.cluster().endpoints.iter().filter(|endpoint| endpoint.ejected_for_ms.is_some()).count();
        assert!(out <= 2, "half of five");
        tokio::time::advance(Duration::from_millis(300)).await;
    }
    assert!(world.cluster().endpoints.iter().any(|endpoint| endpoint.ejections_total > 0));
}

#[tokio::test(start_paused = true)]
async fn a_share_of_failures_ejects_at_the_end_of_a_window() {
    let outlier_detection = OutlierDetection {
        consecutive_failures: 0,
        failure_percentage_threshold: 40,
        request_volume: 10,
        ..OutlierDetection::default()
    };
    let world = World::new(&[OK, Act::Answer(Duration::from_millis(1))], Settings { outlier_detection, ..settings() });
    for round in 0..40 {
        world.peers[0].now(if round % 2 == 0 { AWAY } else { OK });
        world.burst(16).await;
    }
    assert_eq!(world.cluster().endpoints[0].ejections_total, 0, "the window is open");
    tokio::time::advance(Duration::from_secs(11)).await;
    world.burst(1).await;
    let endpoints = world.cluster().endpoints;
    assert_eq!((endpoints[0].ejections_total, endpoints[1].ejections_total), (1, 0), "{endpoints:?}");
}

#[tokio::test(start_paused = true)]
async fn a_black_hole_is_ejected_and_a_caller_in_a_hurry_ejects_nobody() {
    let world = World::new(&[Act::Hang, Act::Answer(Duration::from_millis(5))], settings());
    let hurry = async |millis| {
        join_all((0..32).map(|_| call(&world.mesh, READ, Duration::from_millis(millis)))).await;
        world.cluster().endpoints[0].clone()
    };
    let endpoint = hurry(100).await;
    assert_eq!((endpoint.timed_out_total, endpoint.ejections_total), (0, 0), "{endpoint:?}");
    for _ in 0..20 {
        tokio::time::advance(Duration::from_secs(60)).await;
        let endpoint = hurry(2000).await;
        if endpoint.ejections_total > 0 {
            assert!(endpoint.timed_out_total >= 5, "{endpoint:?}");
            return;
        }
    }
    panic!("it stays: {:?}", world.cluster());
}

#[tokio::test(start_paused = true)]
async fn answers_that_begin_and_break_off_are_failures() {
    let world = World::new(&[Act::BreakOff, Act::Answer(Duration::from_millis(5))], settings());
    until_ejected(&world).await;
    assert_eq!(world.cluster().endpoints[0].succeeded_total, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_the_callers_fault_ejects_nobody() {
    let world = World::new(&[Act::Code("5"), Act::Code("13")], settings());
    for _ in 0..20 {
        world.burst(10).await;
    }
    assert!(
        world.cluster().endpoints.iter().all(|endpoint| endpoint.failed_total == 0 && endpoint.ejections_total == 0)
    );
}

#[tokio::test(start_paused = true)]
async fn the_only_endpoint_is_never_ejected() {
    let world = World::new(&[AWAY], settings());
    world.burst(50).await;
    world.peers[0].now(OK);
    assert_eq!(world.burst(10).await, 10);
    assert_eq!(world.cluster().endpoints[0].ejections_total, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_has_had_its_time_is_no_failure_of_the_endpoint() {
    let world = World::new(&[Act::Expire(Duration::from_secs(2)); 2], settings());
    for _ in 0..10 {
        assert_eq!(world.call().await.expect_err("its time is over").code(), Code::DeadlineExceeded);
    }
    let endpoints = world.cluster().endpoints;
    assert!(
        endpoints.iter().all(|endpoint| (endpoint.failed_total, endpoint.ejections_total) == (0, 0)),
        "{endpoints:?}"
    );
}
