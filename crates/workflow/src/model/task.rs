//! Tasks.
use api::{Id, UserId};
use time::OffsetDateTime;

use super::{Decision, DocumentName, RunName, TaskName, limit};

/// State of a task, numbered as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskState {
    /// Waits for its assignee.
    Open = 1,
    /// Decided.
    Completed = 2,
    /// Ended without a decision.
    Closed = 3,
}

/// Something that a person must do for a run.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) name: TaskName,
    pub(crate) run: RunName,
    pub(crate) document: DocumentName,
    pub(crate) assignee: UserId,
    /// 1 the approvers, 2 the owner.
    pub(crate) round: i16,
    pub(crate) state: TaskState,
    pub(crate) decision: Option<Decision>,
    pub(crate) comment: String,
    /// The vote that completed it.
    pub(crate) vote: Option<Id>,
    pub(crate) due_time: OffsetDateTime,
    pub(crate) remind_time: Option<OffsetDateTime>,
    pub(crate) version: i64,
    pub(crate) create_time: OffsetDateTime,
    pub(crate) end_time: Option<OffsetDateTime>,
}

impl Task {
    /// The task as somebody decided it.
    pub(crate) fn decided(self, decision: Decision, comment: String, vote: Id, now: OffsetDateTime) -> Self {
        let (decision, vote) = (Some(decision), Some(vote));
        Self { decision, comment, vote, ..self.ended(TaskState::Completed, now) }
    }

    /// The task as it ends without a decision.
    pub(crate) fn closed(self, now: OffsetDateTime) -> Self {
        self.ended(TaskState::Closed, now)
    }

    /// The task after its assignee was reminded.
    pub(crate) fn reminded(self, now: OffsetDateTime) -> Self {
        Self { remind_time: Some(now), version: self.version + 1, ..self }
    }

    fn ended(self, state: TaskState, now: OffsetDateTime) -> Self {
        Self { state, end_time: Some(now), version: self.version + 1, ..self }
    }
}

/// Checks a comment: a bounded text, of the control characters only line breaks and tabs.
pub(crate) fn comment(text: String) -> Result<String, api::Error> {
    if text.len() > limit::COMMENT {
        let problem = format!("has {} bytes; send at most {}", text.len(), limit::COMMENT);
        return Err(api::Error::invalid_field("comment", problem).with("limit", limit::COMMENT.to_string()));
    }
    if text.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')) {
        return Err(api::Error::invalid_field("comment", "holds a control character; remove it"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_bounded_text() {
        assert_eq!(comment("yes,\n\tbut".to_owned()).expect("it is text"), "yes,\n\tbut");
        assert!(comment("x".repeat(limit::COMMENT)).is_ok());
        for text in ["x".repeat(limit::COMMENT + 1), "a\0b".to_owned(), "\u{1b}[31m".to_owned()] {
            assert_eq!(comment(text).expect_err("it is none").reason(), "FIELD_INVALID");
        }
    }
}
