//! The order of the filters, read from the code that runs them.

/// Each filter, and the call by which it acts. `serve` runs inwards and comes back out, so what works on the answer stands
/// behind what it encloses.
const ACTS: [(&str, &str); 10] = [
    ("hygiene, framing", "framed?;"),
    ("address limit", "rate_limit::place("),
    ("address limit", "rate_limit::address("),
    ("route", "route::find("),
    ("CORS", "cors::preflight("),
    ("authenticate", "admit(edge, request.headers()"),
    ("deadline", "deadline::of(&edge.config, request.headers()"),
    ("call", "call(edge, passage"),
    ("CORS", "cors::decorate("),
    ("compress the answer", "compress::answer("),
];

#[test]
fn gw_4_11_filters_act_in_the_order_of_the_design() {
    let code = include_str!("../filter.rs");
    let at = |act: &str| code.find(act).unwrap_or_else(|| panic!("{act} is called"));
    let inward: Vec<_> = ACTS[..8].iter().map(|(_, act)| at(act)).collect();
    assert!(inward.is_sorted(), "a filter acts before one that stands above it");
    let order: Vec<_> = ACTS[..8].iter().map(|(name, _)| super::ORDER.iter().position(|known| known == name)).collect();
    assert!(order.is_sorted() && order.iter().all(Option::is_some), "{order:?}");
    // On the way out: CORS headers first, then the coding, then the record of it all; panics are caught around the calls.
    let outward = ["request_id::take(", "Observed::begin(", "hygiene::clean(", "begun.pass(", "catch_unwind()"];
    let outward = outward.into_iter().chain(ACTS[8..].iter().map(|(_, act)| *act)).chain(["observed.finish("]);
    assert!(outward.map(at).is_sorted(), "an answer meets its filters in another order");
    // Within admission: who it is before how much he may.
    assert!(at("auth::authenticate(") < at("rate_limit::principal("));
}
