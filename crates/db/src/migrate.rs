//! Migrations: roles, schemas, platform tables, service tables, walls. Run by `workos migrate`, forward only.
//!
//! What must hold: any number of instances may run this at once, and it is done once (advisory lock); running it again changes
//! nothing; an older program refuses a newer schema; a migration that leaves a table without a wall is rolled back; a
//! migration that cannot get its table lock within seconds gives way and tries again, so readers are not piled up behind it.
use std::{collections::BTreeMap, time::Duration};

use refinery::Runner;

use crate::{
    Error, Migrations,
    endpoint::{Endpoint, Session},
    error,
    schema::{PLATFORM, parse},
    settings::is_service_name,
};

mod role;

/// Key of the advisory lock: a number that nobody else takes.
const LOCK: i64 = 0x0000_776f_726b_6f73;
/// How often a migration tries to get its table locks.
const TRIES: u32 = 12;
const CONNECT: Duration = Duration::from_secs(10);

/// A migration that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The schema.
    pub service: String,
    /// Number and name, for example `V1__documents`.
    pub name: String,
}

/// Why migrating failed, for the operator: this text holds PostgreSQL's own words.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database cannot be reached or the URL is wrong.
    #[error("cannot reach the database as administrator: {0}")]
    Unreachable(String),
    /// The program's own migrations are wrong.
    #[error("{0}")]
    Malformed(String),
    /// No password was given for a service's role.
    #[error("no password given for role workos_{0}; set it in the configuration of the service")]
    PasswordMissing(String),
    /// A role could break through the walls.
    #[error("role {0} is a superuser or bypasses row-level security; run: alter role {0} nosuperuser nobypassrls")]
    RoleTooStrong(String),
    /// PostgreSQL refused a statement.
    #[error("schema {schema}: {problem}")]
    Refused {
        /// The schema.
        schema: String,
        /// PostgreSQL's words.
        problem: String,
    },
}

/// Brings the database to these migrations. `admin_url` names a role that may create roles and schemas; `passwords` holds
/// one per service.
///
/// # Errors
/// [`MigrateError`]; what was applied before stays applied.
pub async fn migrate(
    admin_url: &str,
    migrations: &[Migrations],
    passwords: &BTreeMap<String, String>,
) -> Result<Vec<Applied>, MigrateError> {
    for migrations in migrations {
        if !is_service_name(migrations.service) {
            return Err(MigrateError::Malformed(format!("`{}` is no service name", migrations.service)));
        }
        if !passwords.contains_key(migrations.service) {
            return Err(MigrateError::PasswordMissing(migrations.service.to_owned()));
        }
    }
    let unreachable = |error: Error| MigrateError::Unreachable(error::describe(&error));
    let endpoint = Endpoint::parse(admin_url).map_err(unreachable)?;
    let mut session = endpoint.session(CONNECT).await.map_err(unreachable)?;
    let lock = format!(
        "set client_min_messages = warning; set statement_timeout = 0; set idle_in_transaction_session_timeout = 0; \
         set lock_timeout = '15min'; select pg_advisory_lock({LOCK}); set lock_timeout = '5s'"
    );
    run(&session, "workos", &lock).await?;
    prepare(&session).await?;
    let mut applied = Vec::new();
    for migrations in migrations {
        let password = passwords.get(migrations.service).expect("looked at above");
        role::ensure_service(&session, &endpoint, migrations.service, password).await?;
        applied.extend(migrate_service(&mut session, migrations).await?);
    }
    Ok(applied)
}

/// Owner role, and the functions that policies use.
async fn prepare(session: &Session) -> Result<(), MigrateError> {
    role::ensure_owner(session).await?;
    let begin = "begin; create schema if not exists workos authorization workos_owner; set local role workos_owner; \
                 set local search_path = workos";
    run(session, "workos", &format!("{begin}; {}\n; commit", include_str!("../migrations/bootstrap.sql"))).await
}

async fn migrate_service(session: &mut Session, migrations: &Migrations) -> Result<Vec<Applied>, MigrateError> {
    let service = migrations.service;
    let system = format!("workos_{service}_system");
    let open = format!(
        "create schema if not exists {service} authorization workos_owner; set role workos_owner; set search_path = {service}; \
         grant usage on schema workos to workos_{service}, {system}"
    );
    run(session, service, &open).await?;
    let mut applied = apply(session, service, "platform_history", PLATFORM).await?;
    applied.extend(apply(session, service, "schema_history", migrations.files).await?);
    // Also for what an earlier version of this program left: walls and grants are raised again, and nothing else changes.
    run(session, service, "select workos.raise_walls(); reset role; reset search_path").await?;
    Ok(applied)
}

async fn apply(
    session: &mut Session,
    service: &str,
    history: &str,
    files: &[(&str, &str)],
) -> Result<Vec<Applied>, MigrateError> {
    let migrations = parse(files).map_err(|problem| MigrateError::Malformed(format!("{service}: {problem}")))?;
    let mut runner = Runner::new(&migrations).set_abort_divergent(true).set_abort_missing(true);
    runner.set_migration_table_name(history);
    let mut applied = Vec::new();
    for attempt in 1.. {
        match runner.run_async(&mut session.client).await {
            Ok(report) => {
                applied.extend(
                    report
                        .applied_migrations()
                        .iter()
                        .map(|migration| Applied { service: service.to_owned(), name: migration.to_string() }),
                );
                break;
            }
            Err(cause) if attempt < TRIES && lock_was_taken(&cause) => {
                let done = cause.report().map_or(&[][..], |report| report.applied_migrations());
                applied.extend(
                    done.iter().map(|migration| Applied { service: service.to_owned(), name: migration.to_string() }),
                );
                tracing::warn!(service, attempt, "a table lock was not free within 5 s; giving way and trying again");
            }
            Err(cause) => {
                return Err(MigrateError::Refused { schema: service.to_owned(), problem: error::describe(&cause) });
            }
        }
    }
    for migration in &applied {
        tracing::info!(service, migration = migration.name, "migration applied");
    }
    Ok(applied)
}

fn lock_was_taken(error: &refinery::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if cause.downcast_ref::<tokio_postgres::error::DbError>().is_some_and(|answer| answer.code().code() == "55P03")
        {
            return true;
        }
        next = cause.source();
    }
    false
}

/// Runs statements and names the schema they were for.
async fn run(session: &Session, schema: &str, sql: &str) -> Result<(), MigrateError> {
    let refused = |cause| MigrateError::Refused { schema: schema.to_owned(), problem: error::describe(&cause) };
    session.client.batch_execute(sql).await.map_err(refused)
}
