//! Deliveries and captured mails as administrators see them.
use api::{Caller, Id, OrganizationId};

use super::{Notifications, only_in};
use crate::{
    error::Error,
    model::{CapturedMail, Delivery, DeliveryName, DeliveryState, Listed, Window},
    store,
};

impl Notifications {
    /// Lists deliveries, newest first.
    pub(crate) async fn list_deliveries(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        state: Option<DeliveryState>,
        window: Window<Id>,
    ) -> Result<Listed<Delivery, Id>, Error> {
        only_in(caller, organization)?;
        let tx = self.parts.db.tenant(caller).await?;
        let rows = store::delivery::list(&tx, organization, state, &window).await?;
        Ok(window.page(rows, |last| last.name.delivery))
    }

    /// Tries dead deliveries once more, or all dead ones when none is named; says how many. Those that are not dead stay as
    /// they are.
    pub(crate) async fn redrive(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        deliveries: &[Id],
    ) -> Result<u64, Error> {
        only_in(caller, organization)?;
        let tx = self.parts.db.tenant(caller).await?;
        if let Some(delivery) = store::delivery::missing(&tx, organization, deliveries).await? {
            return Err(Error::Api(api::Error::not_found(DeliveryName { organization, delivery })));
        }
        let named = Some(deliveries).filter(|deliveries| !deliveries.is_empty());
        let redriven = store::delivery::redrive(&tx, organization, named, self.parts.clock.now()).await?;
        tx.commit().await?;
        self.work.notify_one();
        Ok(redriven)
    }

    /// Lists captured mails, newest first.
    pub(crate) async fn list_captured(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        window: Window<Id>,
    ) -> Result<Listed<CapturedMail, Id>, Error> {
        only_in(caller, organization)?;
        if !self.parts.channel.captures() {
            return Err(Error::CaptureOff);
        }
        let tx = self.parts.db.tenant(caller).await?;
        let rows = store::mail::list(&tx, organization, &window).await?;
        Ok(window.page(rows, |last| last.name.mail))
    }
}
