//! The file service alone: `workos-file serve`.
use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::main(&[&file::SERVICE])
}
