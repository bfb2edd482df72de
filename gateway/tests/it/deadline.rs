//! How long a call may take, and who is told what is left of it (gateway.md 4.10, case E14).
use http_body_util::Full;

use crate::{client, upstream::Answer, world::World};

/// Headers of the caller.
type Headers<'a> = &'a [(&'a str, &'a str)];

/// What the upstream is told to have for a call, in microseconds.
async fn left(world: &World, target: &str, headers: Headers<'_>) -> u64 {
    world.upstream.answers(Answer::default());
    let mut request = client::request(world.address, 1, "GET", target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let reply = client::send(world.address, 1, request.body(Full::default()).expect("a request")).await;
    assert_eq!(reply.status, 200, "{headers:?}: {:?}", reply.body);
    let seen = world.upstream.seen().pop().expect("a call");
    let mut told = seen.metadata.get_all("grpc-timeout").iter();
    let (Some(value), None) = (told.next(), told.next()) else { panic!("one deadline, not {:?}", seen.metadata) };
    let value = value.to_str().expect("ASCII");
    let (digits, unit) = value.split_at(value.len() - 1);
    let factor = match unit {
        "u" => 1,
        "m" => 1_000,
        "S" => 1_000_000,
        other => panic!("{value}: the unit {other} is not expected here"),
    };
    digits.parse::<u64>().expect("digits") * factor
}

const SECOND: u64 = 1_000_000;

#[tokio::test]
async fn gw_e14_the_least_of_what_is_asked_and_allowed_holds_and_the_rest_goes_upstream() {
    let world = World::start("deadline = \"30s\"\ndeadline_max = \"50s\"").await;
    let (grpc, connect, server) = ("grpc-timeout", "connect-timeout-ms", "x-server-timeout");
    // More than the first, less than the second: the remainder is shorter than the limit, and of no smaller limit.
    let cases: [(Headers<'_>, u64, u64); 9] = [
        (&[], 15, 30),
        (&[(grpc, "1H")], 30, 50),
        (&[(connect, "3600000")], 30, 50),
        (&[(server, "3600")], 30, 50),
        (&[(grpc, "40S")], 30, 40),
        (&[(connect, "40000")], 30, 40),
        (&[(grpc, "15S"), (connect, "45000"), (server, "40")], 0, 15),
        (&[(grpc, "40S"), (connect, "15000"), (server, "45")], 0, 15),
        (&[(grpc, "45S"), (connect, "40000"), (server, "15.0")], 0, 15),
    ];
    for (headers, more, less) in cases {
        let left = left(&world, "/v1/query", headers).await;
        assert!((more * SECOND + 1..less * SECOND).contains(&left), "{headers:?}: {left}");
    }
}

#[tokio::test]
async fn gw_e14_a_stream_has_only_the_limit_that_its_caller_asks_for() {
    let world = World::start("deadline = \"1s\"\ndeadline_max = \"1s\"").await;
    // The mesh has an age for streams of its own, of minutes.
    assert!(left(&world, "/v1/watch", &[]).await > 60 * SECOND);
    let asked = left(&world, "/v1/watch", &[("x-server-timeout", "30")]).await;
    assert!((SECOND + 1..30 * SECOND).contains(&asked), "{asked}");
}
