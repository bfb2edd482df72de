//! Every workload of the platform, once. `workos up` and `serve` run them, `migrate` prepares their schemas, the policy
//! generator names them.
use chassis::ServiceSpec;

/// The services and the edge.
pub(crate) const SERVICES: [&ServiceSpec; 7] = [
    &auth::SERVICE,
    &document::SERVICE,
    &file::SERVICE,
    &workflow::SERVICE,
    &search::SERVICE,
    &notification::SERVICE,
    &gateway::SERVICE,
];
