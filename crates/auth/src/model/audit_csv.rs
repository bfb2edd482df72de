//! The audit log as a file for spreadsheets (RFC 4180).
//!
//! Names of resources, reasons and details hold what people have typed, and spreadsheets take a text for a formula by its first character:
//! such a text gets an apostrophe before it, so that nothing of the log is ever run by who opens it.
use time::format_description::well_known::Rfc3339;

use super::AuditEvent;

/// Type of the file.
pub(crate) const CSV: &str = "text/csv; charset=utf-8; header=present";
/// Its first line.
pub(crate) const CSV_NAMES: &str = "name,create_time,action,actor,acting,resource,outcome,reason,network,request_id,method,occurrences,details,\
     sequence,digest\r\n";
/// What begins a formula, or is passed over before one.
const FORMULA: [char; 9] = ['=', '+', '-', '@', '\t', '\r', '\n', '|', '%'];

/// Entries as lines.
pub(crate) fn csv(events: &[AuditEvent]) -> String {
    events.iter().map(line).collect()
}

fn line(event: &AuditEvent) -> String {
    let time = event.create_time.format(&Rfc3339).unwrap_or_default();
    let (sequence, digest) = event.link.as_ref().map_or((0, String::new()), |link| (link.sequence, hex(&link.digest)));
    let (name, outcome) = (event.name(), if event.refused { "REFUSED" } else { "DONE" });
    let (occurrences, sequence) = (event.occurrences.to_string(), sequence.to_string());
    let AuditEvent { action, actor, acting, resource, reason, network, request_id, method, details, .. } = event;
    let texts: [&str; 15] = [
        &name,
        &time,
        action,
        actor,
        acting,
        resource,
        outcome,
        reason,
        network,
        request_id,
        method,
        &occurrences,
        details,
        &sequence,
        &digest,
    ];
    format!("{}\r\n", texts.map(field).join(","))
}

fn field(text: &str) -> String {
    let formula = text.trim_start_matches(' ').starts_with(FORMULA);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    match text.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_divides_fields_and_lines_is_quoted() {
        assert_eq!(field("plain text"), "plain text");
        assert_eq!(field(r#"{"a":"b, c"}"#), r#""{""a"":""b, c""}""#);
        assert_eq!(field("two\nlines"), "\"two\nlines\"");
        assert_eq!(field(""), "");
    }

    #[test]
    fn nothing_begins_like_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "  =1", "\r=1", "|x", "%x"] {
            let field = field(text);
            assert!(field.trim_start_matches('"').starts_with('\''), "{field}");
        }
        assert_eq!(field("=HYPERLINK(\"x\",\"y\")"), "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"");
        assert_eq!(field("users/06f-="), "users/06f-=");
    }
}
