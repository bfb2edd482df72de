//! The modules of `auth` that read what strangers send, as they stand in the crate, and doors to them. They are taken as files: the
//! crate as a whole brings engines that no target needs, and an allocator that AddressSanitizer cannot watch.
mod error;
pub mod passkey;
pub mod token;

#[path = "../../src"]
mod auth {
    pub(crate) mod credential {
        pub(crate) mod device;
        pub(crate) mod id_token;
        pub(crate) mod jwt;
        pub(crate) mod passkey;
        pub(crate) mod refresh_token;

        pub(crate) use jwt::Edge;
        pub(crate) use refresh_token::hmac;
    }

    pub(crate) mod model {
        pub(crate) mod pkce;
        pub(crate) mod redirect;
        pub(crate) mod signing_key;

        pub(crate) use signing_key::{KeyTimes, active};

        /// As in `client`, which knows much else.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum IdTokenAlgorithm {
            Es256 = 1,
            Rs256 = 2,
        }
    }
}

pub(crate) use auth::{credential, model};

/// May be registered.
pub fn is_registrable(uri: &str, native: bool) -> bool {
    model::redirect::check(uri, native).is_ok()
}

/// The URI of a request is this registered one.
pub fn matches(registered: &str, native: bool, asked: &str) -> bool {
    model::redirect::matches(registered, native, asked)
}

/// What a page's policy names.
pub fn origin(uri: &str) -> &str {
    model::redirect::origin(uri)
}

/// The URI with a code and a state for the client.
pub fn answer(uri: &str, code: &str, state: &str) -> String {
    model::pkce::redirect_with(uri, code, state, "https://issuer.example")
}
