//! Whether the audit log is what was written: every digest computed again, outside of the database.
use api::{CallContext, Clock, Ids};
use db::Db;
use time::Duration;

use crate::{
    error::Error,
    model::Link,
    store::{self, audit::Ends},
};

/// Entries read at once.
const PIECE: i64 = 1000;
/// Entries younger than this may still wait for their place.
const SETTLED: Duration = Duration::minutes(1);

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Chains, one per organization.
    pub chains: usize,
    /// Entries whose digest is right.
    pub entries: u64,
    /// What is wrong, in words for an operator; empty when the log is whole.
    pub problems: Vec<String>,
}

/// Verifies all chains, each in its own transaction.
pub(crate) async fn verify(db: &Db, clock: &Clock, ids: &Ids) -> Result<Verified, Error> {
    let context = CallContext::background("auth-audit", ids);
    let tx = db.system("verify the audit log", &context).await?;
    let chains = store::audit::ends(&tx).await?;
    let loose = store::audit::loose(&tx, clock.now() - SETTLED).await?;
    drop(tx);
    let mut found = Verified { chains: chains.len(), ..Verified::default() };
    if loose > 0 {
        found.problems.push(format!("{loose} entries stand outside of every chain"));
    }
    for ends in &chains {
        chain(db, &context, ends, &mut found).await?;
    }
    Ok(found)
}

/// From the link before the oldest kept one to the newest that was there at the beginning.
async fn chain(db: &Db, context: &CallContext, ends: &Ends, found: &mut Verified) -> Result<(), Error> {
    let Link { mut sequence, mut digest } = ends.kept.clone();
    while sequence < ends.last.sequence {
        let tx = db.system("verify the audit log", context).await?;
        let piece = store::audit::piece(&tx, ends.organization, sequence, PIECE).await?;
        drop(tx);
        if piece.is_empty() {
            break;
        }
        for event in
            piece.iter().filter(|event| event.link.as_ref().is_some_and(|link| link.sequence <= ends.last.sequence))
        {
            let Some(link) = &event.link else { continue };
            if link.sequence != sequence + 1 {
                return told(found, ends, format!("an entry is missing behind place {sequence}"));
            }
            if event.digest(&digest, link.sequence) != link.digest {
                return told(found, ends, format!("the entry at place {} was changed", link.sequence));
            }
            (sequence, digest) = (link.sequence, link.digest.clone());
            found.entries += 1;
        }
        if piece.last().and_then(|event| event.link.as_ref()).is_none_or(|link| link.sequence >= ends.last.sequence) {
            break;
        }
    }
    if sequence < ends.last.sequence {
        return told(found, ends, format!("the entries behind place {sequence} are missing"));
    }
    if digest != ends.last.digest {
        return told(found, ends, "the end of the chain has another digest than its last entry".to_owned());
    }
    Ok(())
}

fn told(found: &mut Verified, ends: &Ends, problem: String) -> Result<(), Error> {
    found.problems.push(format!("{}: {problem}", ends.organization.name()));
    Ok(())
}
