//! The first owner, made once, by whoever can read the operator's terminal or the data folder.
//!
//! There is no default password and no flag for tests: a code of 256 bits, good for 15 minutes and once, is all there is. Of two parallel
//! completions one wins, decided by a primary key; afterwards the method always refuses.
use std::path::Path;

use api::{CallContext, Clock, Ids, OrganizationId};
use db::{Db, Record, Tx};
use time::Duration;

use super::{
    Auth,
    operator::of_operator,
    user::{names, refused},
};
use crate::{
    credential::{Handle, Password, digest},
    error::Error,
    events,
    model::{DisplayName, Email, Organization, OrganizationState, Role, User, UserState},
    store,
};

const CODE_LIFE: Duration = Duration::minutes(15);
/// Name of the file in the data folder.
const LINK_FILE: &str = "bootstrap-link";
/// Name of the operators' organization.
const SYSTEM_NAME: &str = "Platform operators";

/// What the first owner says.
pub(crate) struct FirstOwner {
    /// The one-time code.
    pub(crate) code: String,
    /// E-mail address.
    pub(crate) email: Email,
    /// Name.
    pub(crate) display_name: DisplayName,
    /// Password, not tested yet.
    pub(crate) password: String,
    /// Name of the first organization.
    pub(crate) organization_name: DisplayName,
    /// Id chosen for it.
    pub(crate) organization: Option<OrganizationId>,
}

impl Auth {
    /// The platform has its first owner.
    pub(crate) async fn bootstrap_done(&self, context: &CallContext) -> Result<bool, Error> {
        let tx = self.db.system("state of the bootstrap", context).await?;
        Ok(store::bootstrap::is_done(&tx).await?)
    }

    /// State and code are tested before anything else is said.
    pub(crate) async fn test_bootstrap_code(&self, context: &CallContext, code: &str) -> Result<(), Error> {
        let tx = self.db.system("test the bootstrap code", context).await?;
        if store::bootstrap::is_done(&tx).await? {
            return Err(Error::BootstrapDone);
        }
        if store::bootstrap::has_code(&tx, &digest(code), self.clock.now()).await? {
            Ok(())
        } else {
            Err(Error::BootstrapCodeInvalid)
        }
    }

    /// Makes the first owner, of the system organization and of a first organization of his own.
    pub(crate) async fn complete_bootstrap(
        &self,
        context: &CallContext,
        first: FirstOwner,
    ) -> Result<(User, Organization), Error> {
        if first.organization == Some(OrganizationId::SYSTEM) {
            return Err(
                api::Error::invalid_field("organization_id", "is that of the operators; choose another one").into()
            );
        }
        let named = names(&first.organization_name.0, &first.display_name.0, &first.email.text);
        let hash = self.hashes.make(Password::choose("password", &first.password, &named)?).await?;
        let now = self.clock.now();
        let tx = self.db.system("make the first owner", context).await?;
        store::bootstrap::claim(&tx, now)
            .await
            .map_err(|error| if error.is_unique("bootstrap_pkey") { Error::BootstrapDone } else { error.into() })?;
        if !store::bootstrap::has_code(&tx, &digest(&first.code), now).await? {
            return Err(Error::BootstrapCodeInvalid);
        }
        store::bootstrap::delete_codes(&tx).await?;
        let organization = self.add_organization(&tx, first.organization, first.organization_name.0).await?;
        let system = self.add_organization(&tx, Some(OrganizationId::SYSTEM), SYSTEM_NAME.to_owned()).await?;
        let user = User {
            id: self.ids.next().into(),
            email: first.email.text.clone(),
            display_name: first.display_name.0,
            managing_organization: Some(organization.id),
            state: UserState::Active,
            email_verified: true,
            create_time: now,
            update_time: now,
        };
        store::user::insert(&tx, &user, &first.email).await.map_err(|error| refused(error, user.id))?;
        store::user::insert_password(&tx, user.id, &hash, now).await?;
        // The code comes from the machine itself: nobody else can have set this account up, so its address counts as proven. A first proof
        // by mail would otherwise end the password that its owner has chosen, and the operators' second factors with it.
        store::user::verify(&tx, user.id, &first.email.key, now).await?;
        events::user_created(&tx, &user)?;
        for owned in [&organization, &system] {
            let record = Record::done("organization.created").about(owned.id.name());
            tx.audit(record.by(user.id.name()).of(owned.id));
        }
        for owned in [organization.id, system.id] {
            self.add_member(&tx, owned, user.id, Some(Role::Owner)).await?;
        }
        tx.commit().await?;
        self.forget_link();
        Ok((user, organization))
    }

    pub(super) async fn add_organization(
        &self,
        tx: &Tx,
        id: Option<OrganizationId>,
        display_name: String,
    ) -> Result<Organization, Error> {
        let now = self.clock.now();
        let id = id.unwrap_or_else(|| self.ids.next().into());
        let (state, purge_time) = (OrganizationState::Active, None);
        let organization = Organization {
            id,
            display_name,
            version: 1,
            create_time: now,
            update_time: now,
            state,
            purge_time,
            audit_retention_days: None,
        };
        store::organization::insert(tx, &organization).await.map_err(|error| {
            match error.is_unique("organizations_pkey") {
                true => Error::from(api::Error::already_exists(id.name())),
                false => error.into(),
            }
        })?;
        events::organization_created(tx, &organization)?;
        Ok(organization)
    }

    /// While the platform has no owner, the data folder holds a link whose code is good. Gives false once it has one.
    pub(crate) async fn renew_link(&self) -> Result<bool, anyhow::Error> {
        let context = CallContext::background("auth-bootstrap", &self.ids);
        match new_link((&self.db, &self.clock), &context, None, &self.data_dir, &self.issuer).await? {
            Some(_) => Ok(true),
            None => {
                self.forget_link();
                Ok(false)
            }
        }
    }

    fn forget_link(&self) {
        match std::fs::remove_file(self.data_dir.join(LINK_FILE)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(error.message = %error, "the used bootstrap link cannot be deleted");
            }
            _ => {}
        }
    }
}

/// The same for an operator who asks for a code himself: that stands in the audit log.
pub(crate) async fn operators_link(
    db: &Db,
    clock: &Clock,
    data_dir: &Path,
    public_url: &str,
) -> Result<Option<String>, anyhow::Error> {
    let record = Record::done("bootstrap.code_made").of(OrganizationId::SYSTEM);
    new_link((db, clock), &of_operator(&Ids::default()), Some(record), data_dir, public_url).await
}

/// Makes a new code and writes the link with it into the data folder (mode 0600). `None` when there is a first owner.
async fn new_link(
    (db, clock): (&Db, &Clock),
    context: &CallContext,
    record: Option<Record>,
    data_dir: &Path,
    public_url: &str,
) -> Result<Option<String>, anyhow::Error> {
    let code = Handle::new();
    let tx = db.system("a new bootstrap code", context).await?;
    if store::bootstrap::is_done(&tx).await? {
        return Ok(None);
    }
    store::bootstrap::insert_code(&tx, &code.digest, clock.now() + CODE_LIFE).await?;
    if let Some(record) = record {
        tx.audit(record);
    }
    tx.commit().await?;
    // Behind a `#` the code reaches no server's log.
    let link = format!("{public_url}/v1/bootstrap:complete#{}", code.text);
    write_link(data_dir, &link)?;
    Ok(Some(link))
}

/// Under another name first: a reader finds a whole link or none.
fn write_link(data_dir: &Path, link: &str) -> Result<(), anyhow::Error> {
    let path = data_dir.join(LINK_FILE);
    super::start::write_private(&path, &format!("{link}\n"), true)?;
    Ok(())
}
