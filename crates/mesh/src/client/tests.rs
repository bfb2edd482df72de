//! Upstreams with several endpoints: fake servers of which each does what its test says, mostly under paused time.
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use api::Error;
use futures::future::join_all;
use tokio::task::JoinSet;

use super::*;

mod balancing;
mod connections;
mod dns;
mod ejection;
mod health;
mod limits;
mod resets;
mod support;

use support::{
    AWAY, Act, OK, ONCE, Peer, READ, Script, World, broken, call, mesh_with, mute, once, pass, serve, until,
};
