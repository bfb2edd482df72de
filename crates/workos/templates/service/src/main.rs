//! The __name__ service as a process of its own.
use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::main(&[&__name__::SERVICE])
}
