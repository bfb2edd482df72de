//! `workos-auth`: the identity service alone in its process.

fn main() -> std::process::ExitCode {
    chassis::main(&[&auth::SERVICE])
}
