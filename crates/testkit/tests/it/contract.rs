//! The contract keeps its rules.
use testkit::conformance::Contract;

#[test]
fn the_contract_keeps_every_rule() {
    let violations = Contract::default().violations();
    assert!(violations.is_empty(), "{} violations of the contract:\n{}\n", violations.len(), violations.join("\n"));
}

#[test]
fn g5_the_list_of_methods_without_a_credential_is_the_agreed_one() {
    let golden = include_str!("../golden/public_methods.txt");
    let found = Contract::default().public_methods();
    assert_eq!(
        found, golden,
        "a method became public, or is no longer: if that is agreed, write the list into crates/testkit/tests/golden/public_methods.txt"
    );
}
