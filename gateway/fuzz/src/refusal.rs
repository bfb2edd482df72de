//! That something is refused matters here; what a caller hears of it does not.
use http::HeaderName;

#[derive(Debug, Default)]
pub(crate) struct Refusal {
    pub(crate) parts: Parts,
}

/// What the taken modules look at again.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) code: i32,
    pub(crate) http: Option<u16>,
}

impl Refusal {
    pub(crate) fn new(http: u16, code: tonic::Code, _: &'static str, _: impl Into<String>) -> Self {
        Self { parts: Parts { code: code as i32, http: Some(http) } }
    }

    pub(crate) fn header(self, _: HeaderName, _: &str) -> Self {
        self
    }
}

impl From<api::Error> for Refusal {
    fn from(_: api::Error) -> Self {
        Self::default()
    }
}

impl From<transcode::Problem> for Refusal {
    fn from(_: transcode::Problem) -> Self {
        Self::default()
    }
}
