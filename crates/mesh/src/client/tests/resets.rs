//! Resets and GOAWAY by the rules of gRPC over HTTP/2: their codes, and which of them prove that nobody worked (gateway.md E03, E17).
use super::*;
use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(start_paused = true)]
async fn gw_e03_a_reset_has_the_code_that_the_protocol_says() {
    let expected = [
        (h2::Reason::REFUSED_STREAM, Code::Unavailable),
        (h2::Reason::CANCEL, Code::Canceled),
        (h2::Reason::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
        (h2::Reason::INADEQUATE_SECURITY, Code::PermissionDenied),
        (h2::Reason::INTERNAL_ERROR, Code::Internal),
        (h2::Reason::PROTOCOL_ERROR, Code::Internal),
    ];
    for (reason, code) in expected {
        let world = World::new(&[Act::Reset(reason)], Settings { retries: once(), ..Settings::default() });
        assert_eq!(world.call().await.expect_err("reset").code(), code, "{reason:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn gw_e02_an_answer_of_a_proxy_has_the_code_of_its_status() {
    for (status, code) in [
        (400, Code::Internal),
        (401, Code::Unauthenticated),
        (403, Code::PermissionDenied),
        (404, Code::Unimplemented),
        (429, Code::Unavailable),
        (502, Code::Unavailable),
        (503, Code::Unavailable),
        (504, Code::Unavailable),
        (418, Code::Internal),
    ] {
        let world = World::new(&[Act::Http(status)], Settings { retries: once(), ..Settings::default() });
        let error = world.call().await.expect_err("no gRPC");
        assert_eq!(error.code(), code, "{status}");
        assert!(error.to_string().contains(&format!("answered HTTP {status}")), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn gw_e17_a_refused_stream_is_repeated_whatever_the_method_is() {
    let world = World::new(&[Act::Reset(h2::Reason::REFUSED_STREAM), OK], Settings::default());
    for _ in 0..5 {
        call(&world.mesh, ONCE, Duration::from_secs(5)).await.expect("the other one");
    }
    assert!(world.calls()[0] >= 1 && world.calls()[1] == 5, "{:?}", world.calls());
}

#[tokio::test(start_paused = true)]
async fn gw_e17_a_broken_stream_is_not_repeated_unless_the_method_allows_it() {
    let world = World::new(&[Act::Reset(h2::Reason::INTERNAL_ERROR)], Settings::default());
    assert_eq!(call(&world.mesh, ONCE, Duration::from_secs(5)).await.expect_err("reset").code(), Code::Internal);
    assert_eq!(world.calls(), [1]);
}

#[tokio::test(start_paused = true)]
async fn gw_e17_what_has_reached_nobody_is_repeated_if_the_method_is_marked_safe() {
    // Said to be away or full, answered by a proxy in its stead, broken off before an answer.
    for (act, code) in [
        (AWAY, Code::Unavailable),
        (Act::Refuse(api::CommonReason::ServerOverloaded), Code::Unavailable),
        (Act::Http(503), Code::Unavailable),
        (Act::Reset(h2::Reason::INTERNAL_ERROR), Code::Internal),
    ] {
        for (path, tries) in [(READ, 3), (ONCE, 1)] {
            let world = World::new(&[act], Settings::default());
            let error = call(&world.mesh, path, Duration::from_secs(5)).await.expect_err("nobody answers well");
            assert_eq!((error.code(), world.calls()), (code, vec![tries]), "{act:?} {path}");
        }
    }
    // Any other code is an answer.
    for act in [Act::Code("13"), Act::Code("8"), Act::Code("10"), Act::Code("4"), Act::Http(404)] {
        let world = World::new(&[act], Settings::default());
        world.call().await.expect_err("it says no");
        assert_eq!(world.calls(), [1], "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn gw_e17_what_has_begun_to_reach_the_caller_is_never_repeated() {
    // The method may be repeated, and the server is gone in the middle of its answer.
    let world = World::new(&[Act::BreakOff], Settings::default());
    world.call().await.expect_err("no status came");
    assert_eq!(world.calls(), [1]);
}

/// Frames of HTTP/2, as far as this test writes them.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Kinds of frames.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;

/// Reads frames until so many of a kind came; gives their streams.
async fn read(io: &mut tokio::io::DuplexStream, kind: u8, count: usize) -> Vec<u32> {
    let mut streams = Vec::new();
    while streams.len() < count {
        let mut head = [0; 9];
        io.read_exact(&mut head).await.expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        io.read_exact(&mut payload).await.expect("its payload");
        if head[3] == kind {
            streams.push(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        }
    }
    streams
}

/// A server that takes two calls on its first connection, says GOAWAY with the first one as the last that it looked at, and
/// closes without an answer; what comes after is answered by an honest one.
async fn treacherous(mut listener: pipe::Listener, script: Arc<Script>) {
    let (mut io, _) = listener.accept(|_| None).await.expect("a connection");
    io.read_exact(&mut [0; 24]).await.expect("the preface");
    io.write_all(&frame(4, 0, 0, &[])).await.expect("settings");
    let streams = read(&mut io, HEADERS, 2).await;
    let goaway = [streams[0].to_be_bytes(), [0; 4]].concat();
    io.write_all(&frame(7, 0, 0, &goaway)).await.expect("goaway");
    let (stream, _) = listener.accept(|_| None).await.expect("the refused one comes again");
    drop(io);
    serve(stream, script).await;
}

#[tokio::test(start_paused = true)]
async fn gw_e17_goaway_gives_back_what_stands_above_its_last_stream_and_nothing_else() {
    let world = World::new(&[], Settings::default());
    let listener = world.network.listen("peer-0");
    let script = Script::new(OK);
    let address = Address::Pipe(world.network.connector("peer-0", "gateway"));
    let supervision = Supervision { ejects: true, checks: false };
    let upstream = Upstream::fixed("file", &Arc::new(Settings::default()), supervision, [address]);
    let mesh = mesh_with(&upstream, Settings::default(), Transport::Process(world.network.clone()));
    let mut tasks = JoinSet::new();
    tasks.spawn(treacherous(listener, Arc::clone(&script)));
    let time = Duration::from_secs(5);
    let (first, second) = tokio::join!(call(&mesh, ONCE, time), call(&mesh, ONCE, time));
    let (lost, saved) = if first.is_err() { (first, second) } else { (second, first) };
    assert_eq!(lost.expect_err("it may have been worked on").code(), Code::Unavailable);
    saved.expect("nobody had looked at it");
    assert_eq!(script.calls.load(Ordering::Relaxed), 1);
}

/// A server that begins an answer to each of so many calls and goes on sending when they were reset.
async fn unstoppable(mut listener: pipe::Listener, calls: usize) {
    let (mut io, _) = listener.accept(|_| None).await.expect("a connection");
    io.read_exact(&mut [0; 24]).await.expect("the preface");
    io.write_all(&frame(4, 0, 0, &[])).await.expect("settings");
    let streams = read(&mut io, HEADERS, calls).await;
    for stream in &streams {
        // `:status: 200`, by its place in the static table (RFC 7541 appendix A).
        io.write_all(&frame(HEADERS, 4, *stream, b"\x88")).await.expect("an answer begins");
    }
    read(&mut io, RST_STREAM, calls).await;
    for stream in streams.iter().rev().cycle().take(10_000) {
        io.write_all(&frame(0, 0, *stream, b"x")).await.expect("the connection stands");
    }
    io.write_all(&frame(PING, 0, 0, &[0; 8])).await.expect("the connection stands");
    read(&mut io, PING, 1).await;
}

/// h2 takes what comes late for a fault of its own and ends the connection after 1,024 of them, with the calls of others on it.
#[tokio::test(start_paused = true)]
async fn gw_e17_what_comes_late_for_calls_that_were_left_ends_no_connection() {
    // More than the 50 that h2 remembers.
    const CALLS: usize = 100;
    let world = World::new(&[], Settings::default());
    let server = unstoppable(world.network.listen("peer-0"), CALLS);
    let address = Address::Pipe(world.network.connector("peer-0", "gateway"));
    let supervision = Supervision { ejects: false, checks: false };
    let upstream = Upstream::fixed("file", &Arc::new(Settings::default()), supervision, [address]);
    let mesh = mesh_with(&upstream, Settings::default(), Transport::Process(world.network.clone()));
    let calls = join_all((0..CALLS).map(|_| call(&mesh, ONCE, Duration::from_secs(1))));
    let (left, ()) = tokio::join!(calls, server);
    assert!(
        left.iter().all(|call| call.as_ref().is_err_and(|error| error.code() == Code::DeadlineExceeded)),
        "{left:?}"
    );
}
