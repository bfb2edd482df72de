//! That something is refused matters here; what a caller hears of it does not.
use http::HeaderName;

#[derive(Debug)]
pub(crate) struct Refusal;

impl Refusal {
    pub(crate) fn new(_: u16, _: tonic::Code, _: &'static str, _: impl Into<String>) -> Self {
        Self
    }

    pub(crate) fn header(self, _: HeaderName, _: &str) -> Self {
        self
    }
}
