//! Tasks. What they are about stands in their run.
use api::{Id, OrganizationId, UserId};
use db::{Error, Row, Tx};

use super::numbered;
use crate::model::{Decision, DocumentName, Position, RunName, Task, TaskName, TaskState, Window};

macro_rules! select {
    () => {
        "select t.organization_id, t.id, t.run_id, t.assignee_id, t.round, t.state, t.decision, t.comment, t.vote_id, \
         t.due_time, t.remind_time, t.version, t.create_time, t.end_time, r.document_id \
         from tasks t join runs r on r.organization_id = t.organization_id and r.id = t.run_id "
    };
}

const INSERT: &str =
    "insert into tasks (organization_id, id, run_id, assignee_id, round, state, due_time, version, create_time)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing";
const FIND: &str = concat!(select!(), "where t.organization_id = $1 and t.id = $2");
const FIND_VOTE: &str = concat!(select!(), "where t.organization_id = $1 and t.vote_id = $2 limit 1");
const OPEN: &str = concat!(select!(), "where t.organization_id = $1 and t.run_id = $2 and t.state = 1 order by t.id");
const LIST: &str = concat!(
    select!(),
    "where t.organization_id = $1 and t.assignee_id = $2
       and ($3::timestamptz is null or (t.create_time, t.id) < ($3, $4::uuid))
     order by t.create_time desc, t.id desc limit $5"
);
const LIST_OPEN: &str = concat!(
    select!(),
    "where t.organization_id = $1 and t.assignee_id = $2 and t.state = 1
       and ($3::timestamptz is null or (t.create_time, t.id) < ($3, $4::uuid))
     order by t.create_time desc, t.id desc limit $5"
);
const SAVE: &str = "update tasks set state = $3, decision = $4, comment = $5, vote_id = $6, remind_time = $7, version = $8, \
     end_time = $9 where organization_id = $1 and id = $2";

/// Inserts a task; says whether it is new.
pub(crate) async fn insert(tx: &Tx, task: &Task) -> Result<bool, Error> {
    let inserted = tx
        .execute(
            INSERT,
            &[
                &task.name.organization.uuid(),
                &task.name.task.uuid(),
                &task.run.run.uuid(),
                &task.assignee.uuid(),
                &task.round,
                &(task.state as i16),
                &task.due_time,
                &task.version,
                &task.create_time,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Finds a task, whether the viewer may see it or not.
pub(crate) async fn find(tx: &Tx, name: TaskName) -> Result<Option<Task>, Error> {
    let row = tx.query_opt(FIND, &[&name.organization.uuid(), &name.task.uuid()]).await?;
    row.map(|row| task(&row)).transpose()
}

/// Finds the task that a vote completed.
pub(crate) async fn find_vote(tx: &Tx, organization: OrganizationId, vote: Id) -> Result<Option<Task>, Error> {
    let row = tx.query_opt(FIND_VOTE, &[&organization.uuid(), &vote.uuid()]).await?;
    row.map(|row| task(&row)).transpose()
}

/// The open tasks of a run that is locked.
pub(crate) async fn open_of(tx: &Tx, run: RunName) -> Result<Vec<Task>, Error> {
    let rows = tx.query(OPEN, &[&run.organization.uuid(), &run.run.uuid()]).await?;
    rows.iter().map(task).collect()
}

/// Lists somebody's tasks, newest first; without `closed` only open ones.
pub(crate) async fn list(
    tx: &Tx,
    organization: OrganizationId,
    assignee: UserId,
    closed: bool,
    window: &Window,
) -> Result<Vec<Task>, Error> {
    let time = window.after.as_ref().and_then(Position::time);
    let id = window.after.as_ref().map(|after| after.id.uuid());
    let sql = if closed { LIST } else { LIST_OPEN };
    let rows = tx.query(sql, &[&organization.uuid(), &assignee.uuid(), &time, &id, &window.rows()]).await?;
    rows.iter().map(task).collect()
}

/// Saves a task whose run is locked.
pub(crate) async fn save(tx: &Tx, task: &Task) -> Result<(), Error> {
    let (organization, id) = (task.name.organization.uuid(), task.name.task.uuid());
    let (state, decision) = (task.state as i16, task.decision.map(decision_number));
    let vote = task.vote.map(Id::uuid);
    let (remind, end) = (task.remind_time, task.end_time);
    tx.execute(SAVE, &[&organization, &id, &state, &decision, &task.comment, &vote, &remind, &task.version, &end])
        .await
        .map(drop)
}

fn task(row: &Row) -> Result<Task, Error> {
    let id = |column: usize| row.try_get(column).map(Id::from_uuid);
    let organization = OrganizationId(id(0)?);
    let decision: Option<i16> = row.try_get(6)?;
    let vote: Option<uuid::Uuid> = row.try_get(8)?;
    let states = [TaskState::Open, TaskState::Completed, TaskState::Closed];
    let decisions = [Decision::Approve, Decision::Reject];
    Ok(Task {
        name: TaskName { organization, task: id(1)? },
        run: RunName { organization, run: id(2)? },
        document: DocumentName { organization, document: id(14)? },
        assignee: UserId(id(3)?),
        round: row.try_get(4)?,
        state: numbered(row.try_get(5)?, &states, |state| state as i16)?,
        decision: decision.map(|decision| numbered(decision, &decisions, decision_number)).transpose()?,
        comment: row.try_get(7)?,
        vote: vote.map(Id::from_uuid),
        due_time: row.try_get(9)?,
        remind_time: row.try_get(10)?,
        version: row.try_get(11)?,
        create_time: row.try_get(12)?,
        end_time: row.try_get(13)?,
    })
}

fn decision_number(decision: Decision) -> i16 {
    match decision {
        Decision::Approve => 1,
        Decision::Reject => 2,
    }
}
