//! Statements that ride together: all are sent before the first answer is awaited.
use std::{pin::Pin, task::Poll};

use deadpool_postgres::ClientWrapper;
use futures::{
    future::{BoxFuture, MaybeDone, maybe_done},
    poll,
};
use tokio_postgres::{Error as DriverError, Row, Statement, types::ToSql};

/// A statement whose answer is only a count. Its SQL is static, so it is prepared once per connection.
pub(crate) struct Write {
    pub(crate) sql: &'static str,
    pub(crate) params: Vec<Box<dyn ToSql + Send + Sync>>,
}

impl Write {
    async fn execute(&self, client: &ClientWrapper, statement: &Statement) -> Result<u64, DriverError> {
        let params: Vec<&(dyn ToSql + Sync)> = self.params.iter().map(|param| param.as_ref() as _).collect();
        client.execute(statement, &params).await
    }
}

/// A query and its parameters.
pub(crate) type Prepared<'a> = (Statement, &'a [&'a (dyn ToSql + Sync)]);

type Answer<'a, T> = Pin<Box<MaybeDone<BoxFuture<'a, Result<T, DriverError>>>>>;

/// Sends `begin` (if any) and the queries, then awaits all answers; the first failure is the result.
pub(crate) async fn rows(
    client: &ClientWrapper,
    begin: Option<&str>,
    queries: &[Prepared<'_>],
) -> Result<Vec<Vec<Row>>, DriverError> {
    let mut answers = Vec::with_capacity(queries.len() + 1);
    if let Some(sql) = begin {
        send(&mut answers, Box::pin(async move { client.batch_execute(sql).await.map(|()| Vec::new()) })).await?;
    }
    let begun = answers.len();
    for (statement, params) in queries {
        send(&mut answers, Box::pin(client.query(statement, params))).await?;
    }
    Ok(all(answers).await?.split_off(begun))
}

/// Sends `begin` (if any), the queries, the writes and `commit`, then awaits all answers: rows of the queries, or the first failure.
///
/// `commit` is sent only when everything before it has been sent: a parameter that cannot be encoded fails on the spot, and a
/// commit behind it would commit the change without its event. A failure on the server needs no such care, because it aborts
/// the transaction and turns `commit` into a rollback.
pub(crate) async fn commit(
    client: &ClientWrapper,
    begin: Option<&str>,
    queries: &[Prepared<'_>],
    writes: &[Write],
) -> Result<Vec<Vec<Row>>, DriverError> {
    let mut statements = Vec::with_capacity(writes.len());
    for write in writes {
        statements.push(client.prepare_cached(write.sql).await?);
    }
    let mut answers = Vec::with_capacity(queries.len() + writes.len() + 2);
    if let Some(sql) = begin {
        send(&mut answers, Box::pin(async move { client.batch_execute(sql).await.map(|()| Vec::new()) })).await?;
    }
    let begun = answers.len();
    for (statement, params) in queries {
        send(&mut answers, Box::pin(client.query(statement, params))).await?;
    }
    for (write, statement) in writes.iter().zip(&statements) {
        send(&mut answers, Box::pin(async move { write.execute(client, statement).await.map(|_| Vec::new()) })).await?;
    }
    send(&mut answers, Box::pin(async move { client.batch_execute("commit").await.map(|()| Vec::new()) })).await?;
    let mut rows = all(answers).await?.split_off(begun);
    rows.truncate(queries.len());
    Ok(rows)
}

/// Awaits every answer, the others too when one has failed: a connection is lent again with none to come.
async fn all<T>(answers: Vec<Answer<'_, T>>) -> Result<Vec<T>, DriverError> {
    let mut outcomes = Vec::with_capacity(answers.len());
    for mut answer in answers {
        answer.as_mut().await;
        outcomes
            .push(answer.as_mut().take_output().expect("it has just been awaited, and nothing took its output before"));
    }
    outcomes.into_iter().collect()
}

/// The first poll of a driver's future encodes and sends the message.
async fn send<'a, T>(
    answers: &mut Vec<Answer<'a, T>>,
    future: BoxFuture<'a, Result<T, DriverError>>,
) -> Result<(), DriverError> {
    let mut answer = Box::pin(maybe_done(future));
    if let Poll::Ready(()) = poll!(answer.as_mut())
        && answer.as_mut().output_mut().is_some_and(|outcome| outcome.is_err())
    {
        return answer.as_mut().take_output().expect("it is there, it was looked at").map(drop);
    }
    answers.push(answer);
    Ok(())
}
