//! Sign-in beside its Argon2 hash, sign-out until the token is refused everywhere, and answers about accounts that exist beside those about
//! accounts that do not. The users are those of the graph, with the owner's password.
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use argon2::{Algorithm, Argon2, Params, Version};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    apart::Apart,
    graph::mixed,
    statistics::{mann_whitney, median},
};
use crate::{
    bench::{Arguments, process::Measured, row::Row, usage::cpu_of},
    demo::{
        http::{Answer, Call, Http},
        people::Cast,
    },
    login, terminal,
};

/// Sign-outs whose effect is timed.
const SIGN_OUTS: usize = 20;

/// What is the same for all measurements.
struct World<'a> {
    platform: &'a Measured,
    http: &'a Http,
    password: &'a str,
    /// Accounts per measurement; each has users of its own, so that no counter of wrong answers tells them apart.
    count: usize,
}

/// Measures everything.
pub(super) async fn measure(
    platform: &Measured,
    http: &Http,
    cast: &Cast,
    (url, arguments, apart): (&str, &Arguments, &Apart),
    rows: &mut Vec<Row>,
) -> Result<()> {
    let world = World { platform, http, password: cast.people[0].password(), count: arguments.sign_ins };
    world.sign_ins(url, rows).await?;
    world.sign_outs(apart, &cast.organization(), rows).await?;
    world.accounts(rows).await?;
    Ok(())
}

/// The address of a user of the graph.
pub(super) fn email(number: usize) -> String {
    format!("u{number}@example.com")
}

impl World<'_> {
    /// A whole sign-in beside one hash with the parameters that are stored.
    async fn sign_ins(&self, url: &str, rows: &mut Vec<Row>) -> Result<()> {
        terminal::note("sign-in and Argon2");
        let stored = super::postgres(url).await?.query_one("select hash from auth.passwords limit 1", &[]).await?;
        let params = parameters(stored.try_get(0)?).context("the stored hash is no PHC string of Argon2id")?;
        let name = format!("one Argon2id hash, m={} t={} p={}", params.m_cost(), params.t_cost(), params.p_cost());
        let hash = hash_cpu(params, self.count).await?;
        login::sign_in(self.http, &email(1), self.password, None).await?;
        self.platform.engines_rest().await?;
        let before = (self.platform.cpu()?, self.platform.engines_cpu()?);
        for user in 2..self.count + 2 {
            login::sign_in(self.http, &email(user), self.password, None).await?;
        }
        let each = |seconds: f64| seconds * 1000.0 / self.count as f64;
        let (cpu, engines) = (each(self.platform.cpu()? - before.0), each(self.platform.engines_cpu()? - before.1));
        // Sign-ins are to reach 85 % of what the same cores could hash.
        let row = Row::of("sign-in with password: CPU", "ms", cpu, Some(hash), &name);
        rows.push(row.goal("at most 1.18".to_owned(), Some(cpu <= hash / 0.85)));
        rows.push(Row::of("sign-in with password: CPU of the engines", "ms", engines, None, ""));
        Ok(())
    }

    /// From the answer to a sign-out until the access token is refused: at an edge in another process, and at a service in a third.
    async fn sign_outs(&self, apart: &Apart, organization: &str, rows: &mut Vec<Row>) -> Result<()> {
        terminal::note("sign-out");
        let edge = Http::quiet(&apart.gateway);
        let mut slowest = [Duration::ZERO; 3];
        for user in 0..SIGN_OUTS {
            let tokens = login::sign_in(self.http, &email(5000 + user), self.password, None).await?;
            let document = apart.document(&tokens.access).await?;
            let taken = [
                is_taken(self.http, &tokens.access).await?,
                is_taken(&edge, &tokens.access).await?,
                document.takes(organization).await?,
            ];
            ensure!(taken == [true; 3], "before the sign-out: {taken:?}");
            login::sign_out(self.http, &tokens).await?;
            let begin = Instant::now();
            let mut left = taken;
            while left.contains(&true) {
                ensure!(begin.elapsed() < Duration::from_secs(30), "a sign-out has no effect: {left:?}");
                for (place, left) in left.iter_mut().enumerate().filter(|(_, left)| **left) {
                    *left = match place {
                        0 => is_taken(self.http, &tokens.access).await?,
                        1 => is_taken(&edge, &tokens.access).await?,
                        _ => document.takes(organization).await?,
                    };
                    slowest[place] = slowest[place].max(begin.elapsed());
                }
            }
        }
        for (place, slowest) in
            ["the edge", "an edge in another process", "a service in another process"].into_iter().zip(slowest)
        {
            let millis = slowest.as_secs_f64() * 1000.0;
            let row =
                Row::of(&format!("sign-out to refusal at {place}, slowest of {SIGN_OUTS}"), "ms", millis, None, "");
            rows.push(row.goal("at most 1000 ms".to_owned(), Some(millis <= 1000.0)));
        }
        Ok(())
    }

    /// How long answers take that must not tell whether there is an account.
    async fn accounts(&self, rows: &mut Vec<Row>) -> Result<()> {
        let wrong = "a password that nobody has chosen";
        for (place, what) in ["sign-in", "password reset", "sign-up"].into_iter().enumerate() {
            terminal::note(format!("{what} of accounts that exist and of others"));
            let (mut known, mut unknown) = (Vec::new(), Vec::new());
            for index in 0..self.count {
                let user = 10_000 + place * 3000 + index;
                // In turns, in no order that the mails which follow could keep step with: what they cost falls on either as often.
                let order = if mixed(user) & 1 == 0 { [true, false] } else { [false, true] };
                for exists in order {
                    let email = if exists { email(user) } else { format!("x{user}@example.com") };
                    let call = match what {
                        "sign-in" => self.attempt(&email, wrong).await?,
                        "password reset" => post("/v1/account:requestPasswordReset", &json!({"email": email})),
                        _ => {
                            let body = json!({"email": email, "displayName": "Somebody", "password": self.password});
                            post("/v1/account:signUp", &body)
                        }
                    };
                    let begin = Instant::now();
                    let answer = self.http.once(&call).await?;
                    let millis = begin.elapsed().as_secs_f64() * 1000.0;
                    self.same(what, &answer)?;
                    if exists { known.push(millis) } else { unknown.push(millis) }
                }
            }
            let p = mann_whitney(&known, &unknown);
            let name = format!("{what}: median with an account, beside without");
            let peer = format!("{} each, Mann-Whitney p = {p:.3}", self.count);
            rows.push(Row::of(&name, "ms", median(&known), Some(median(&unknown)), &peer));
        }
        Ok(())
    }

    /// A sign-in that only its password is missing from.
    async fn attempt(&self, email: &str, password: &str) -> Result<Call> {
        let step = login::start(self.http, &login::random_text(32)).await?;
        let body = json!({"flow": step["flow"], "password": {"email": email, "password": password}});
        Ok(post("/v1/login:continue", &body))
    }

    /// What an answer says is the same for all.
    fn same(&self, what: &str, answer: &Answer) -> Result<()> {
        let wanted = if what == "sign-in" { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
        ensure!(answer.status == wanted, "{what}: {} {}", answer.status, answer.reason());
        Ok(())
    }
}

/// Whether an edge takes the token.
async fn is_taken(http: &Http, token: &str) -> Result<bool> {
    let answer = http.once(&Call::new("the caller", Method::GET, "/v1/users/me").token(token)).await?;
    ensure!(answer.status.is_success() || answer.status == StatusCode::UNAUTHORIZED, "{}", answer.status);
    Ok(answer.status.is_success())
}

fn post(path: &'static str, body: &Value) -> Call {
    Call::new("a call", Method::POST, path).json(body)
}

/// The parameters of a PHC string.
fn parameters(phc: &str) -> Option<Params> {
    let costs = phc.strip_prefix("$argon2id$v=19$")?.split_once('$')?.0;
    let cost = |name: char| costs.split(',').find_map(|cost| cost.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
    Params::new(cost('m')?, cost('t')?, cost('p')?, None).ok()
}

/// CPU milliseconds of a hash, in this process.
async fn hash_cpu(params: Params, count: usize) -> Result<f64> {
    let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let work = move || -> Result<f64> {
        let before = cpu_of(std::process::id())?;
        let mut hash = [0; 32];
        for _ in 0..count {
            let done = hasher.hash_password_into(b"a password of usual length", b"sixteen bytes of", &mut hash);
            done.map_err(|error| anyhow::anyhow!("Argon2 refuses: {error}"))?;
        }
        Ok((cpu_of(std::process::id())? - before) * 1000.0 / count as f64)
    };
    tokio::task::spawn_blocking(work).await?
}
