//! `workos admin`: what an operator does with the database beside the API. Everything that changes something is in the audit log.
use anyhow::{Result, bail};
use chassis::{Config, Options};

use crate::{bootstrap, running, terminal};

/// Administration beside the API: for the operator, with access to the database and to the secrets of the auth service.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Print a new one-time code for the first owner (15 minutes)
    Bootstrap,
    /// Let an account that was locked by wrong attempts sign in at once
    ///
    /// Forgets the wrong attempts at its password and at its second factors, from all devices. Password, factors and sessions stay as they
    /// are: who has forgotten his password needs reset-password, and who guesses goes on guessing.
    Unlock {
        /// E-mail address of the account
        email: String,
    },
    /// Print a link to choose a new password (10 minutes, once)
    ResetPassword {
        /// E-mail address of the account
        email: String,
    },
    /// Take all second factors and passkeys of an account whose owner has lost them
    ///
    /// For accounts that no organization manages, and for owners and operators: others have an administrator who does it. Make sure that it is
    /// the owner who asks: from then on the password, or the mailbox, is enough. All sessions end, and the owner is told by mail.
    ResetFactors {
        /// E-mail address of the account
        email: String,
    },
    /// End all sessions and tokens of an account
    Revoke {
        /// E-mail address of the account
        email: String,
    },
    /// Disable an account
    Disable {
        /// E-mail address of the account
        email: String,
    },
    /// Enable a disabled account
    Enable {
        /// E-mail address of the account
        email: String,
    },
    /// Make an account an owner of the operators' organization
    RecoverOperator {
        /// E-mail address of the account
        email: String,
    },
    /// Seal everything anew under another wrapping key of the auth service
    ///
    /// First set wrapping_key to the new key and previous_wrapping_key to the one before, in every instance, and restart them: then both
    /// open. After this command nothing needs the one before: take it out. A run that was cut short is done by the next; nobody is signed
    /// out.
    Rewrap,
    /// The keys that sign tokens
    #[command(subcommand)]
    Keys(Keys),
    /// The audit log
    #[command(subcommand)]
    Audit(Audit),
}

/// What can be done with the keys that sign tokens.
#[derive(clap::Subcommand)]
pub(crate) enum Keys {
    /// Announce a successor of every signing key, whatever its age
    ///
    /// Successors sign after ten minutes, when every verifier knows them. What the keys before them have signed is good until it ends, so
    /// nobody is signed out. Without this command keys are replaced by their age (internal_key_age, edge_key_age). Services that run need
    /// no restart: they find the new keys within a minute.
    Rotate,
    /// List the keys with their ids
    List,
    /// Make a key void whose private half may be known to somebody
    ///
    /// Nothing that it has signed is good from now on, everywhere within a second; another key signs at once. Nobody is signed out:
    /// applications whose access tokens are void refresh them.
    Revoke {
        /// Id of the key, as `keys list` shows it and as the headers of its tokens have it
        kid: String,
    },
}

/// What can be done with the audit log.
#[derive(clap::Subcommand)]
pub(crate) enum Audit {
    /// Compute every digest again; fails when an entry was changed or is missing
    Verify,
}

/// Runs the command on the engines of this folder, or on those that are configured.
pub(crate) async fn run(command: &Command, options: &Options) -> Result<()> {
    let config = running::with_engines(Config::load(options)?, &running::root())?;
    match command {
        Command::Bootstrap => bootstrap::run(&config).await,
        Command::Audit(Audit::Verify) => verify_audit(&config).await,
        Command::Keys(command) => of_keys(command, &operator(&config).await?).await,
        Command::Rewrap => rewrap(&operator(&config).await?).await,
        account => of_account(account, &operator(&config).await?).await,
    }
}

async fn of_account(command: &Command, operator: &auth::Operator) -> Result<()> {
    match command {
        Command::ResetPassword { email } => terminal::line(operator.reset_password(email).await?),
        Command::ResetFactors { email } => operator.reset_factors(email).await?,
        Command::Revoke { email } => operator.revoke(email).await?,
        Command::Disable { email } => operator.disable(email, true).await?,
        Command::Enable { email } => operator.disable(email, false).await?,
        Command::RecoverOperator { email } => operator.recover_operator(email).await?,
        Command::Unlock { email } => operator.unlock(email).await?,
        Command::Bootstrap | Command::Audit(_) | Command::Keys(_) | Command::Rewrap => {
            bail!("this command is about no account")
        }
    }
    terminal::line("done; it stands in the audit log");
    Ok(())
}

async fn of_keys(command: &Keys, operator: &auth::Operator) -> Result<()> {
    match command {
        Keys::Rotate => {
            for successor in operator.rotate_keys().await? {
                terminal::line(successor.to_string());
            }
        }
        Keys::List => {
            operator.keys().await?.into_iter().for_each(terminal::line);
            return Ok(());
        }
        Keys::Revoke { kid } => {
            if let Some(successor) = operator.revoke_key(kid).await? {
                terminal::line(format!("{successor} takes its place"));
            }
        }
    }
    terminal::line("done; it stands in the audit log");
    Ok(())
}

async fn rewrap(operator: &auth::Operator) -> Result<()> {
    let done = operator.rewrap().await?;
    for kind in &done {
        terminal::line(kind.to_string());
    }
    if done.iter().any(|kind| !kind.closed.is_empty()) {
        bail!(
            "set previous_wrapping_key of the auth service to the key under which the rest is sealed, and run this again"
        );
    }
    terminal::line("done; it stands in the audit log");
    Ok(())
}

async fn operator(config: &Config) -> Result<auth::Operator> {
    let (platform, db) = (&config.platform, auth_db(config).await?);
    let folder = platform.data_dir.join("auth");
    let section = config.section("auth")?;
    auth::Operator::open(db, api::Clock::default(), section, platform.profile, &folder, &platform.public_url)
}

/// The database of the auth service, opened with its own role.
pub(crate) async fn auth_db(config: &Config) -> Result<db::Db> {
    let password = chassis::engine_password(config, chassis::Engine::Postgres, "auth")?;
    let settings = db::Settings::new(config.platform.engines.postgres.url.reveal(), "auth", password);
    Ok(db::Db::connect(&settings).await?)
}

async fn verify_audit(config: &Config) -> Result<()> {
    let found = auth::verify_audit(&auth_db(config).await?, &api::Clock::default()).await?;
    for problem in &found.problems {
        terminal::line(problem);
    }
    if !found.problems.is_empty() {
        bail!("the audit log is not what was written");
    }
    terminal::line(format!("{} entries in {} chains: the audit log is whole", found.entries, found.chains));
    Ok(())
}
