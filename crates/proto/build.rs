//! Compiles the contract in `proto/` to Rust, without protoc.
//!
//! The descriptor set that is published is the compiler's own: prost's descriptor type drops custom options, after which every
//! method would look undeclared and the host would refuse to start.
use std::{env, fs, path::Path, path::PathBuf};

use prost_reflect::{DescriptorPool, MessageDescriptor, Value};

#[expect(clippy::disallowed_methods, reason = "cargo tells a build script by the environment")]
fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../../proto");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it"));
    println!("cargo:rerun-if-changed={}", root.display());

    let mut files = Vec::new();
    collect(&root.join("workos"), &mut files);
    files.push(root.join("google/api/httpbody.proto"));
    files.push(root.join("google/rpc/error_details.proto"));
    files.push(root.join("google/rpc/status.proto"));
    files.sort();

    let mut compiler = protox::Compiler::new([&root]).unwrap_or_else(|error| panic!("{error:?}"));
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&files).unwrap_or_else(|error| panic!("{error:?}"));
    let encoded = compiler.encode_file_descriptor_set();
    fs::write(out.join("contract.bin"), &encoded).expect("the build folder is writable");
    let bare = compiler.include_source_info(false).encode_file_descriptor_set();
    fs::write(out.join("structure.bin"), bare).expect("the build folder is writable");

    let pool = DescriptorPool::decode(encoded.as_slice()).unwrap_or_else(|error| panic!("{error:?}"));
    let secret: Vec<_> = pool.all_messages().filter(holds_secret).collect();
    fs::write(out.join("traits.rs"), traits(&pool) + &redacted(&secret)).expect("the build folder is writable");

    let mut config = prost_build::Config::new();
    // Comments of google.rpc hold angle brackets that rustdoc takes for HTML.
    config.bytes(["."]).include_file("modules.rs").enable_type_names().disable_comments([".google"]);
    config.skip_debug(secret.iter().map(|message| format!(".{}", message.full_name())));
    tonic_prost_build::configure()
        .compile_fds_with_config(compiler.file_descriptor_set(), config)
        .unwrap_or_else(|error| panic!("{error}"));
}

/// A field with `debug_redact`: the message must never print it.
fn holds_secret(message: &MessageDescriptor) -> bool {
    message
        .fields()
        .any(|field| field.options().get_field_by_name("debug_redact").and_then(|flag| flag.as_bool()) == Some(true))
}

/// `Debug` of messages with secrets says their type and no more.
fn redacted(messages: &[MessageDescriptor]) -> String {
    let mut code = String::new();
    for message in messages {
        let mut path = format!("crate::{}::v1", service_of(message.package_name()));
        let nested = message.full_name().strip_prefix(message.package_name()).unwrap_or_default();
        let names: Vec<_> = nested.split('.').filter(|name| !name.is_empty()).collect();
        for (index, name) in names.iter().enumerate() {
            let last = index + 1 == names.len();
            path = format!("{path}::{}", if last { (*name).to_owned() } else { snake(name) });
        }
        code += &format!(
            "impl std::fmt::Debug for {path} {{ fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {{ \
             formatter.write_str(\"{} {{{{ .. }}}}\") }} }}\n",
            message.name()
        );
    }
    code
}

fn snake(name: &str) -> String {
    let mut text = String::new();
    for (index, letter) in name.chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("the folder is readable").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
}

/// Implementations that prost does not derive: `Event` for published messages and `Reason` for every `ErrorReason`.
fn traits(pool: &DescriptorPool) -> String {
    let option = pool.get_extension_by_name("workos.api.v1.event").expect("the contract declares it");
    let mut code = String::new();
    for message in pool.all_messages() {
        let options = message.options();
        if !options.has_extension(&option) {
            continue;
        }
        let Value::Message(event) = options.get_extension(&option).into_owned() else { continue };
        let text = |field| {
            event.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let personal = event.get_field_by_name("personal_data").and_then(|value| value.as_bool()).unwrap_or_default();
        let service = service_of(message.package_name());
        let subject = if message.get_field_by_name("name").is_some() { "&self.name" } else { "\"\"" };
        code += &format!(
            "impl crate::Event for crate::{service}::v1::{name} {{ const TYPE: &'static str = {kind:?}; const AGGREGATE: &'static str = {aggregate:?}; \
             const SERVICE: &'static str = {service:?}; const PERSONAL_DATA: bool = {personal}; fn subject(&self) -> &str {{ {subject} }} }}\n",
            name = message.name(),
            kind = text("type"),
            aggregate = text("aggregate"),
        );
    }
    for reasons in pool.all_enums().filter(|reasons| reasons.name() == "ErrorReason") {
        let service = service_of(reasons.package_name());
        code += &format!(
            "impl crate::Reason for crate::{service}::v1::ErrorReason {{ const DOMAIN: &'static str = \"{service}.workos.dev\"; \
             fn as_reason(self) -> &'static str {{ self.as_str_name() }} }}\n"
        );
    }
    code
}

/// `workos.document.v1` is the package of `document`.
fn service_of(package: &str) -> &str {
    package.split('.').nth(1).unwrap_or_default()
}
