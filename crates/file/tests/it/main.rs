//! The file service through gRPC, on real engines and a real disk, beside the real document service. One module per theme;
//! numbered cases are those of the design.
mod appending;
mod crashes;
mod creation;
mod deletion;
mod downloads;
mod fixture;
mod isolation;
mod leases;
mod references;
mod sweeping;
