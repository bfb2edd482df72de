//! The grammar of all resources: names, ids, pages, masks, etags, errors, and who calls.
//!
//! These are the AIP rules of the platform, once. Services speak in these types; `mesh` and `transcode` turn them into
//! gRPC and HTTP. No I/O happens here.

mod caller;
mod clock;
mod consistency;
mod context;
mod error;
mod etag;
mod id;
mod mask;
mod name;
mod page;
mod principal;
mod principals;
mod resume;
mod trace;

pub use caller::{Caller, Decision, Parts, Subject};
pub use clock::{Clock, from_timestamp, timestamp};
pub use consistency::ConsistencyToken;
pub use context::CallContext;
pub use error::{Code, Error};
pub use etag::Etag;
pub use id::{Id, IdError, Ids, OrganizationId, UserId};
pub use mask::Mask;
pub use name::parse_segments;
pub use page::{Page, Sealer};
pub use principal::Principal;
pub use principals::{Principals, holders, members, viewers};
pub use resume::stream_after;
pub use trace::Trace;

/// Strength of roles and shares, as the contract orders them.
pub use proto::{Role, Share};

/// Reasons that any service may give.
pub use proto::api::v1::ErrorReason as CommonReason;
