//! `docs/errors.md`: every machine-readable reason with its cause and what helps, from the comments of the contract.
use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::Result;
use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

const HEAD: &str = "# Errors

Written by `./dev generate` from the enums `ErrorReason` of the contract; change `proto/`, not this file.

Every error carries `google.rpc.ErrorInfo` with a `reason` and a `domain`. Programs decide by the pair: messages may change, reasons
do not. Over REST both stand in `error.details`, over gRPC in `grpc-status-details-bin`. What varies in a message is in `metadata`; what
is wrong with a field of the request is in `google.rpc.BadRequest`. UNAVAILABLE and RESOURCE_EXHAUSTED carry `google.rpc.RetryInfo`
(over REST also `Retry-After`): wait that long and repeat.
";

/// One reason and its text.
struct Entry {
    reason: String,
    text: String,
}

/// The page.
pub(crate) fn page() -> Result<String> {
    let set = FileDescriptorSet::decode(proto::CONTRACT)?;
    let services: BTreeMap<String, Vec<Entry>> = set.file.iter().filter_map(of_file).collect();
    let (shared, own): (Vec<_>, Vec<_>) = services.into_iter().partition(|(service, _)| service == "api");
    let mut page = HEAD.to_owned();
    for (service, entries) in shared.into_iter().chain(own) {
        let title = if service == "api" { "Any service".to_owned() } else { service.clone() };
        let _ = write!(page, "\n## {title}: `{service}.workos.dev`\n\n| reason | cause and remedy |\n|---|---|\n");
        for entry in entries {
            let _ = writeln!(page, "| `{}` | {} |", entry.reason, entry.text);
        }
    }
    Ok(page)
}

/// Service and reasons of a file that has an enum `ErrorReason`.
fn of_file(file: &FileDescriptorProto) -> Option<(String, Vec<Entry>)> {
    let service = file.package().strip_prefix("workos.")?.split('.').next()?.to_owned();
    let index = file.enum_type.iter().position(|found| found.name() == "ErrorReason")?;
    let values = file.enum_type[index].value.iter().enumerate().filter(|(_, value)| value.number() != 0);
    let entries =
        values.map(|(place, value)| Entry { reason: value.name().to_owned(), text: comment(file, index, place) });
    Some((service, entries.collect()))
}

/// The comment of one value. 5 is the field `enum_type` of a file, 2 the field `value` of an enum.
fn comment(file: &FileDescriptorProto, index: usize, value: usize) -> String {
    let path = [5, index, 2, value].map(|number| i32::try_from(number).unwrap_or_default());
    let info = file.source_code_info.as_ref();
    let location = info.and_then(|info| info.location.iter().find(|location| location.path == path));
    let text = location.map(|location| location.leading_comments().split_whitespace().collect::<Vec<_>>().join(" "));
    text.unwrap_or_default().replace('|', "\\|")
}
