//! What this service publishes. It consumes nothing yet: `mount.consume` takes a consumer and its handler.
use proto::__name__::v1::__Name__Created;

use crate::model::__Name__;

/// One was created.
pub(crate) fn created(new: &__Name__) -> __Name__Created {
    __Name__Created { name: new.name.to_string() }
}
