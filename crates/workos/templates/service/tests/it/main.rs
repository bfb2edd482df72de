//! The __name__ service through gRPC, on real engines. One module per theme.
mod creation;
