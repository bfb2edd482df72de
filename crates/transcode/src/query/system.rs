//! System parameters: what a query may say about the answer instead of the request.
//!
//! The names with `$` are always system parameters. Those without are only where the request message has
//! no field of that name, so a contract may use them.

use crate::plan::MessagePlan;
use crate::problem::{Problem, code};

/// A parameter that is not a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    /// The form of the answer: `json`, `proto`, `sse`, `media`, with `;enum-encoding=int`.
    Alt,
    /// The response mask.
    Fields,
    /// White space in the answer.
    PrettyPrint,
    /// Google's error format version: accepted, without effect.
    ErrorVersion,
    /// A quota name of Google's clients; never a credential here.
    Key,
}

/// Which system parameter `name` is, if any; `$callback` is refused.
pub(crate) fn read(name: &str, input: &MessagePlan) -> Result<Option<System>, Problem> {
    let system = match name {
        "$alt" => System::Alt,
        "$fields" => System::Fields,
        "$prettyPrint" => System::PrettyPrint,
        "$.xgafv" => System::ErrorVersion,
        "$callback" => {
            return Err(Problem::field("CALLBACK_NOT_SUPPORTED", name, "JSONP is not offered; use CORS"));
        }
        _ if input.by_name(name).is_some() => return Ok(None),
        "alt" => System::Alt,
        "fields" => System::Fields,
        "prettyPrint" => System::PrettyPrint,
        "key" | "$key" => System::Key,
        _ => return Ok(None),
    };
    Ok(Some(system))
}

/// A credential must not stand in a URL: it would be logged and cached on the way.
pub(super) fn credential_in_query(name: &str) -> Problem {
    Problem::with(
        401,
        code::UNAUTHENTICATED,
        "CREDENTIAL_IN_QUERY",
        format!(
            "The parameter `{name}` holds an API key; send it in the header `Authorization: Bearer ...`, and replace this key, because URLs are logged."
        ),
    )
}
