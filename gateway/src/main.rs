//! The edge alone: `workos-gateway serve`.
fn main() -> std::process::ExitCode {
    chassis::main(&[&gateway::SERVICE])
}
