//! The token endpoint beside Keycloak's, one process each: client credentials, and a code with PKCE. Only the exchange of a code is
//! measured, not the sign-in before it. Neither side gives an ID token, both sign access tokens with ES256, both store what they must in
//! the same PostgreSQL.
use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use futures::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde_json::{Value, json};

use super::{
    apart::{Apart, Identity},
    keycloak::{self, Keycloak},
    signin::email,
};
use crate::{
    bench::{
        Arguments,
        load::Run,
        peer::Peer,
        process::Measured,
        row::Row,
        usage::{cpu_of, memory_of},
    },
    demo::{
        http::{Call, Http},
        people::{Cast, SignedIn},
    },
    login::{self, Code},
    terminal,
};

/// Users of the graph who sign in for codes, from here on.
const USERS_FROM: usize = 7000;

/// Our issuers: auth and gateway in one program, and a program each.
const OURS: usize = 2;
/// Codes of a round for each sign-in that is asked for, and rounds: a code must be redeemed within a minute, and CPU is told in hundredths of a
/// second, too coarse for less.
const CODES_EACH: usize = 5;
const ROUNDS: usize = 4;
/// Most codes of a round: users of the graph are as many as the rounds of both need.
const CODES_MAX: usize = 1300;
/// Seconds, at most, that a round waits for what the sign-ins before it have left to do; codes are good for a minute.
const REST: usize = 10;
/// Sign-ins at once.
pub(super) const SIGN_INS: usize = 4;

/// One who gives tokens.
struct Issuer<'a> {
    /// Its processes.
    pids: Vec<u32>,
    http: &'a Http,
    /// Path of the token endpoint.
    path: &'static str,
    /// The header of the machine client.
    basic: String,
    /// Client and redirect URI of the codes.
    client: &'static str,
    redirect: &'static str,
}

/// What a kind of token costs.
struct Cost {
    cpu: f64,
    engines: f64,
    p99: f64,
}

impl Cost {
    fn mean(rounds: &[Cost]) -> Cost {
        let mean = |pick: fn(&Cost) -> f64| rounds.iter().map(pick).sum::<f64>() / rounds.len() as f64;
        Cost { cpu: mean(|cost| cost.cpu), engines: mean(|cost| cost.engines), p99: mean(|cost| cost.p99) }
    }
}

/// `Authorization: Basic`.
pub(super) fn basic(client: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{client}:{secret}")))
}

impl Issuer<'_> {
    fn cpu(&self) -> Result<f64> {
        self.pids.iter().map(|pid| cpu_of(*pid)).sum()
    }

    fn memory(&self) -> Result<f64> {
        self.pids.iter().map(|pid| memory_of(*pid)).sum()
    }

    async fn token(&self, fields: &[(&str, &str)], basic: Option<&str>) -> Result<()> {
        let mut call = Call::new("a token", Method::POST, self.path);
        if let Some(basic) = basic {
            call = call.header("authorization", basic);
        }
        let answer = self.http.once(&call.form(fields)).await?.success("a token")?;
        answer["access_token"].as_str().context("no access token").map(drop)
    }

    async fn credentials(&self) -> Result<()> {
        self.token(&[("grant_type", "client_credentials")], Some(&self.basic)).await
    }

    async fn redeem(&self, code: &Code) -> Result<()> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", self.client),
            ("redirect_uri", self.redirect),
            ("code", &code.code),
            ("code_verifier", &code.verifier),
        ];
        self.token(&fields, None).await
    }

    /// Measures so many calls.
    async fn cost<F: Future<Output = Result<()>>>(
        &self,
        platform: &Measured,
        calls: usize,
        call: impl Fn(usize) -> F,
    ) -> Result<Cost> {
        let before = (self.cpu()?, platform.engines_cpu()?);
        let run = Run::of(calls, call).await?;
        let each = |seconds: f64| seconds * 1e6 / calls as f64;
        let (cpu, engines) = (each(self.cpu()? - before.0), each(platform.engines_cpu()? - before.1));
        Ok(Cost { cpu, engines, p99: run.percentile(0.99) })
    }
}

/// Measures everything.
pub(super) async fn measure(
    platform: &Measured,
    http: &Http,
    cast: &Cast,
    (url, arguments, apart): (&str, &Arguments, &Apart),
    rows: &mut Vec<Row>,
) -> Result<()> {
    let peer = keycloak::start(url, &platform.root()).await;
    if let Err(error) = &peer {
        terminal::note(format!("without Keycloak: {error:#}"));
    }
    let peer = peer.ok();
    let basic = machine(http, cast).await?;
    let identity = Identity::start(&platform.root()).await?;
    let (one, each) = (Http::quiet(&identity.gateway), Http::quiet(&apart.gateway));
    let mut sides = vec![ours(vec![identity.pid()?], &one, &basic), ours(apart.identity()?, &each, &basic)];
    if let Some((peer, keycloak)) = &peer {
        sides.push(theirs(peer, keycloak)?);
    }
    platform.engines_rest().await?;
    terminal::note("client credentials");
    let mut costs = Vec::new();
    for side in &sides {
        // A Java program is slow until it has compiled itself.
        Run::of(arguments.calls * 3, |_| side.credentials()).await?;
        costs.push(side.cost(platform, arguments.calls, |_| side.credentials()).await?);
    }
    let label = peer.as_ref().map_or("", |(peer, _)| &peer.label);
    rows.extend(table("client credentials", &costs, label));
    terminal::note("codes");
    let mut costs = Vec::new();
    for (number, side) in sides[..OURS].iter().enumerate() {
        costs.push(our_codes(platform, http, (cast, arguments), side, number).await?);
    }
    if let (Some((_, keycloak)), Some(side)) = (&peer, sides.get(OURS)) {
        costs.push(their_codes(platform, keycloak, arguments, side).await?);
    }
    rows.extend(table("code with PKCE", &costs, label));
    let memory: Vec<f64> = sides.iter().map(Issuer::memory).collect::<Result<_>>()?;
    let (mine, beside) = (memory[0], memory.get(OURS).copied());
    let of = |whose: &str, memory| Row::of(&format!("resident memory, {whose}"), "MiB", memory, beside, label);
    let holds = beside.map(|beside| mine <= beside / 10.0);
    rows.push(of("auth and gateway in one program", mine).goal("at most 0.1".to_owned(), holds));
    rows.push(of("auth and gateway, a program each", memory[1]));
    rows.push(of("all services and the edge", platform.memory()?));
    Ok(())
}

/// What a code costs us. This one of our issuers has users of its own.
async fn our_codes(
    platform: &Measured,
    http: &Http,
    (cast, arguments): (&Cast, &Arguments),
    side: &Issuer<'_>,
    number: usize,
) -> Result<Cost> {
    let codes = codes_of(arguments);
    let first = USERS_FROM + number * (ROUNDS + 1) * codes;
    // As warm as the other side: connections know their statements.
    let warm = given(http, cast, (first, codes)).await?;
    Run::of(warm.len(), |index| side.redeem(&warm[index])).await?;
    let mut rounds = Vec::new();
    for round in 1..=ROUNDS {
        let given = given(http, cast, (first + round * codes, codes)).await?;
        platform.rests(REST, || side.cpu()).await?;
        rounds.push(side.cost(platform, codes, |index| side.redeem(&given[index])).await?);
    }
    Ok(Cost::mean(&rounds))
}

/// Codes of a round.
fn codes_of(arguments: &Arguments) -> usize {
    (arguments.sign_ins * CODES_EACH).min(CODES_MAX)
}

async fn their_codes(
    platform: &Measured,
    keycloak: &Keycloak,
    arguments: &Arguments,
    side: &Issuer<'_>,
) -> Result<Cost> {
    let (mut rounds, codes) = (Vec::new(), codes_of(arguments));
    keycloak.people((ROUNDS + 1) * codes).await?;
    let warm = keycloak.codes(0, codes).await?;
    Run::of(warm.len(), |index| side.redeem(&warm[index])).await?;
    for round in 1..=ROUNDS {
        let given = keycloak.codes(round * codes, codes).await?;
        platform.rests(REST, || side.cpu()).await?;
        rounds.push(side.cost(platform, codes, |index| side.redeem(&given[index])).await?);
    }
    Ok(Cost::mean(&rounds))
}

/// Ours in these processes.
fn ours<'a>(pids: Vec<u32>, http: &'a Http, basic: &str) -> Issuer<'a> {
    Issuer {
        pids,
        http,
        path: "/oauth2/token",
        basic: basic.to_owned(),
        client: login::CLIENT,
        redirect: login::REDIRECT,
    }
}

fn theirs<'a>(peer: &Peer, keycloak: &'a Keycloak) -> Result<Issuer<'a>> {
    Ok(Issuer {
        pids: vec![peer.pid()?],
        http: &keycloak.http,
        path: keycloak::TOKEN,
        basic: basic(keycloak::MACHINE, keycloak::SECRET),
        client: keycloak::APP,
        redirect: login::REDIRECT,
    })
}

/// The header of a client that acts by itself.
async fn machine(http: &Http, cast: &Cast) -> Result<String> {
    let owner = SignedIn::begin(http, &cast.people[0], &cast.organization()).await?;
    let body = json!({"displayName": "Machine", "kind": "MACHINE", "role": "VIEWER", "scopes": ["document:read"]});
    let path = format!("/v1/{}/oauthClients", cast.organization());
    let call = Call::new("a client", Method::POST, path).token(owner.token().await?).json(&body);
    let client = http.send(call).await?.success("make a client")?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let name = text(&client["name"]).and_then(|name| Some(name.rsplit_once('/')?.1.to_owned()));
    let (name, secret) = (name.context("a client has a name")?, text(&client["clientSecret"]));
    Ok(basic(&name, &secret.context("a client has a secret")?))
}

/// Codes of so many different users, from one on.
async fn given(http: &Http, cast: &Cast, (first, count): (usize, usize)) -> Result<Vec<Code>> {
    let password = cast.people[0].password();
    let code = |user| async move { login::code(http, &email(user), password, None).await };
    stream::iter(first..first + count).map(code).buffer_unordered(SIGN_INS).try_collect().await
}

/// Ours beside theirs: of one program with the goal, and of a program for each service.
fn table(name: &str, costs: &[Cost], peer: &str) -> Vec<Row> {
    let row = |what: &str, unit, side: usize, pick: fn(&Cost) -> f64| {
        Row::of(&format!("{name}: {what}"), unit, pick(&costs[side]), costs.get(OURS).map(pick), peer)
    };
    let fifth = |row: Row| {
        let holds = row.ratio.map(|ratio| ratio <= 0.2);
        row.goal("at most 0.2".to_owned(), holds)
    };
    vec![
        fifth(row("CPU per token", "us", 0, |cost| cost.cpu)),
        fifth(row("CPU per token, engines included", "us", 0, |cost| cost.cpu + cost.engines)),
        row("p99, sixteen callers", "ms", 0, |cost| cost.p99),
        row("CPU per token, a program each", "us", 1, |cost| cost.cpu),
        row("CPU per token, a program each, engines included", "us", 1, |cost| cost.cpu + cost.engines),
    ]
}
