//! Version guards: a projection takes only what is newer than what it has.
//!
//! Events of one aggregate may arrive late, twice, or (after a redrive) long after newer ones. A projection that replaces state
//! keeps the revision it reflects and drops older ones; a deletion leaves a tombstone with its revision, so that a late update
//! cannot bring the deleted back. Effects that add up need `db.once` instead.
use db::Tx;

use crate::Envelope;

/// Where an aggregate stands: the epoch is compared first, since versions are used again after a point-in-time restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// Raised after a point-in-time restore.
    pub epoch: i32,
    /// The aggregate's own version.
    pub version: i64,
}

impl Revision {
    /// The revision as one integer that orders the same, for index engines: `epoch << 48 | version`. Holds epochs up to 32,767
    /// and versions below 2^48; what is beyond is held at the limit.
    #[must_use]
    pub fn packed(self) -> i64 {
        let epoch = i64::from(self.epoch.clamp(0, 0x7FFF));
        epoch << 48 | self.version.clamp(0, (1 << 48) - 1)
    }
}

impl Envelope {
    /// The revision that this event brings its aggregate to.
    #[must_use]
    pub fn revision(&self) -> Revision {
        Revision { epoch: self.epoch, version: self.version }
    }
}

/// Guards a projection by a table in the service's schema, which its migration creates:
///
/// ```sql
/// create table document_guards (
///   organization_id uuid not null, aggregate_id uuid not null,
///   epoch int not null, version bigint not null, deleted boolean not null,
///   primary key (organization_id, aggregate_id)
/// );
/// create policy tenant on document_guards using (organization_id = workos.organization());
/// ```
#[derive(Clone, Debug)]
pub struct Guard {
    advance: String,
}

impl Guard {
    /// A guard over `table`.
    ///
    /// # Panics
    /// When the name is not a plain identifier, at service start.
    #[must_use]
    pub fn new(table: &'static str) -> Self {
        let plain = !table.is_empty() && table.bytes().all(|letter| letter.is_ascii_lowercase() || letter == b'_');
        assert!(plain, "the table name `{table}` must consist of lower-case letters and `_`");
        let advance = format!(
            "insert into {table} as held (organization_id, aggregate_id, epoch, version, deleted) values ($1, $2, $3, $4, $5) \
             on conflict (organization_id, aggregate_id) do update \
             set epoch = excluded.epoch, version = excluded.version, deleted = excluded.deleted \
             where (held.epoch, held.version) < (excluded.epoch, excluded.version)"
        );
        Self { advance }
    }

    /// True when the event is newer than everything the projection took of this aggregate: apply it in the same transaction.
    /// False when it is stale: it is done already, or a newer one overtook it. `tombstone` says that the event deletes.
    ///
    /// Locks the aggregate's row until the transaction ends, so two instances cannot both apply.
    ///
    /// # Errors
    /// The database's.
    pub async fn newer(&self, tx: &Tx, envelope: &Envelope, tombstone: bool) -> Result<bool, db::Error> {
        let Revision { epoch, version } = envelope.revision();
        let (organization, aggregate) = (envelope.organization.uuid(), envelope.aggregate_id.uuid());
        let advanced = tx.execute(&self.advance, &[&organization, &aggregate, &epoch, &version, &tombstone]).await?;
        Ok(advanced == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packed_form_orders_as_the_pair_does() {
        let revisions = [(0, 1), (0, 2), (0, (1 << 48) - 1), (1, 0), (1, 1), (7, 3)]
            .map(|(epoch, version)| Revision { epoch, version });
        assert!(revisions.windows(2).all(|pair| pair[0] < pair[1] && pair[0].packed() < pair[1].packed()));
    }
}
