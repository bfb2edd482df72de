//! Tokens while all cores are busy (auth.md, case B5): limits inside verification must never refuse an ordinary token.
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use http::Method;
use tokio::task::JoinSet;

use crate::{
    bench::row::Row,
    demo::{
        http::{Call, Http},
        people::SignedIn,
    },
    terminal,
};

/// Callers at once.
const CALLERS: usize = 4;

/// Calls with ordinary tokens while every core has more to do than it can: none may be refused for that.
pub(super) async fn measure(http: &Http, owner: &SignedIn<'_>, time: Duration) -> Result<Row> {
    terminal::note(format!("calls while all cores are busy, for {} minutes", time.as_secs() / 60));
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = JoinSet::new();
    for _ in 0..std::thread::available_parallelism()?.get() * 2 {
        let stop = Arc::clone(&stop);
        threads.spawn_blocking(move || {
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
    }
    let end = Instant::now() + time;
    let caller = || async {
        let (mut calls, mut refused) = (0_u64, 0_u64);
        while Instant::now() < end {
            let call = Call::new("the caller", Method::GET, "/v1/users/me").token(owner.token().await?);
            calls += 1;
            refused += u64::from(!http.once(&call).await?.status.is_success());
        }
        anyhow::Ok((calls, refused))
    };
    let counted = futures::future::try_join_all((0..CALLERS).map(|_| caller())).await;
    stop.store(true, Ordering::Relaxed);
    threads.join_all().await;
    let (calls, refused) = counted?.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let name = format!("calls refused while all cores are busy, of {calls} in {} min", time.as_secs() / 60);
    Ok(Row::of(&name, "", refused as f64, None, "").goal("none".to_owned(), Some(refused == 0)))
}
