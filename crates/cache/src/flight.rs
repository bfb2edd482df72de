//! Single flight: many ask at once, one loads.
use std::{any::type_name, sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use crate::{Cache, Key};

impl Cache {
    /// The cached value, else what `load` gives, which is then cached for `ttl`. Callers of this process who ask for the
    /// same key meanwhile wait for that one load; should it be canceled, one of them takes over. Its failure is everybody's and
    /// is not cached. Without Redis it only loads.
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn single_flight<T, E, F>(&self, key: &Key<T>, ttl: Duration, load: impl FnOnce() -> F) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
        E: Clone + Send + Sync + 'static,
        F: Future<Output = Result<T, E>>,
    {
        // The type is part of the name, so a value found under it always has that type.
        let name = format!("{}:{}", type_name::<T>(), self.name(key));
        let flight = async {
            if let Ok(Some(value)) = self.get(key).await {
                return Ok(Arc::new(value) as _);
            }
            let value = load().await?;
            if let Err(error) = self.set(key, &value, ttl).await {
                tracing::debug!(key = key.text(), %error, "loaded value not cached");
            }
            Ok(Arc::new(value) as _)
        };
        let landed = self.shared.flights.entry_by_ref(&name).or_try_insert_with(flight).await;
        let entry = landed.map_err(|error: Arc<E>| Arc::unwrap_or_clone(error))?;
        if entry.is_fresh() {
            // Who waited has the value; who comes later asks Redis again.
            self.shared.flights.invalidate(&name).await;
        }
        Ok(entry.into_value().downcast_ref::<T>().expect("the name holds the type").clone())
    }
}
