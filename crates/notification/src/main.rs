//! The notification service as a process of its own.
use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::main(&[&notification::SERVICE])
}
