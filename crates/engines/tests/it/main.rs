//! Real engines, really killed. Each test has a set of its own in a temporary folder; nothing is simulated.

mod commands;
mod faults;
mod folder;
mod harness;
mod talk;
