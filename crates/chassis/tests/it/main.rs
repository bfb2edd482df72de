//! The chassis from outside: a host on real engines, its admin port, its faults, and a thin binary as a process.
mod admin;
mod faults;
mod process;
mod service;
mod start;
