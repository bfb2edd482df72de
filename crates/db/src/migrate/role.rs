//! Roles: `workos_owner` owns every table and cannot log in; `workos_<service>` logs in and owns nothing;
//! `workos_<service>_system` is what a system transaction becomes, and the only one besides the owner that policies let see
//! all tenants. The service's role is NOINHERIT: holding the system role gives nothing until `set local role`.
//!
//! Roles belong to the whole server, not to one database, so several databases may want to make the same ones at the same
//! moment (tests do): every statement is one that may be repeated, and is skipped where nothing would change.
use std::time::Duration;

use postgres_protocol::password::scram_sha_256;

use super::MigrateError;
use crate::endpoint::{Endpoint, Session};

/// Settings of a service's sessions. They stand at the role, because a pooler in between drops those of a session.
/// The idle limit ends transactions that somebody forgot; the check interval stops statements of clients that went away.
const SETTINGS: &[(&str, &str)] = &[
    ("idle_in_transaction_session_timeout", "10s"),
    ("client_connection_check_interval", "500ms"),
    ("statement_timeout", "60s"),
];
const TRIES: u32 = 20;

pub(super) async fn ensure_owner(session: &Session) -> Result<(), MigrateError> {
    ensure(session, "workos_owner", "nologin noinherit").await?;
    repeat(
        session,
        "do $$ begin
           if not (select rolsuper from pg_roles where rolname = current_user) then
             execute format('grant workos_owner to %I', current_user);
           end if;
           if not has_database_privilege('workos_owner', current_database(), 'create') then
             execute format('grant create on database %I to workos_owner', current_database());
           end if;
         end $$",
    )
    .await
}

pub(super) async fn ensure_service(
    session: &Session,
    endpoint: &Endpoint,
    service: &str,
    password: &str,
) -> Result<(), MigrateError> {
    let role = format!("workos_{service}");
    let system = format!("{role}_system");
    ensure(session, &role, "login noinherit").await?;
    ensure(session, &system, "nologin noinherit").await?;
    let member = format!(
        "do $$ begin if not pg_has_role('{role}', '{system}', 'member') then grant {system} to {role}; end if; end $$"
    );
    repeat(session, &member).await?;
    for (name, value) in SETTINGS.iter().copied().chain([("search_path", service)]) {
        let setting = format!(
            "do $$ begin
               if not exists (select from pg_roles where rolname = '{role}' and '{name}={value}' = any(rolconfig)) then
                 alter role {role} set {name} = '{value}';
               end if;
             end $$"
        );
        repeat(session, &setting).await?;
    }
    ensure_password(session, endpoint, &role, password).await
}

/// Sets the password unless it already opens the door. It travels and is logged only as SCRAM verifier.
async fn ensure_password(
    session: &Session,
    endpoint: &Endpoint,
    role: &str,
    password: &str,
) -> Result<(), MigrateError> {
    let mut door = endpoint.clone();
    door.config.user(role).password(password);
    if door.session(Duration::from_secs(10)).await.is_ok() {
        return Ok(());
    }
    repeat(session, &format!("alter role {role} password '{}'", scram_sha_256(password.as_bytes()))).await
}

async fn ensure(session: &Session, role: &str, attributes: &str) -> Result<(), MigrateError> {
    let create = format!(
        "do $$ begin
           if not exists (select from pg_roles where rolname = '{role}') then create role {role} {attributes}; end if;
         exception when duplicate_object or unique_violation then null;
         end $$"
    );
    repeat(session, &create).await?;
    let strong = "select rolsuper or rolbypassrls from pg_roles where rolname = $1";
    let row = session.client.query_one(strong, &[&role]).await.map_err(|cause| refused(&cause))?;
    if row.try_get::<_, bool>(0).map_err(|cause| refused(&cause))? {
        return Err(MigrateError::RoleTooStrong(role.to_owned()));
    }
    Ok(())
}

/// Runs a statement about roles. "tuple concurrently updated" (XX000) and its kin mean that another database's migration
/// changed the same role at the same moment.
async fn repeat(session: &Session, sql: &str) -> Result<(), MigrateError> {
    for attempt in 1.. {
        match session.client.batch_execute(sql).await {
            Ok(()) => break,
            Err(cause)
                if attempt < TRIES
                    && cause.code().is_some_and(|code| ["XX000", "23505", "40001", "40P01"].contains(&code.code())) =>
            {
                tracing::debug!(attempt, "a role was changed by another migration at the same moment; trying again");
            }
            Err(cause) => return Err(refused(&cause)),
        }
    }
    Ok(())
}

fn refused(cause: &tokio_postgres::Error) -> MigrateError {
    MigrateError::Refused { schema: "roles".to_owned(), problem: crate::error::describe(cause) }
}
