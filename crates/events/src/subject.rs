//! Names on the broker: streams, subjects, durables, and which of them a service may use. Spelled here once.
//!
//! ```text
//! evt.<service>.<type>.<organization>.<lane>              an event; <type> is two tokens, `document.created`
//! redrive.<publisher>.<service>.<consumer>.<lane>         an event sent again to one consumer of one service
//! dlq.<service>.<consumer>                                a dead letter; <service> is the consumer's
//! dlq.<service>.<consumer>.state.<sequence>               what became of the dead letter with that sequence
//! ```
//! The first two lie on stream `EVT_<PUBLISHER>`, the others on `DLQ`.
use api::OrganizationId;

/// Stream of all dead letters.
pub(crate) const DEAD_LETTERS: &str = "DLQ";
/// Stream that keeps the broker's advisories, which would vanish otherwise.
pub(crate) const ADVISORIES: &str = "ADVISORIES";
/// Advisories about messages that reached the broker's own delivery limit.
pub(crate) const MAX_DELIVERIES: &str = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES";

/// Stream of one publisher.
pub(crate) fn stream(publisher: &str) -> String {
    format!("EVT_{}", publisher.to_uppercase())
}

/// The publisher whose stream this is; `None` for any other stream.
pub(crate) fn publisher(stream: &str) -> Option<String> {
    stream.strip_prefix("EVT_").map(str::to_lowercase)
}

/// Durable of one consumer; the same name on each stream it reads.
pub(crate) fn durable(service: &str, consumer: &str) -> String {
    format!("{service}-{consumer}")
}

/// Subject of an event.
pub(crate) fn event(publisher: &str, kind: &str, organization: OrganizationId, lane: i16) -> String {
    format!("evt.{publisher}.{kind}.{organization}.{lane}")
}

/// All events of one type.
pub(crate) fn events_of(publisher: &str, kind: &str) -> String {
    format!("evt.{publisher}.{kind}.>")
}

/// Where a dead letter is sent again.
pub(crate) fn redrive(publisher: &str, service: &str, consumer: &str, lane: &str) -> String {
    format!("redrive.{publisher}.{service}.{consumer}.{lane}")
}

/// Everything sent again to one consumer.
pub(crate) fn redrives_of(publisher: &str, service: &str, consumer: &str) -> String {
    format!("redrive.{publisher}.{service}.{consumer}.>")
}

/// Subject of the dead letters of one consumer; `*` for all of the service.
pub(crate) fn dead(service: &str, consumer: &str) -> String {
    format!("dlq.{service}.{consumer}")
}

/// Subject of the mark on one dead letter.
pub(crate) fn dead_state(service: &str, consumer: &str, sequence: u64) -> String {
    format!("dlq.{service}.{consumer}.state.{sequence}")
}

/// The consumer of a dead letter's subject, if it is one of this service.
pub(crate) fn dead_consumer<'a>(service: &str, subject: &'a str) -> Option<&'a str> {
    let consumer = subject.strip_prefix("dlq.")?.strip_prefix(service)?.strip_prefix('.')?;
    (!consumer.is_empty() && !consumer.contains('.')).then_some(consumer)
}

/// The prefix of a service's reply subjects: its own, so that no other service can listen to them.
pub(crate) fn inbox(service: &str) -> String {
    format!("_INBOX_{service}")
}

/// What the NATS user of one service may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grants {
    /// Subjects it may publish to.
    pub publish: Vec<String>,
    /// Subjects it may subscribe to.
    pub subscribe: Vec<String>,
}

/// Permissions of a service's NATS user: its own events, its own dead letters, redrives to its own consumers, and of the
/// JetStream API what relay, consumers and admin need. It can neither publish another service's events nor delete or purge.
#[must_use]
pub fn grants(service: &str) -> Grants {
    let stream = stream(service);
    let mut publish = vec![
        format!("evt.{service}.>"),
        format!("dlq.{service}.>"),
        format!("redrive.*.{service}.>"),
        format!("$JS.API.STREAM.UPDATE.{stream}"),
    ];
    let shared = [
        "$JS.API.INFO",
        "$JS.API.STREAM.CREATE.*",
        "$JS.API.STREAM.INFO.*",
        "$JS.API.STREAM.MSG.GET.*",
        "$JS.API.DIRECT.GET.>",
        "$JS.API.CONSUMER.CREATE.>",
        "$JS.API.CONSUMER.DURABLE.CREATE.>",
        "$JS.API.CONSUMER.INFO.>",
        "$JS.API.CONSUMER.MSG.NEXT.>",
        "$JS.ACK.>",
    ];
    publish.extend(shared.map(str::to_owned));
    Grants { publish, subscribe: vec![format!("{}.>", inbox(service))] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_letter_belongs_to_the_service_in_its_subject_and_marks_are_none() {
        assert_eq!(dead_consumer("search", &dead("search", "index")), Some("index"));
        assert_eq!(dead_consumer("search", &dead("searcher", "index")), None);
        assert_eq!(dead_consumer("search", &dead_state("search", "index", 7)), None);
    }

    #[test]
    fn a_stream_names_its_publisher() {
        assert_eq!(publisher(&stream("document")).as_deref(), Some("document"));
        assert_eq!(publisher(DEAD_LETTERS), None);
    }

    #[test]
    fn a_service_may_publish_only_its_own() {
        let grants = grants("notification");
        assert!(grants.publish.contains(&"evt.notification.>".to_owned()));
        assert!(!grants.publish.iter().any(|subject| subject == ">"
            || subject.starts_with("evt.document")
            || subject.contains("DELETE")
            || subject.contains("PURGE")));
    }
}
