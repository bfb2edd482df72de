//! The search service: every index engine through one suite, and the whole through gRPC on real engines. The owners of what is
//! searched are stand-ins that publish real events and answer real calls; the story with the real ones is told elsewhere.
mod backend;
mod brute;
mod canary;
mod fixture;
mod groups;
mod indexing;
mod owner;
mod query;
mod staleness;
