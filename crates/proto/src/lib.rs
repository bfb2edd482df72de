//! The contract as Rust types and as a table of methods.
//!
//! Everything here is read from `proto/` at build time; nothing that the contract says is written again by hand.
//! [`CONTRACT`] is the compiler's own descriptor set, with options and comments: reflection, transcoding, OpenAPI and the
//! conformance test read it; [`STRUCTURE`] is the same without comments. [`methods`] is what mesh, gateway and policy generator need of it.

mod method;

pub use method::{
    Access, Audit, Idempotency, Method, Methods, MethodsError, Owner, Rate, Role, Rule, Share, StepUp, methods,
};

#[expect(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated code, documented in proto/"
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/modules.rs"));
}

pub use generated::google;
pub use generated::workos::{api, auth, document, events, file, notification, search, workflow};

#[expect(clippy::misnamed_getters, reason = "generated: the subject of an event is its field `name`")]
mod traits {
    include!(concat!(env!("OUT_DIR"), "/traits.rs"));
}

/// The contract's `FileDescriptorSet`, imports, options and source comments included.
pub const CONTRACT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/contract.bin"));

/// [`CONTRACT`] without source comments, which are three quarters of it: what every process decodes when it starts.
pub const STRUCTURE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/structure.bin"));

/// A message that is published as an event (option `workos.api.v1.event`).
pub trait Event: prost::Message + prost::Name + Default + 'static {
    /// `aggregate.happened`, for example `document.created`.
    const TYPE: &'static str;
    /// The resource type whose version orders the events.
    const AGGREGATE: &'static str;
    /// The publishing service.
    const SERVICE: &'static str;
    /// The payload holds personal data.
    const PERSONAL_DATA: bool;
    /// Name of the resource the event is about; empty when the message has no field `name`.
    fn subject(&self) -> &str;
}

/// A machine-readable reason: a value of an enum `ErrorReason` of the contract.
pub trait Reason: Copy {
    /// Domain of `google.rpc.ErrorInfo`, for example `document.workos.dev`.
    const DOMAIN: &'static str;
    /// The value's name, for example `TITLE_INVALID`.
    fn as_reason(self) -> &'static str;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_contract_declares_its_access() {
        let undeclared: Vec<_> =
            methods().iter().filter(|method| method.access.is_none()).map(|method| method.rpc).collect();
        assert_eq!(undeclared, Vec::<&str>::new());
    }

    #[test]
    fn a_method_knows_its_resource_field_and_the_calls_behind_it() {
        let update =
            methods().get("/workos.document.v1.DocumentService/UpdateDocument").expect("it is in the contract");
        assert_eq!(update.resource_path, [1, 1]);
        assert_eq!(update.service, "document");
        let search = methods().get("/workos.search.v1.SearchService/Search").expect("it is in the contract");
        let access = search.access.as_ref().expect("declared");
        assert!(access.closure.contains(&"workos.search.v1.SearchService/Search"));
        assert!(access.closure.contains(&"workos.file.v1.FileService/BatchReadFiles"));
        assert!(access.closure.contains(&"workos.document.v1.DocumentService/BatchReadDocuments"));
    }

    #[test]
    fn events_and_reasons_carry_what_the_contract_says() {
        assert_eq!(document::v1::DocumentUpdated::TYPE, "document.updated");
        assert_eq!(document::v1::DocumentUpdated::AGGREGATE, "document");
        assert_eq!(document::v1::ErrorReason::TitleInvalid.as_reason(), "TITLE_INVALID");
        assert_eq!(<document::v1::ErrorReason as Reason>::DOMAIN, "document.workos.dev");
    }
}
