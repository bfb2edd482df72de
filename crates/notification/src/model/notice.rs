//! What somebody is told, and what each category is.
use api::UserId;
use time::OffsetDateTime;

use super::{ItemName, limit};

/// Kind of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Category {
    /// A document was shared with the recipient.
    DocumentShared,
    /// A task waits for the recipient.
    TaskCreated,
    /// A task still waits.
    TaskReminded,
    /// A task was handed over to the recipient.
    TaskEscalated,
    /// A run of the recipient ended.
    RunEnded,
    /// A mail of the auth service: no inbox has it, and who gets it is known when it is sent.
    Account,
}

/// What is done about a mail of which nobody knows whether it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uncertain {
    /// It is sent again, under the same Message-ID: two mails are better than none.
    Resend,
    /// It stays so, for people to see: the inbox has the news too.
    Hold,
}

impl Category {
    const ALL: [Self; 6] = [
        Self::DocumentShared,
        Self::TaskCreated,
        Self::TaskReminded,
        Self::TaskEscalated,
        Self::RunEnded,
        Self::Account,
    ];

    /// Its name in the contract.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::DocumentShared => "document.shared",
            Self::TaskCreated => "task.created",
            Self::TaskReminded => "task.reminded",
            Self::TaskEscalated => "task.escalated",
            Self::RunEnded => "run.ended",
            Self::Account => "account",
        }
    }

    /// Reads a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|category| category.as_str() == name)
    }

    /// Work that nobody hears of stands still, so its mails are sent again; news is not worth a second mail.
    pub(crate) fn when_uncertain(self) -> Uncertain {
        match self {
            // The link in a second mail is the same.
            Self::TaskCreated | Self::TaskReminded | Self::TaskEscalated | Self::Account => Uncertain::Resend,
            Self::DocumentShared | Self::RunEnded => Uncertain::Hold,
        }
    }
}

/// What happened to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskNews {
    /// It was given to somebody.
    Created,
    /// It is still open.
    Reminded,
    /// It was handed over.
    Escalated,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Approved.
    Approved,
    /// Rejected.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// Completed, without an outcome that has a name here.
    Completed,
    /// Ended by an error.
    Failed,
    /// Canceled.
    Canceled,
}

/// One piece of news for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Kind.
    pub(crate) category: Category,
    /// Who is told.
    pub(crate) recipient: UserId,
    /// One line for people.
    pub(crate) title: String,
    /// Name of the resource it is about; may be empty.
    pub(crate) subject: String,
}

impl Notice {
    /// A document was shared with the recipient.
    pub(crate) fn share(recipient: UserId, title: &str, document: &str) -> Self {
        let title = format!("{} was shared with you", quoted(title));
        Self::new(Category::DocumentShared, recipient, title, document)
    }

    /// A task of the recipient's.
    pub(crate) fn task(news: TaskNews, recipient: UserId, title: &str, subject: &str) -> Self {
        let name = quoted(title);
        let (category, title) = match news {
            TaskNews::Created => (Category::TaskCreated, format!("{name} waits for your decision")),
            TaskNews::Reminded => (Category::TaskReminded, format!("Reminder: {name} still waits for your decision")),
            TaskNews::Escalated => {
                (Category::TaskEscalated, format!("{name} was handed over to you: nobody decided in time"))
            }
        };
        Self::new(category, recipient, title, subject)
    }

    /// A run of the recipient's ended.
    pub(crate) fn run(ending: Ending, recipient: UserId, title: &str, subject: &str) -> Self {
        let name = quoted(title);
        let title = match ending {
            Ending::Approved => format!("{name} was approved"),
            Ending::Rejected => format!("{name} was rejected"),
            Ending::Expired => format!("Nobody decided on {name} in time"),
            Ending::Completed => format!("The run for {name} is complete"),
            Ending::Failed => format!("The run for {name} failed"),
            Ending::Canceled => format!("The run for {name} was canceled"),
        };
        Self::new(Category::RunEnded, recipient, title, subject)
    }

    /// A mail of the auth service.
    pub(crate) fn account() -> Self {
        Self::new(Category::Account, UserId(api::Id::ZERO), String::new(), "")
    }

    fn new(category: Category, recipient: UserId, title: String, subject: &str) -> Self {
        Self { category, recipient, title, subject: line(subject, limit::SUBJECT) }
    }
}

/// An entry of an inbox.
#[derive(Clone, Debug)]
pub(crate) struct InboxItem {
    /// Name.
    pub(crate) name: ItemName,
    /// Place in the inbox.
    pub(crate) sequence: i64,
    /// Kind.
    pub(crate) category: String,
    /// One line for people.
    pub(crate) title: String,
    /// Resource it is about.
    pub(crate) subject: String,
    /// Whether it was read.
    pub(crate) read: bool,
    /// When it arrived.
    pub(crate) create_time: OffsetDateTime,
}

/// A title that others wrote, as part of a line: never empty, never long, never more than one line.
fn quoted(title: &str) -> String {
    let title = line(title, limit::TITLE);
    if title.is_empty() { "A resource without a title".to_owned() } else { format!("\"{title}\"") }
}

/// Text of others in one line of at most so many characters: no control characters, no line breaks of any kind, nothing that
/// turns the direction of the text around it.
pub(super) fn line(text: &str, most: usize) -> String {
    let plain = |letter: char| match letter {
        '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => ' ',
        letter if letter.is_control() => ' ',
        letter => letter,
    };
    let cleaned: String = text.chars().map(plain).collect();
    let cleaned = cleaned.trim();
    match cleaned.char_indices().nth(most) {
        None => cleaned.to_owned(),
        Some(_) => cleaned.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use api::Id;

    use super::*;

    #[test]
    fn what_others_wrote_stays_within_its_line() {
        assert_eq!(line(" a\r\nBcc: b\0c\u{2028}d\u{202e}e ", 99), "a  Bcc: b c d e");
        assert_eq!(line("abc", 3), "abc");
        assert_eq!(line("éàü", 2), "é…");
        let notice = Notice::share(UserId(Id::ZERO), "x\r\nBcc: everybody", "organizations/o/documents/d");
        assert_eq!(notice.title, "\"x  Bcc: everybody\" was shared with you");
        assert!(Notice::share(UserId(Id::ZERO), &"é".repeat(5000), "").title.chars().count() < 300);
    }

    #[test]
    fn a_title_of_nothing_is_not_quoted() {
        assert_eq!(
            Notice::run(Ending::Approved, UserId(Id::ZERO), "\n", "").title,
            "A resource without a title was approved"
        );
    }

    #[test]
    fn every_category_reads_back() {
        for category in Category::ALL {
            assert_eq!(Category::parse(category.as_str()), Some(category));
        }
        assert_eq!(Category::parse("task"), None);
    }
}
