//! Connections: one attempt for all who wait, a new one after GOAWAY, and running calls that end in peace.
use super::*;

#[tokio::test(start_paused = true)]
async fn all_who_wait_share_one_attempt() {
    let world = World::new(&[OK], Settings::default());
    assert_eq!(world.burst(50).await, 50);
    assert_eq!(world.peers[0].script.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_does_not_take_the_attempt_with_him() {
    let world = World::new(&[], Settings::default());
    let mut listener = mute(&world.network, "peer-0");
    let address = Address::Pipe(world.network.connector("peer-0", "gateway"));
    let supervision = Supervision { ejects: true, checks: false };
    let settings = Settings::default();
    let upstream = Upstream::fixed("file", &Arc::new(settings.clone()), supervision, [address]);
    let mesh = mesh_with(&upstream, settings, Transport::Process(world.network.clone()));
    call(&mesh, READ, Duration::from_millis(10)).await.expect_err("in a hurry");
    let (stream, _) = listener.accept(|_| None).await.expect("the attempt goes on");
    let script = Script::new(OK);
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(stream, Arc::clone(&script)));
    call(&mesh, READ, Duration::from_secs(5)).await.expect("served over it");
    assert_eq!(script.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn after_goaway_running_calls_end_in_peace_and_new_ones_take_a_new_connection() {
    let world = World::new(&[Act::Answer(Duration::from_secs(5))], Settings::default());
    // Once begun it may not be repeated, so it can only end where it began.
    let running = call(&world.mesh, ONCE, Duration::from_secs(15));
    let after = async {
        until(|| world.calls() == [1]).await;
        world.peers[0].say_goodbye();
        world.peers[0].now(OK);
        // Until the goodbye is heard, calls go over the old connection; what it refuses was not begun and comes again.
        for _ in 0..1_000 {
            world.call().await.expect("over the old connection or the new one");
            if world.cluster().endpoints[0].connections_total == 2 {
                return;
            }
        }
        panic!("no new connection after a goodbye");
    };
    let (running, ()) = tokio::join!(running, after);
    running.expect("it had begun");
    assert_eq!(world.cluster().endpoints[0].connections_total, 2);
    assert_eq!(world.cluster().endpoints[0].failed_total, 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_followed_by_a_pause() {
    let mut world = World::new(&[OK], Settings { retries: once(), ..Settings::default() });
    world.peers.clear();
    for _ in 0..100 {
        world.call().await.expect_err("nobody is there");
    }
    let failed = world.cluster().endpoints[0].connections_failed_total;
    assert!(failed < 5, "{failed} attempts for a hundred calls");
}
