//! Memory for bodies and messages that are read whole: a budget of the process, of which one network has at most half, so that
//! it cannot keep others from sending.
//!
//! What must hold: no more is buffered than was reserved before, but for what is small; what is small is bounded by the number
//! of requests, and costs nothing here.
use std::{net::IpAddr, time::Duration};

use chassis::Size;

use crate::{
    edge::{Full, Place, Places},
    refusal::{Refusal, too_many},
};

/// Bytes that need no reservation.
const FREE: usize = 64 * 1024;
/// Bytes of one place.
const UNIT: usize = 1024;
/// Longest wait for what others hold.
const WAIT: Duration = Duration::from_secs(2);

/// The budget of the process.
pub(crate) struct Budget(Places);

/// What one body has of it; it goes back when this is dropped.
pub(crate) struct Share(Place);

impl Budget {
    /// So much for all.
    pub(crate) fn new(all: Size) -> Self {
        let units = usize::try_from(all.bytes()).unwrap_or(usize::MAX) / UNIT;
        Self(Places::new(units, units / 2))
    }

    /// A share of nothing yet, for a caller at this address.
    pub(crate) fn share(&self, address: IpAddr) -> Share {
        Share(self.0.holder(address))
    }

    /// Bytes that are reserved.
    pub(crate) fn reserved(&self) -> usize {
        self.0.taken() * UNIT
    }
}

impl Share {
    /// Makes room for a buffer of so many bytes in all; waits a moment for what others hold.
    ///
    /// # Errors
    /// 429 when the caller's network has its half, 503 when the budget is used up.
    pub(crate) async fn cover(&mut self, bytes: usize) -> Result<(), Refusal> {
        let more = bytes.div_ceil(UNIT).saturating_sub(self.0.held());
        if bytes <= FREE || more == 0 {
            return Ok(());
        }
        match tokio::time::timeout(WAIT, self.0.grow(more)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Full::Network)) => {
                let what = "large bodies at work from this network (half of setting gateway.bodies_max)";
                Err(too_many(what, Duration::from_secs(1)))
            }
            Ok(Err(Full::All)) | Err(_) => {
                Err(api::Error::unavailable("memory for one more body (setting gateway.bodies_max)").into())
            }
        }
    }

    /// The same for a buffer that also shrinks: what is small again holds nothing.
    pub(crate) async fn fit(&mut self, bytes: usize) -> Result<(), Refusal> {
        if bytes <= FREE && self.0.held() > 0 {
            self.0.give_back();
        }
        self.cover(bytes).await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn small_bodies_hold_nothing_and_large_ones_what_they_need() {
        let budget = Budget::new(Size::from_mib(2));
        let mut share = budget.share(IpAddr::from([10, 0, 0, 1]));
        for (bytes, reserved) in [(FREE, 0), (FREE + 1, FREE + UNIT), (FREE, FREE + UNIT), (1 << 20, 1 << 20)] {
            assert!(share.cover(bytes).now_or_never().expect("no wait").is_ok());
            assert_eq!(budget.reserved(), reserved, "{bytes}");
        }
        let refusal = share.cover((1 << 20) + 1).now_or_never().expect("no wait").expect_err("this is more than half");
        assert_eq!(refusal.parts.code, tonic::Code::ResourceExhausted as i32);
        assert_eq!(budget.reserved(), 1 << 20, "nothing has changed");
        assert!(share.fit(FREE).now_or_never().expect("no wait").is_ok());
        assert_eq!(budget.reserved(), 0);
        assert!(share.fit(1 << 20).now_or_never().expect("no wait").is_ok());
        drop(share);
        assert_eq!(budget.reserved(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_nothing_left_waits_and_is_then_refused() {
        let budget = Budget::new(Size::from_mib(2));
        let mut shares = [1, 2, 3].map(|last| budget.share(IpAddr::from([10, 0, 0, last])));
        for share in &mut shares[..2] {
            share.cover(1 << 20).await.expect("there is room");
        }
        let refusal = shares[2].cover(1 << 20).await.expect_err("all is held");
        assert_eq!(refusal.parts.code, tonic::Code::Unavailable as i32);
        let [first, _second, mut third] = shares;
        let (covered, ()) = tokio::join!(third.cover(1 << 20), async { drop(first) });
        assert!(covered.is_ok(), "what is given back meanwhile is taken");
    }
}
