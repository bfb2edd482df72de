//! Templates and load errors (cases T).

use proptest::prelude::*;

use crate::fixture::{contract, http_rule, options, routed, try_contract};
use transcode::{HttpRule, compile};

/// Why one GET rule of `One` is refused.
fn refusal(template: &str) -> String {
    let errors = try_contract(&[("One", "GET", template, "")]).expect_err(template);
    assert_eq!(errors.len(), 1, "{template}");
    errors[0].to_string()
}

fn accepted(template: &str) {
    try_contract(&[("One", "GET", template, "")]).unwrap_or_else(|errors| panic!("{template}: {errors:?}"));
}

#[test]
fn gw_t01_malformed_templates_are_refused() {
    for template in
        ["", "a", "//", "/a//b", "/a/", "/", "/{}", "/a/{", "/:verb", "/a/:verb", "/*:", "/a/{name=}", "/a/b:c/d"]
    {
        refusal(template);
    }
}

#[test]
fn gw_t02_text_around_a_variable_is_refused() {
    for template in ["/a{name}", "/{name}b", "/{name}a{s}", "/{name=/a}", "{name=/a}", "/a*", "/a}"] {
        refusal(template);
    }
}

#[test]
fn gw_t03_a_variable_inside_a_variable_is_refused() {
    assert!(refusal("/{name=a/{s=b}}").contains("inside a variable"));
}

#[test]
fn gw_t04_a_bare_variable_is_one_segment() {
    let errors = try_contract(&[("One", "GET", "/v1/{name}", ""), ("Two", "GET", "/v1/{s=*}", "")]).unwrap_err();
    assert!(errors[0].to_string().contains("/probe.v1.Probe/One"), "{errors:?}");
}

#[test]
fn gw_t05_literals_and_a_verb_may_follow_the_deep_wildcard() {
    accepted("/a/{name=c/**}/d/e");
    accepted("/a/{name=c/**/d}/e:verb");
    for template in ["/**/*", "/{name=**}/{s}", "/**/a/**"] {
        assert!(refusal(template).contains("`**`"), "{template}");
    }
}

#[test]
fn gw_t06_variables_on_lists_maps_and_messages_are_refused_by_name() {
    for (template, field) in [
        ("/v1/{ri}", "ri"),
        ("/v1/{m}", "m"),
        ("/v1/{sub}", "sub"),
        ("/v1/{st}", "st"),
        ("/v1/{subs.a}", "subs"),
        ("/v1/{any}", "any"),
        ("/v1/{name.x}", "name"),
    ] {
        let text = refusal(template);
        assert!(text.contains(field) && text.contains(template) && text.contains("probe.proto"), "{text}");
    }
    for template in ["/v1/{w}", "/v1/{ts}", "/v1/{dur}", "/v1/{mask}", "/v1/{e}", "/v1/{sub.sub_field}"] {
        accepted(template);
    }
}

#[test]
fn gw_t07_a_variable_without_a_field_is_refused_with_the_nearest_name() {
    let text = refusal("/v1/{nam}");
    assert!(text.contains("did you mean `name`"), "{text}");
    refusal("/v1/{sub.nope}");
}

#[test]
fn gw_t08_additional_bindings_nest_once() {
    let inner =
        HttpRule { additional_bindings: vec![http_rule("One", "GET", "/c", "")], ..http_rule("One", "GET", "/b", "") };
    let outer = HttpRule { additional_bindings: vec![inner], ..http_rule("One", "GET", "/a", "") };
    let mut options = options(&[]);
    options.rules = vec![outer];
    let errors = compile(&crate::fixture::PROBE, &options).unwrap_err();
    assert!(errors[0].problem.contains("inside additional_bindings"));
}

#[test]
fn gw_t09_two_rpcs_with_one_shape_are_refused_and_both_named() {
    let errors = try_contract(&[("One", "GET", "/v1/{name}", ""), ("Two", "GET", "/v1/{s}", "")]).unwrap_err();
    let text = errors[0].to_string();
    assert!(text.contains("/probe.v1.Probe/One") && text.contains("/probe.v1.Probe/Two"), "{text}");
    contract(&[("One", "GET", "/v1/{name}", ""), ("Two", "POST", "/v1/{s}", "")]);
}

#[test]
fn gw_t10_a_field_bound_twice_is_refused() {
    assert!(refusal("/{name}/{name}").contains("bound twice"));
    assert!(refusal("/{left}/{right}").contains("cannot both be set"));
}

#[test]
fn gw_t11_illegal_literals_are_refused() {
    for template in ["/a%1", "/a b", "/a?b", "/a/%zz", "/a#b", "/.."] {
        refusal(template);
    }
}

#[test]
fn gw_t12_reserved_characters_match_raw_and_encoded_and_nothing_else_does() {
    let contract = contract(&[("One", "GET", "/a@b", "")]);
    routed(&contract, "GET", "/a@b");
    routed(&contract, "GET", "/a%40b");
    assert!(contract.route(&http::Method::GET, "/%61@b").is_err());
}

#[test]
fn gw_t13_what_the_guidelines_advise_against_is_served_with_a_warning() {
    let mut first = http_rule("One", "POST", "/a", "*");
    first.additional_bindings = vec![http_rule("One", "PUT", "/b", "sub")];
    let mut options = options(&[("Two", "DELETE", "/c", "*"), ("Faulty", "GET", "/d", "")]);
    options.rules.push(first);
    let contract = compile(&crate::fixture::PROBE, &options).unwrap();
    let warnings: Vec<&str> = contract.warnings().iter().map(|warning| warning.rpc.as_str()).collect();
    for rpc in ["/probe.v1.Probe/One", "/probe.v1.Probe/Two", "/probe.v1.Probe/Faulty"] {
        assert!(warnings.contains(&rpc), "{warnings:?}");
    }
    routed(&contract, "PUT", "/b");
    routed(&contract, "DELETE", "/c");
}

#[test]
fn gw_t14_a_custom_star_serves_any_method_after_exact_ones() {
    let contract = contract(&[("One", "*", "/a", ""), ("Two", "GET", "/a", "")]);
    assert_eq!(routed(&contract, "GET", "/a").method().full_name, "probe.v1.Probe.Two");
    assert_eq!(routed(&contract, "PURGE", "/a").method().full_name, "probe.v1.Probe.One");
}

#[test]
fn all_load_errors_are_reported_together_with_their_remedies() {
    let errors =
        try_contract(&[("One", "GET", "a", ""), ("Two", "GET", "/v1/{nope}", ""), ("Three", "POST", "/v1/x", "nope")])
            .unwrap_err();
    assert_eq!(errors.len(), 3);
    assert!(errors.iter().all(|error| !error.remedy.is_empty() && error.file == "probe.proto"));
}

#[test]
fn a_rule_for_an_unknown_rpc_is_a_load_error_and_the_last_of_equal_selectors_wins() {
    let errors = try_contract(&[("Nope", "GET", "/a", "")]).unwrap_err();
    assert_eq!(errors[0].rpc, "probe.v1.Probe.Nope");
    let contract = contract(&[("One", "GET", "/first", ""), ("One", "GET", "/second", "")]);
    assert!(contract.route(&http::Method::GET, "/first").is_err());
    routed(&contract, "GET", "/second");
}

#[test]
fn bytes_that_are_no_descriptor_set_are_one_load_error() {
    let errors = compile(b"\xff\xff", &transcode::Options::default()).unwrap_err();
    assert_eq!(errors.len(), 1);
}

proptest! {
    #[test]
    fn the_parser_never_panics(template in "[/{}=*:.a-z%0-9@ é]{0,40}") {
        let _ = try_contract(&[("One", "GET", &template, "")]);
    }
}
