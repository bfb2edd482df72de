//! The choice: by latency and calls in flight, strangers with care, never twice the same, and around those out of reach.
use super::*;

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_gets_few_calls() {
    let fast = Act::Answer(Duration::from_millis(5));
    let world = World::new(&[fast, Act::Answer(Duration::from_millis(500)), fast], Settings::default());
    for _ in 0..50 {
        assert_eq!(world.burst(4).await, 4);
    }
    let calls = world.calls();
    assert!(calls[1] < 40 && calls[0] > 60 && calls[2] > 60, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn equal_endpoints_share_calls_evenly() {
    let act = Act::Answer(Duration::from_millis(20));
    let world = World::new(&[act; 4], Settings::default());
    for _ in 0..20 {
        assert_eq!(world.burst(20).await, 20);
    }
    let calls = world.calls();
    assert!(calls.iter().all(|count| (50..150).contains(count)), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stranger_gets_one_call_to_show_himself() {
    let world = World::new(&[Act::Answer(Duration::from_millis(1)), Act::Hang], Settings::default());
    let strangers = async { tokio::join!(world.call(), world.call()) };
    let after = async {
        until(|| world.peers[0].calls() == 1 && world.peers[1].calls() == 1).await;
        for _ in 0..50 {
            world.call().await.expect("the one that is known");
        }
        world.calls()
    };
    tokio::select! {
        _ = strangers => panic!("one of them answers nothing"),
        calls = after => assert_eq!(calls, [51, 1]),
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_before_the_answer_has_seen_that_it_is_slow() {
    let world = World::new(&[Act::Hang], Settings::default());
    call(&world.mesh, READ, Duration::from_millis(300)).await.expect_err("no answer");
    let latency = world.cluster().endpoints[0].latency_ms.expect("known by now");
    assert!((290.0..320.0).contains(&latency), "{latency}");
}

#[tokio::test(start_paused = true)]
async fn a_second_try_goes_elsewhere() {
    let world = World::new(&[AWAY, OK, AWAY, AWAY], Settings::default());
    for _ in 0..3 {
        let before = world.calls();
        let answer = world.call().await;
        let after = world.calls();
        let new: Vec<_> = before.iter().zip(&after).map(|(before, after)| after - before).collect();
        assert!(new.iter().all(|count| *count < 2), "{answer:?}: {new:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_is_found_out_by_one_call_and_found_again_by_none() {
    let mut world = World::new(&[OK, OK], Settings::default());
    drop(world.peers.pop());
    for _ in 0..40 {
        world.call().await.expect("the other one");
    }
    let failed = world.cluster().endpoints[1].connections_failed_total;
    assert!(failed >= 1, "it was tried");
    assert!(world.cluster().endpoints[1].requests_total <= 1, "{:?}", world.cluster());
    let back = Peer::new(&world.network, "peer-1", OK);
    until_served(&world, &back).await;
    assert_eq!(world.cluster().endpoints[1].failed_total, 0);
}

/// Calls until the server that came back is used; none of the calls fails.
async fn until_served(world: &World, back: &Peer) {
    for _ in 0..1000 {
        if back.calls() > 0 {
            return;
        }
        assert_eq!(world.burst(4).await, 4);
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    panic!("it is not used: {:?}", world.cluster());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_left_says_nothing_of_the_endpoint() {
    let mut world = World::new(&[OK], Settings { retries: once(), ..Settings::default() });
    world.peers.clear();
    world.call().await.expect_err("nobody listens");
    world.call().await.expect_err("and the connection rests");
    assert_eq!(world.cluster().endpoints[0].latency_ms, None, "still a stranger");
}
