//! The workflow service through gRPC, with auth and document beside it, on real engines. One module per theme; numbered cases
//! are those of the design.
mod approval;
mod cancel;
mod engine;
mod erased;
mod fixture;
mod history;
mod input;
mod isolation;
mod outage;
mod people;
mod start;
mod watch;
