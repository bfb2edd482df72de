//! No allocation on the fast path but the output: neither its size nor its depth may add one.
//! Counted on the thread of the test alone, so the tests beside it do not show.

use allocation_counter::measure;
use transcode::{Match, RequestOptions, ResponseOptions};

use crate::fixture::{contract, routed};

fn route() -> Match {
    routed(&contract(&[("One", "POST", "/x", "*")]), "POST", "/x")
}

/// A record of every usual kind under `levels` others.
fn records(levels: usize) -> String {
    let one = r#"{"name":"a name","s":"ein schöner Text","i":-5,"l":"9007199254740993","si":7,"fi":9,"f":0.1,"d":2.5,"flag":true,"b":"+/8=","e":"BLUE","ri":[1,2,3],"rs":["x","y"],"re":["RED",9],"sub":{"a":"b","sub":{"n":1}},"subs":[{"n":1},{"n":2}],"m":{"a":"1","b":"2"},"os":"","left":"l","w":"7","ts":"2026-01-31T09:30:00.500Z","dur":"1.500s"}"#;
    let mut json = one.to_owned();
    for _ in 0..levels {
        json = format!(r#"{{"child":{json},"rd":[1,2.5]}}"#);
    }
    json
}

#[test]
fn answers_cost_one_allocation_and_its_growth() {
    let route = route();
    let count = |levels: usize| {
        let wire = route.request(None, None, records(levels).as_bytes(), &RequestOptions::default()).unwrap();
        let options = ResponseOptions::default();
        measure(|| drop(route.response(&wire, &options).unwrap())).count_total
    };
    // The output buffer, at most twice grown, and its owner.
    assert!(count(1) <= 4, "{}", count(1));
    assert!(count(40) <= 4, "{}", count(40));
}

#[test]
fn requests_cost_a_fixed_number_of_allocations() {
    let route = route();
    let count = |levels: usize| {
        let json = records(levels);
        measure(|| drop(route.request(None, None, json.as_bytes(), &RequestOptions::default()).unwrap())).count_total
    };
    // The output, its settled copy, the wrong guesses of lengths, the keys of the open map.
    let (small, large) = (count(1), count(40));
    assert!(small <= 8, "{small}");
    assert!(large <= small + 8, "{large} after {small}");
}
