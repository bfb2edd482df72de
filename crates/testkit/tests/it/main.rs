//! Tests of the contract and of the workspace itself.
mod contract;
mod tree;
