//! Tokens and decisions, seen from outside: what the mesh asks and what it hears.
mod contract;
mod decision;
mod hostile;
mod narrowing;
mod released;
mod revocation;
mod support;
mod token;
