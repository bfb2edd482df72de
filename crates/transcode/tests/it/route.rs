//! Matching (cases R).

use http::Method;
use transcode::{Contract, RouteError};

use crate::fixture::{Rule, contract, routed};

fn variables(contract: &Contract, method: &str, path: &str) -> Vec<(String, String)> {
    let route = routed(contract, method, path);
    route.variables().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn is_missing(contract: &Contract, method: Method, path: &str) -> bool {
    contract.route(&method, path).is_err_and(|error| error == RouteError::NotFound)
}

#[test]
fn gw_r01_a_verb_behind_a_long_variable_is_found() {
    let contract = contract(&[("One", "POST", "/v1/{name=shelves/*/books/*}:publish", "")]);
    let found = variables(&contract, "POST", "/v1/shelves/1/books/2:publish");
    assert_eq!(found, [pair("name", "shelves/1/books/2")]);
}

#[test]
fn gw_r02_without_the_verb_there_is_no_rule() {
    let contract = contract(&[("One", "POST", "/v1/{name=shelves/*/books/*}:publish", "")]);
    assert!(is_missing(&contract, Method::POST, "/v1/shelves/1/books/2"));
}

#[test]
fn gw_r03_the_deep_wildcard_leaves_the_verb_alone() {
    let contract = contract(&[("One", "GET", "/{name=**}:verb", "")]);
    assert_eq!(variables(&contract, "GET", "/person/jason:verb"), [pair("name", "person/jason")]);
}

#[test]
fn gw_r04_only_the_last_segment_has_a_verb() {
    let contract = contract(&[("One", "GET", "/{name}/{s}:verb", "")]);
    let found = variables(&contract, "GET", "/some:verb/const:verb");
    assert_eq!(found, [pair("name", "some:verb"), pair("s", "const")]);
}

#[test]
fn gw_r05_an_empty_or_unknown_verb_is_data() {
    let with_value = contract(&[("One", "GET", "/v1/{name}", ""), ("Two", "GET", "/v1/{name}:known", "")]);
    assert_eq!(variables(&with_value, "GET", "/v1/x:"), [pair("name", "x:")]);
    assert_eq!(variables(&with_value, "GET", "/v1/x:other"), [pair("name", "x:other")]);
    assert_eq!(variables(&with_value, "GET", "/v1/x:y:known"), [pair("name", "x:y")]);
    let literal = contract(&[("One", "GET", "/v1/x", "")]);
    assert!(is_missing(&literal, Method::GET, "/v1/x:"));
}

#[test]
fn gw_r06_the_most_specific_rule_wins_in_any_order() {
    let rules: [Rule<'_>; 3] =
        [("One", "GET", "/c/f/d/e", ""), ("Two", "GET", "/c/*/d/e", ""), ("Three", "GET", "/c/*/d/**", "")];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let contract = contract(&order.map(|index: usize| rules[index]));
        for (path, rpc) in [
            ("/c/f/d/e", "One"),
            ("/c/x/d/e", "Two"),
            ("/c/f/d/x", "Three"),
            ("/c/x/d", "Three"),
            ("/c/x/d/e/f", "Three"),
        ] {
            assert_eq!(routed(&contract, "GET", path).method().descriptor.name(), rpc, "{path} in {order:?}");
        }
    }
}

#[test]
fn gw_r07_a_dead_end_is_left_again() {
    let contract = contract(&[("One", "GET", "/a/b/d", ""), ("Two", "GET", "/a/{name}/c", "")]);
    assert_eq!(variables(&contract, "GET", "/a/b/c"), [pair("name", "b")]);
}

#[test]
fn gw_r08_the_method_takes_part_in_backtracking() {
    let contract = contract(&[("One", "POST", "/v1/books", ""), ("Two", "GET", "/v1/{name}", "")]);
    assert_eq!(variables(&contract, "GET", "/v1/books"), [pair("name", "books")]);
}

#[test]
fn gw_r09_another_method_is_405_with_allow() {
    let contract = contract(&[("One", "POST", "/v1/books", ""), ("Two", "GET", "/v1/{name}", "")]);
    let error = contract.route(&Method::DELETE, "/v1/books").unwrap_err();
    let allow = vec![Method::GET, Method::HEAD, Method::OPTIONS, Method::POST];
    assert_eq!(error, RouteError::MethodNotAllowed { allow });
    assert!(is_missing(&contract, Method::DELETE, "/v2/books"));
}

#[test]
fn gw_r10_get_rules_serve_head_and_options_lists_the_methods() {
    let contract = contract(&[("One", "GET", "/v1/x", ""), ("Two", "*", "/v1/y", "")]);
    assert_eq!(routed(&contract, "HEAD", "/v1/x").method().descriptor.name(), "One");
    let error = contract.route(&Method::OPTIONS, "/v1/x").unwrap_err();
    assert!(matches!(error, RouteError::MethodNotAllowed { allow } if allow.contains(&Method::GET)));
}

#[test]
fn gw_r11_r12_empty_segments_never_match() {
    let contract = contract(&[("One", "GET", "/v1/x", ""), ("Two", "GET", "/v1/{name=**}", "")]);
    for path in ["/v1/x/", "/v1//x", "//v1/x", "/v1/", "/"] {
        assert!(is_missing(&contract, Method::GET, path), "{path}");
    }
}

#[test]
fn gw_r13_dot_segments_are_refused_however_encoded() {
    let contract = contract(&[("One", "GET", "/{name=**}", "")]);
    for path in ["/a/../b", "/a/%2e%2e/b", "/a/.%2E", "/./a", "/%2e"] {
        let error = contract.route(&Method::GET, path).unwrap_err();
        assert!(matches!(error, RouteError::Invalid(problem) if problem.http == 400), "{path}");
    }
    routed(&contract, "GET", "/a/...");
}

#[test]
fn gw_r14_literals_are_case_sensitive() {
    let contract = contract(&[("One", "GET", "/v1/books", "")]);
    assert!(is_missing(&contract, Method::GET, "/V1/books"));
}

#[test]
fn the_deep_wildcard_takes_none_one_or_many_segments() {
    let contract = contract(&[("One", "GET", "/a/{name=c/**}/d/e", "")]);
    for (path, value) in [("/a/c/d/e", "c"), ("/a/c/x/d/e", "c/x"), ("/a/c/d/e/d/e", "c/d/e")] {
        assert_eq!(variables(&contract, "GET", path), [pair("name", value)], "{path}");
    }
    assert!(is_missing(&contract, Method::GET, "/a/c/d"));
}

#[test]
fn a_path_of_too_many_segments_is_414() {
    let contract = contract(&[("One", "GET", "/{name=**}", "")]);
    let error = contract.route(&Method::GET, &"/a".repeat(129)).unwrap_err();
    assert!(matches!(error, RouteError::Invalid(problem) if problem.http == 414));
    routed(&contract, "GET", &"/a".repeat(128));
}

#[test]
fn rpcs_are_found_by_their_grpc_path() {
    let contract = contract(&[]);
    assert_eq!(contract.method("/probe.v1.Probe/One").map(|plan| plan.has_http()), Some(false));
    assert!(contract.method("/probe.v1.Library/GetBook").is_some_and(|plan| plan.has_http()));
    assert!(contract.method("/probe.v1.Probe/Nope").is_none());
    assert!(
        contract
            .routes()
            .any(|(method, path, _)| (method, path) == ("GET", "/v1/{parent=organizations/*/libraries/*}/books"))
    );
}
