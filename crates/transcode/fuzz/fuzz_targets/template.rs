//! Any template: refused, or compiled; then any path is matched or not, and both without a panic. Of two templates the
//! conflict is found at load, or each path goes to one.
#![no_main]
use http::Method;
use transcode::RequestOptions;

libfuzzer_sys::fuzz_target!(|input: (&str, &str, &str)| {
    let (first, second, path) = input;
    let rules = vec![world::rule("One", "GET", first, ""), world::rule("Two", "GET", second, "")];
    let alone = world::small(rules[..1].to_vec());
    let both = world::small(rules);
    assert!(both.is_none() || alone.is_some(), "a refused template is refused in company too");
    for contract in [alone, both].iter().flatten() {
        if let Ok(route) = contract.route(&Method::GET, path)
            && let Ok(wire) = route.request(None, None, b"", &RequestOptions::default())
        {
            let whole = contract.at_own_path(&route.method().rpc_path).expect("a method of it");
            world::agrees(&route, &whole, &wire);
        }
    }
});
