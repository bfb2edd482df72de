//! Mails: subject and plain text. What others wrote stands in them as data, cut and in one line.
use api::OrganizationId;
use time::OffsetDateTime;

use super::{CapturedMailName, DeliveryName, Job, limit, notice::line};

/// Who gets a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipient {
    /// Mail address.
    pub(crate) address: String,
    /// Name shown to people.
    pub(crate) display_name: String,
}

/// A mail that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    /// Organization that it belongs to.
    pub(crate) organization: OrganizationId,
    /// Message-ID with its brackets.
    pub(crate) message_id: String,
    /// Sender, as `Name <address>`.
    pub(crate) sender: String,
    /// Recipient.
    pub(crate) recipient: Recipient,
    /// Subject line.
    pub(crate) subject: String,
    /// Plain text.
    pub(crate) text: String,
    /// When it was written.
    pub(crate) date: OffsetDateTime,
}

/// A mail that was captured instead of sent.
#[derive(Clone, Debug)]
pub(crate) struct CapturedMail {
    /// Name.
    pub(crate) name: CapturedMailName,
    /// Message-ID with its brackets.
    pub(crate) message_id: String,
    /// Sender.
    pub(crate) sender: String,
    /// Recipient's address.
    pub(crate) recipient: String,
    /// Subject line.
    pub(crate) subject: String,
    /// Plain text.
    pub(crate) text: String,
    /// When it was captured.
    pub(crate) create_time: OffsetDateTime,
}

/// Writes the mail of a delivery. `public_url` is where clients reach the platform, without a slash at the end.
pub(crate) fn compose(job: &Job, recipient: Recipient, public_url: &str, sender: &str, date: OffsetDateTime) -> Mail {
    let name = line(&recipient.display_name, limit::TITLE);
    let greeting = if name.is_empty() { "Hello,".to_owned() } else { format!("Hello {name},") };
    let link = match job.subject.as_str() {
        "" => String::new(),
        subject => format!("{public_url}/v1/{subject}\n\n"),
    };
    let organization = job.name.organization;
    let text = format!(
        "{greeting}\n\n{}.\n\n{link}Your inbox has this too: {public_url}/v1/{}/users/me/inboxItems\n",
        job.title,
        organization.name()
    );
    Mail {
        organization,
        message_id: job.message_id.clone(),
        sender: sender.to_owned(),
        recipient: Recipient { display_name: name, ..recipient },
        subject: job.title.clone(),
        text,
        date,
    }
}

/// The Message-ID of a delivery: made once, the same with every attempt.
pub(crate) fn message_id(delivery: DeliveryName, public_url: &str) -> String {
    let host = public_url.split_once("://").map_or(public_url, |(_, rest)| rest);
    let host = host.split(['/', '?']).next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let is_name = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
    };
    format!("<{}@{}>", delivery.delivery, if is_name(host) { host } else { "workos.invalid" })
}

#[cfg(test)]
mod tests {
    use api::{Id, UserId};

    use super::*;
    use crate::model::{DeliveryState, Ending, Notice};

    fn job(title: &str) -> Job {
        let notice = Notice::run(Ending::Approved, UserId(Id::ZERO), title, "organizations/o/documents/d");
        let name = DeliveryName { organization: OrganizationId(Id::ZERO), delivery: Id::ZERO };
        Job {
            name,
            category: notice.category,
            state: DeliveryState::Pending,
            title: notice.title,
            subject: notice.subject,
            message_id: message_id(name, "https://example.org:8443/x"),
            attempts: 0,
            tries_left: 8,
            version: 0,
            is_open: false,
        }
    }

    fn mail(title: &str, display_name: &str) -> Mail {
        let recipient = Recipient { address: "a@example.org".to_owned(), display_name: display_name.to_owned() };
        compose(&job(title), recipient, "https://example.org", "W <w@example.org>", OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_mail_says_what_happened_and_where() {
        let mail = mail("Plan", "Anna");
        assert_eq!(mail.subject, "\"Plan\" was approved");
        assert!(mail.text.starts_with(
            "Hello Anna,\n\n\"Plan\" was approved.\n\nhttps://example.org/v1/organizations/o/documents/d\n"
        ));
        assert_eq!(mail.message_id, "<00000000000000000000000000@example.org>");
    }

    #[test]
    fn nobody_writes_headers_or_lines_through_a_title_or_a_name() {
        let mail = mail("x\r\nBcc: all@example.org\r\n\r\nhi", "Eve\r\nBcc: all@example.org");
        for text in [&mail.subject, &mail.recipient.display_name] {
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
        assert_eq!(mail.text.lines().filter(|line| line.starts_with("Bcc")).count(), 0);
    }

    #[test]
    fn a_message_id_has_a_host_that_mail_allows() {
        let name = DeliveryName { organization: OrganizationId(Id::ZERO), delivery: Id::ZERO };
        assert!(message_id(name, "http://127.0.0.1:8080").ends_with("@127.0.0.1>"));
        for url in ["http://[::1]:8080", "http://", "http://a b/"] {
            assert!(message_id(name, url).ends_with("@workos.invalid>"), "{url}");
        }
    }
}
