//! Notices, inbox items, deliveries and mails as values, with the rules that hold for them. Pure: no I/O, no clock, nothing of
//! the wire.
mod account;
mod delivery;
mod list;
mod mail;
mod name;
mod notice;

pub(crate) use account::{AccountMail, Matter, compose_account};
pub(crate) use delivery::{Class, Delivery, DeliveryState, Fate, Job, Verdict, after_attempt, delay};
pub(crate) use list::{Listed, Window};
pub(crate) use mail::{CapturedMail, Mail, Recipient, compose, message_id};
pub(crate) use name::{CapturedMailName, DeliveryName, InboxName, ItemName, own};
pub(crate) use notice::{Category, Ending, InboxItem, Notice, TaskNews, Uncertain};

/// What a request and a text may hold at most.
pub(crate) mod limit {
    /// Names in one request.
    pub(crate) const NAMES: usize = 1000;
    /// Characters of a title or name that others wrote.
    pub(crate) const TITLE: usize = 200;
    /// Characters of a reason that others gave.
    pub(crate) const REASON: usize = 500;
    /// Bytes of the name of a resource.
    pub(crate) const SUBJECT: usize = 1024;
    /// Items that a stream reads at once, which is also all that it holds.
    pub(crate) const WATCH_BATCH: i64 = 100;
}
