//! The thin binary: a throw-away set of engines around a command, and small tools on the engines of this folder.

use std::process::ExitCode;

fn main() -> ExitCode {
    engines::guard::main_if_asked();
    engines::command::main()
}
