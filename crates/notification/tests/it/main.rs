//! The notification service through gRPC, on real engines, with a real outbox in front of it and a mail server that does what a
//! test tells it. Numbered cases are those of the design.
mod events;
mod failure;
mod fixture;
mod inbox;
mod isolation;
mod mail;
mod post_office;
mod stage;
mod stream;
