//! The workflow service through gRPC, on real engines.
