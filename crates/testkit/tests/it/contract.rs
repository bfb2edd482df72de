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

#[test]
fn impersonation_the_list_of_methods_for_the_user_alone_is_the_agreed_one() {
    let golden = include_str!("../golden/personal_methods.txt");
    let found = Contract::default().personal_methods();
    assert_eq!(
        found, golden,
        "a method refuses who acts as the user, or no longer does: if that is agreed, write the list into crates/testkit/tests/golden/personal_methods.txt"
    );
}

#[test]
fn impersonation_whatever_changes_identity_or_takes_a_fresh_sign_in_is_for_the_user_alone_or_says_otherwise() {
    for method in proto::methods().iter() {
        let access = method.access.as_ref().expect("declared");
        let changes = method.service == "auth" && method.idempotency != proto::Idempotency::NoSideEffects;
        if changes || access.step_up.is_some() {
            assert!(access.in_person != access.impersonated, "{}", method.rpc);
        }
        assert!(!access.impersonated || access.step_up.is_none(), "{}: a sign-in is the user's own", method.rpc);
    }
}
