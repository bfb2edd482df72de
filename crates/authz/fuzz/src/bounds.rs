//! The gate's bounds once more, on what biscuit-auth's own decoder makes of the bytes: if both do not see the same token, a block
//! gets past the gate.
use authz::gate::{BLOCKS_MAX, BYTES_MAX};
use biscuit_auth::format::schema::{
    Biscuit, Block, Check, Expression, Op, Predicate, PublicKey, Rule, SignedBlock, Term, op, op_binary, proof, term,
};
use prost::Message;

/// A token that the gate lets pass: the decoder refuses it, or finds nothing beyond the bounds in it.
pub fn is_within_bounds(token: &[u8]) {
    assert!(token.len() <= BYTES_MAX);
    let Ok(token) = Biscuit::decode(token) else { return };
    assert!(token.root_key_id.is_some() && token.blocks.len() <= BLOCKS_MAX);
    signed(&token.authority);
    let mut checks = 0;
    for block in &token.blocks {
        signed(block);
        if let Ok(block) = Block::decode(&block.block[..]) {
            checks += block.checks.len();
            appended(&block);
        }
    }
    assert!(checks <= 16);
    match token.proof.content.expect("the gate wants one") {
        proof::Content::NextSecret(secret) => assert_eq!(secret.len(), 32),
        proof::Content::FinalSignature(signature) => assert_eq!(signature.len(), 64),
    }
}

fn signed(block: &SignedBlock) {
    key(&block.next_key);
    assert!(block.signature.len() == 64 && block.external_signature.is_none());
    assert!(block.version.unwrap_or_default() <= 1);
}

fn key(key: &PublicKey) {
    assert!(key.algorithm == 0 && key.key.len() == 32);
}

fn appended(block: &Block) {
    assert!(block.facts.is_empty() && block.rules.is_empty() && block.scope.is_empty());
    assert!(block.public_keys.is_empty() && block.context.is_none() && block.symbols.len() <= 64);
    assert!((3..=6).contains(&block.version.expect("the gate wants one")) && block.checks.len() <= 8);
    block.checks.iter().for_each(check);
}

fn check(check: &Check) {
    assert!((1..=4).contains(&check.queries.len()) && check.kind.unwrap_or_default() == 0);
    check.queries.iter().for_each(query);
}

fn query(query: &Rule) {
    assert!(query.head.terms.is_empty() && query.scope.is_empty());
    assert!(query.body.len() <= 2 && query.expressions.len() <= 2);
    query.body.iter().for_each(predicate);
    query.expressions.iter().for_each(expression);
}

fn predicate(predicate: &Predicate) {
    assert!(predicate.terms.len() <= 4);
    predicate.terms.iter().for_each(|term| value(term, true));
}

fn value(value: &Term, may_be_set: bool) {
    match value.content.as_ref().expect("the gate wants one") {
        term::Content::Set(set) => {
            assert!(may_be_set && set.set.len() <= 32);
            set.set.iter().for_each(|member| self::value(member, false));
        }
        term::Content::Null(_) | term::Content::Array(_) | term::Content::Map(_) => panic!("a term that nests"),
        _ => {}
    }
}

fn expression(expression: &Expression) {
    assert!((1..=7).contains(&expression.ops.len()));
    expression.ops.iter().for_each(operation);
}

fn operation(operation: &Op) {
    match operation.content.as_ref().expect("the gate wants one") {
        op::Content::Value(term) => value(term, true),
        op::Content::Binary(binary) => {
            let kind = op_binary::Kind::from_i32(binary.kind).expect("one that there is");
            use op_binary::Kind::{
                Contains, Equal, GreaterOrEqual, GreaterThan, HeterogeneousEqual, HeterogeneousNotEqual, LessOrEqual,
                LessThan, NotEqual, Prefix,
            };
            assert!(
                matches!(
                    kind,
                    LessThan
                        | GreaterThan
                        | LessOrEqual
                        | GreaterOrEqual
                        | Equal
                        | NotEqual
                        | Contains
                        | Prefix
                        | HeterogeneousEqual
                        | HeterogeneousNotEqual
                ),
                "{kind:?}"
            );
        }
        _ => panic!("an operation that is not allowed"),
    }
}
