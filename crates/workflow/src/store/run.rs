//! Runs.
use std::time::Duration;

use api::{Id, OrganizationId, UserId};
use db::{Error, Row, Tx};
use time::OffsetDateTime;
use uuid::Uuid;

use super::numbered;
use crate::{
    flow::Cause,
    model::{Approval, DocumentName, Outcome, Position, Rule, Run, RunName, State, Window},
};

macro_rules! columns {
    () => {
        "r.organization_id, r.id, r.document_id, r.revision, r.title, r.approvers, r.rule, r.due_millis, r.remind_millis, \
         r.owner_id, r.creator_id, r.delegation, r.request_id, r.traceparent, r.state, r.outcome, r.error, r.version, \
         r.create_time, r.end_time, r.cancel_time"
    };
}

const INSERT: &str = "insert into runs (organization_id, id, document_id, revision, title, approvers, rule, due_millis, \
       remind_millis, owner_id, creator_id, delegation, request_id, traceparent, state, version, create_time, attention_time) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
const FIND: &str = concat!(
    "select ",
    columns!(),
    ", exists (select from tasks t where t.organization_id = r.organization_id and t.run_id = r.id and t.assignee_id = $3)
     from runs r where r.organization_id = $1 and r.id = $2"
);
const LOCK: &str =
    concat!("select ", columns!(), " from runs r where r.organization_id = $1 and r.id = $2 for no key update");
const LIST: &str = concat!(
    "select ",
    columns!(),
    " from runs r
     where r.organization_id = $1 and ($2::uuid is null or r.creator_id = $2)
       and ($3::timestamptz is null or (r.create_time, r.id) < ($3, $4::uuid))
     order by r.create_time desc, r.id desc limit $5"
);
/// A run that was asked to end meanwhile stays due.
const STARTED: &str =
    "update runs set state = 2, attention_time = case when cancel_time is null then $3 else attention_time end
     where organization_id = $1 and id = $2 and state = 1";
const CANCEL: &str = "update runs set cancel_time = $3, attention_time = $4 where organization_id = $1 and id = $2";
const ATTEND: &str =
    "update runs set attention_time = $3 where organization_id = $1 and id = $2 and attention_time is not null";
const CLOSE: &str =
    "update runs set state = $3, outcome = $4, error = $5, version = $6, end_time = $7, attention_time = null
     where organization_id = $1 and id = $2";
/// Takes what is due, for a while: whoever dies with it leaves it to the next.
const CLAIM: &str = concat!(
    "update runs r set attention_time = $2 from (
       select organization_id, id from runs where attention_time <= $1 order by attention_time limit $3 for update skip locked
     ) due
     where r.organization_id = due.organization_id and r.id = due.id
     returning ",
    columns!()
);

/// A run that was found.
pub(crate) struct Found {
    pub(crate) run: Run,
    /// The viewer has or had a task of it.
    pub(crate) assigned: bool,
}

/// Inserts a run. Fails on `runs_pkey` when the id is taken.
pub(crate) async fn insert(tx: &Tx, run: &Run, attention: OffsetDateTime) -> Result<(), Error> {
    let approval = &run.approval;
    let approvers: Vec<Uuid> = approval.approvers.iter().map(|user| user.uuid()).collect();
    tx.execute(
        INSERT,
        &[
            &run.name.organization.uuid(),
            &run.name.run.uuid(),
            &approval.document.document.uuid(),
            &run.revision,
            &run.title,
            &approvers,
            &rule_number(approval.rule),
            &millis(approval.due_after),
            &millis(approval.remind_after),
            &run.owner.uuid(),
            &run.creator.uuid(),
            &run.delegation,
            &run.cause.request_id,
            &run.cause.traceparent,
            &(run.state as i16),
            &run.version,
            &run.create_time,
            &attention,
        ],
    )
    .await
    .map(drop)
}

/// Finds a run, whether the viewer may see it or not.
pub(crate) async fn find(tx: &Tx, name: RunName, viewer: Option<UserId>) -> Result<Option<Found>, Error> {
    let viewer = viewer.map(UserId::uuid);
    let row = tx.query_opt(FIND, &[&name.organization.uuid(), &name.run.uuid(), &viewer]).await?;
    row.map(|row| Ok(Found { run: run(&row)?, assigned: row.try_get(21)? })).transpose()
}

/// Finds a run and locks it until the end of the transaction: what happens to one run happens one after the other.
pub(crate) async fn lock(tx: &Tx, name: RunName) -> Result<Option<Run>, Error> {
    let row = tx.query_opt(LOCK, &[&name.organization.uuid(), &name.run.uuid()]).await?;
    row.map(|row| run(&row)).transpose()
}

/// Lists runs, newest first; with a creator only theirs.
pub(crate) async fn list(
    tx: &Tx,
    organization: OrganizationId,
    creator: Option<UserId>,
    window: &Window,
) -> Result<Vec<Run>, Error> {
    let time = window.after.as_ref().and_then(Position::time);
    let id = window.after.as_ref().map(|after| after.id.uuid());
    let creator = creator.map(UserId::uuid);
    let rows = tx.query(LIST, &[&organization.uuid(), &creator, &time, &id, &window.rows()]).await?;
    rows.iter().map(run).collect()
}

/// The engine has the run; it is looked at again at `next`.
pub(crate) async fn started(tx: &Tx, name: RunName, next: OffsetDateTime) -> Result<(), Error> {
    tx.execute(STARTED, &[&name.organization.uuid(), &name.run.uuid(), &next]).await.map(drop)
}

/// A run that is locked is asked to end; the engine hears of it now, and if that fails at `next`.
pub(crate) async fn cancel(tx: &Tx, name: RunName, now: OffsetDateTime, next: OffsetDateTime) -> Result<(), Error> {
    tx.execute(CANCEL, &[&name.organization.uuid(), &name.run.uuid(), &now, &next]).await.map(drop)
}

/// Looks at a run again at `next`, unless it has ended.
pub(crate) async fn attend(tx: &Tx, name: RunName, next: OffsetDateTime) -> Result<(), Error> {
    tx.execute(ATTEND, &[&name.organization.uuid(), &name.run.uuid(), &next]).await.map(drop)
}

/// Writes the end of a locked run.
pub(crate) async fn close(tx: &Tx, run: &Run) -> Result<(), Error> {
    let outcome = run.outcome.map(|outcome| outcome as i16);
    let (organization, id) = (run.name.organization.uuid(), run.name.run.uuid());
    let state = run.state as i16;
    tx.execute(CLOSE, &[&organization, &id, &state, &outcome, &run.error, &run.version, &run.end_time]).await.map(drop)
}

/// Takes the runs that are due, of all organizations, until `lease`.
pub(crate) async fn claim(tx: &Tx, now: OffsetDateTime, lease: OffsetDateTime, most: u16) -> Result<Vec<Run>, Error> {
    let rows = tx.query(CLAIM, &[&now, &lease, &i64::from(most)]).await?;
    rows.iter().map(run).collect()
}

fn run(row: &Row) -> Result<Run, Error> {
    let organization = OrganizationId(id(row, 0)?);
    let approvers: Vec<Uuid> = row.try_get(5)?;
    let owner = UserId(id(row, 9)?);
    let outcome: Option<i16> = row.try_get(15)?;
    let outcomes = [Outcome::Approved, Outcome::Rejected, Outcome::Expired];
    let states = [State::Starting, State::Running, State::Completed, State::Failed, State::Canceled];
    Ok(Run {
        name: RunName { organization, run: id(row, 1)? },
        approval: Approval {
            document: DocumentName { organization, document: id(row, 2)? },
            approvers: approvers.into_iter().map(|user| UserId(Id::from_uuid(user))).collect(),
            rule: numbered(row.try_get(6)?, &[Rule::Any, Rule::All], rule_number)?,
            due_after: duration(row.try_get(7)?),
            remind_after: duration(row.try_get(8)?),
            owner: Some(owner),
        },
        owner,
        revision: row.try_get(3)?,
        title: row.try_get(4)?,
        creator: UserId(id(row, 10)?),
        delegation: row.try_get(11)?,
        cause: Cause { request_id: row.try_get(12)?, traceparent: row.try_get(13)? },
        state: numbered(row.try_get(14)?, &states, |state| state as i16)?,
        outcome: outcome.map(|outcome| numbered(outcome, &outcomes, |outcome| outcome as i16)).transpose()?,
        error: row.try_get(16)?,
        version: row.try_get(17)?,
        create_time: row.try_get(18)?,
        end_time: row.try_get(19)?,
        cancel_time: row.try_get(20)?,
    })
}

fn id(row: &Row, column: usize) -> Result<Id, Error> {
    Ok(Id::from_uuid(row.try_get(column)?))
}

fn rule_number(rule: Rule) -> i16 {
    match rule {
        Rule::Any => 1,
        Rule::All => 2,
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}
