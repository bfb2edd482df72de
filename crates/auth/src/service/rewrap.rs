//! Another wrapping key: what is sealed under the one before is sealed anew, step by step.
//!
//! Each step is kept by itself, and what is sealed under the present key already is left as it is, so a run that was cut short is done by
//! the next. What neither key opens is named at the end, and left as it is too.
use chassis::BootError;
use db::{Record, Tx};
use uuid::Uuid;

use super::{Operator, provider, second_factor};
use crate::{
    credential::VaultError,
    error::Error,
    model::{FactorName, ProviderName},
    store::{
        self,
        sealed::{Column, FACTORS, PROVIDERS, Sealed},
    },
};

/// Secrets in one step.
const BATCH: i64 = 500;

/// What became of the secrets of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrapped {
    /// Their kind, in words.
    pub what: &'static str,
    /// How many there are.
    pub seen: usize,
    /// How many of them are sealed anew.
    pub renewed: usize,
    /// What neither wrapping key opens.
    pub closed: Vec<String>,
}

impl Rewrapped {
    fn of(what: &'static str) -> Self {
        Self { what, seen: 0, renewed: 0, closed: Vec::new() }
    }
}

impl std::fmt::Display for Rewrapped {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, seen, renewed, closed } = self;
        write!(formatter, "{what}: {renewed} of {seen} sealed anew")?;
        match closed.first() {
            Some(first) => write!(formatter, ", {} open with neither wrapping key, {first} among them", closed.len()),
            None => Ok(()),
        }
    }
}

impl Operator {
    /// Seals everything anew, under the present wrapping key, that is sealed under the one before it.
    ///
    /// # Errors
    /// The database is away; what was done so far stays.
    pub async fn rewrap(&self) -> Result<Vec<Rewrapped>, BootError> {
        let done = async {
            let factor =
                |sealed: &Sealed| second_factor::purpose(FactorName { user: sealed.owner.into(), factor: sealed.id });
            let provider = |sealed: &Sealed| {
                provider::purpose(ProviderName { organization: sealed.owner.into(), provider: sealed.id })
            };
            Ok::<_, Error>(vec![
                self.rewrap_keys().await?,
                self.rewrap_column("second factors", &FACTORS, factor).await?,
                self.rewrap_column("secrets of identity providers", &PROVIDERS, provider).await?,
            ])
        };
        done.await.map_err(|error| BootError::msg(error.for_operator()))
    }

    /// There are few signing keys, hence one step.
    async fn rewrap_keys(&self) -> Result<Rewrapped, Error> {
        let mut done = Rewrapped::of("signing keys");
        let tx = self.db.system("secrets.rewrap", &self.context()).await?;
        store::key::lock(&tx).await?;
        store::key::forget(&tx, self.clock.now()).await?;
        for key in store::key::list(&tx, self.clock.now()).await? {
            if let Some(sealed) = done.look(&key.kid, key.renewed(&self.vault)) {
                store::key::reseal(&tx, &key.kid, &sealed).await?;
            }
        }
        keep(tx, &done, done.renewed).await?;
        Ok(done)
    }

    async fn rewrap_column(
        &self,
        what: &'static str,
        column: &Column,
        purpose: impl Fn(&Sealed) -> String,
    ) -> Result<Rewrapped, Error> {
        let mut done = Rewrapped::of(what);
        let mut after = (Uuid::nil(), Uuid::nil());
        loop {
            let tx = self.db.system("secrets.rewrap", &self.context()).await?;
            let some = store::sealed::some(&tx, column, after, BATCH).await?;
            let Some(last) = some.last() else { return Ok(done) };
            after = (last.owner.uuid(), last.id.uuid());
            let before = done.renewed;
            for secret in &some {
                let purpose = purpose(secret);
                if let Some(sealed) = done.look(&purpose, self.vault.renewed(&purpose, &secret.sealed)) {
                    store::sealed::save(&tx, column, secret, &sealed).await?;
                }
            }
            let renewed = done.renewed - before;
            keep(tx, &done, renewed).await?;
        }
    }
}

impl Rewrapped {
    /// Counts a secret; gives what is to be kept in its place.
    fn look(&mut self, name: &str, renewed: Result<Option<Vec<u8>>, VaultError>) -> Option<Vec<u8>> {
        self.seen += 1;
        match renewed {
            Ok(sealed) => {
                self.renewed += usize::from(sealed.is_some());
                sealed
            }
            Err(VaultError) => {
                self.closed.push(name.to_owned());
                None
            }
        }
    }
}

/// Ends a step; the log tells of those that changed something.
async fn keep(tx: Tx, done: &Rewrapped, renewed: usize) -> Result<(), Error> {
    if renewed > 0 {
        tx.audit(Record::done("secrets.rewrapped").with("what", done.what).with("count", renewed.to_string()));
    }
    Ok(tx.commit().await?)
}
