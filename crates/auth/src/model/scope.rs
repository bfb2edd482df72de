//! Scopes: what a client may ask for, what it asked for, what it got. Order is kept, repeats are dropped.
//!
//! A scope is a permission of the contract, or one of OpenID Connect's. `*`, all rights of the person, belongs to the platform's own
//! clients alone. Narrowing only takes away: nothing here ever adds a scope.
use serde::{Deserialize, Serialize};

/// Scopes that are no permission.
pub(crate) const OPENID: [&str; 4] = ["openid", "profile", "email", "offline_access"];
/// Most scopes of a client or a grant: they stand in each token.
pub(crate) const MOST: usize = 32;
const LONGEST: usize = 4096;

/// A set of scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scopes(pub(crate) Vec<String>);

impl Scopes {
    /// Reads a parameter (RFC 6749 section 3.3); `None` for what is malformed or too much.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let token = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        let mut scopes: Vec<String> = Vec::new();
        for scope in text.split(' ').filter(|scope| !scope.is_empty()) {
            if text.len() > LONGEST || scopes.len() == MOST || !scope.bytes().all(token) {
                return None;
            }
            if !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_owned());
            }
        }
        Some(Self(scopes))
    }

    /// Reads what our own code has written: of a consent that has grown by several requests there may be more than one may ask for.
    pub(crate) fn stored(text: &str) -> Self {
        Self(text.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect())
    }

    /// All of these are among the others.
    pub(crate) fn within(&self, others: &Self) -> bool {
        self.0.iter().all(|scope| others.has(scope))
    }

    /// Those that are among the others too.
    pub(crate) fn both(&self, others: &Self) -> Self {
        if others.has("*") {
            return self.clone();
        }
        Self(self.0.iter().filter(|scope| others.has(scope)).cloned().collect())
    }

    /// This scope is among them.
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.0.iter().any(|known| known == scope)
    }

    /// What is granted with them goes on by refresh tokens, or by a browser's cookie. Anything else ends with its one access token.
    pub(crate) fn are_lasting(&self) -> bool {
        self.has("*") || self.has("offline_access")
    }

    /// None at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a parameter.
    pub(crate) fn text(&self) -> String {
        self.0.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_parameter_is_read_in_order_and_without_repeats() {
        let scopes = Scopes::parse(" openid  document:read openid ").expect("well-formed");
        assert_eq!(scopes.text(), "openid document:read");
        for bad in
            ["a\"b", "a\\b", "é", "a\nb", &"a ".repeat(3000), &(0..33).map(|n| format!("s{n} ")).collect::<String>()]
        {
            assert_eq!(Scopes::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_was_consented_to_in_several_requests_is_read_whole() {
        let grown: Vec<_> = (0..MOST + 8).map(|n| format!("s{n}")).collect();
        assert_eq!(Scopes::stored(&grown.join(" ")).0, grown);
        assert_eq!(Scopes::stored("").0, Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn auth_o11_narrowing_only_takes_away(left in "[a-d ]{0,12}", right in "[a-d ]{0,12}") {
            let (left, right) = (Scopes::parse(&left).expect("letters"), Scopes::parse(&right).expect("letters"));
            let both = left.both(&right);
            prop_assert!(both.within(&left) && both.within(&right));
        }
    }
}
