//! The whole platform: the real `workos` binary as a child process, on real engines, reached only as a stranger reaches it.
//! One user story or one kind of trouble per module; numbered cases are those of the design.
mod admin;
mod agreement;
mod apart;
mod client;
mod edge;
mod engine_loss;
mod erasure;
mod invitation;
mod keys;
mod kill;
mod magic;
mod mailbox;
mod manifests;
mod oauth;
mod oauth_flows;
mod pages;
mod person;
mod platform;
mod process;
mod request_id;
mod revoked;
mod secrets;
mod story_grpc;
mod story_rest;
mod tenant;
mod tus;
