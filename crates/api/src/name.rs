//! Resource names (AIP-122).
//!
//! A name is parsed once, at the edge of a service, into a typed value; from there on it cannot be malformed.
//! [`resource_name!`](crate::resource_name) makes the type from the pattern as the contract writes it.
use crate::{CommonReason, Error, Id};

/// Reads the ids of a name after a pattern such as `organizations/*/documents/*`, one id for each `*`.
///
/// # Errors
/// NAME_INVALID, naming the expected form.
pub fn parse_segments<const N: usize>(name: &str, pattern: &str) -> Result<[Id; N], Error> {
    let mut ids = [Id::ZERO; N];
    let mut found = 0;
    let mut actual = name.split('/');
    for expected in pattern.split('/') {
        let segment = actual.next().ok_or_else(|| invalid(name, pattern))?;
        if expected != "*" {
            if segment != expected {
                return Err(invalid(name, pattern));
            }
            continue;
        }
        let slot = ids.get_mut(found).ok_or_else(|| invalid(name, pattern))?;
        *slot = segment.parse().map_err(|_| invalid(name, pattern))?;
        found += 1;
    }
    if actual.next().is_some() || found != N {
        return Err(invalid(name, pattern));
    }
    Ok(ids)
}

fn invalid(name: &str, pattern: &str) -> Error {
    let shown: String = name.chars().filter(|letter| !letter.is_control()).take(128).collect();
    Error::invalid(
        CommonReason::NameInvalid,
        format!("{shown:?} is not a name of the form {pattern}; use the name as the API returned it"),
    )
    .with("pattern", pattern)
}

/// Declares the type of a resource name.
///
/// ```
/// api::resource_name!(
///     /// Name of a document.
///     pub struct DocumentName { organization: api::OrganizationId, document: api::Id }
///     = "organizations/*/documents/*"
/// );
/// ```
/// Gives `parse`, `parse_field` (the violation names the request field) and `Display`.
#[macro_export]
macro_rules! resource_name {
    ($(#[$doc:meta])* $visibility:vis struct $name:ident { $($field:ident: $kind:ty),+ $(,)? } = $pattern:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility struct $name {
            $(
                #[doc = concat!("Id of the ", stringify!($field), ".")]
                $visibility $field: $kind,
            )+
        }

        impl $name {
            /// Reads the name. NAME_INVALID when it does not have the form of its type.
            $visibility fn parse(name: &str) -> ::core::result::Result<Self, $crate::Error> {
                let [$($field),+] = $crate::parse_segments(name, $pattern)?;
                Ok(Self { $($field: <$kind>::from($field)),+ })
            }

            /// Reads the name out of a request field, which the error then names.
            #[allow(dead_code, reason = "not every name is read out of a field")]
            $visibility fn parse_field(field: &str, name: &str) -> ::core::result::Result<Self, $crate::Error> {
                Self::parse(name).map_err(|error| error.violation(field, concat!("must have the form ", $pattern)))
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                let mut ids = [$(::std::string::ToString::to_string(&self.$field)),+].into_iter();
                for (index, segment) in $pattern.split('/').enumerate() {
                    if index > 0 {
                        formatter.write_str("/")?;
                    }
                    match segment {
                        "*" => formatter.write_str(&ids.next().unwrap_or_default())?,
                        literal => formatter.write_str(literal)?,
                    }
                }
                Ok(())
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::resource_name!(
        /// A name.
        struct BookName { organization: crate::OrganizationId, book: Id } = "organizations/*/books/*"
    );

    #[test]
    fn a_name_reads_back() {
        let text = "organizations/7zzzzzzzzzzzzzzzzzzzzzzzzz/books/00000000000000000000000001";
        assert_eq!(BookName::parse(text).expect("it is a name").to_string(), text);
    }

    #[test]
    fn a_malformed_name_is_refused_with_the_form() {
        for text in [
            "",
            "organizations",
            "organizations/x/books/y",
            "organizations/7zzzzzzzzzzzzzzzzzzzzzzzzz/books/00000000000000000000000001/x",
            "\0",
        ] {
            let error = BookName::parse_field("name", text).expect_err("it is no name");
            assert_eq!(error.reason(), "NAME_INVALID");
            assert!(error.message().contains("organizations/*/books/*"));
        }
    }
}
