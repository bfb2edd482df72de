//! Keycloak in its production mode, on a database of its own: a realm with a machine client, a public client with PKCE, and people, of whom
//! each signs in for a code of his own, as ours do.
use std::path::Path;

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{StreamExt, TryStreamExt, stream};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{signin::email, tokens::SIGN_INS};
use crate::{
    bench::{
        peer::{self, Peer, free_address},
        process::command,
    },
    demo::http::{Answer, Call, Http},
    login::{self, Code},
};

const NAME: &str = "keycloak";
/// Administrator, and password of all, of a server that listens on this machine alone and ends with the bench.
const PERSON: &str = "bench";
/// People of one request.
const CHUNK: usize = 500;
/// The machine client.
pub(super) const MACHINE: &str = "machine";
/// Its secret.
pub(super) const SECRET: &str = "a secret of usual length";
/// The public client.
pub(super) const APP: &str = "app";
/// Path of the token endpoint.
pub(super) const TOKEN: &str = "/realms/bench/protocol/openid-connect/token";

/// What `kc.sh` gives the Java program. It is started without the script, which would stay between it and us.
const JAVA: [&str; 10] = [
    "-Xms64m",
    "-Xmx512m",
    "-XX:MetaspaceSize=96M",
    "-XX:MaxMetaspaceSize=256m",
    "-XX:+UseG1GC",
    "-Djava.security.egd=file:/dev/urandom",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
];

/// A client of the realm.
pub(super) struct Keycloak {
    /// Its connections.
    pub(super) http: Http,
}

/// Starts one and makes its realm.
pub(super) async fn start(postgres: &str, work: &Path) -> Result<(Peer, Keycloak)> {
    let home = peer::folder(NAME).await?;
    let database = super::database(postgres, NAME).await?;
    let (account, place) = database
        .strip_prefix("postgres://")
        .and_then(|url| url.split_once('@'))
        .context("the address of PostgreSQL has an account")?;
    let (user, password) = account.split_once(':').context("the account of PostgreSQL has a password")?;
    let mut build = command(Path::new("sh"));
    build.arg(home.join("bin/kc.sh")).args(["build", "--db=postgres"]);
    peer::run(build, "kc.sh build").await?;
    let address = free_address()?;
    let mut serve = command(Path::new("java"));
    serve
        .args(JAVA)
        .arg(format!("-Dkc.home.dir={}", home.display()))
        .arg(format!("-Djboss.server.config.dir={}", home.join("conf").display()))
        .arg("-cp")
        .arg(home.join("lib/quarkus-run.jar"))
        .args(["io.quarkus.bootstrap.runner.QuarkusEntryPoint", "start", "--optimized", "--http-enabled=true"])
        .args(["--hostname-strict=false", "--http-host=127.0.0.1", "--cache=local", "--log-level=error"])
        .arg(format!("--http-port={}", address.port()))
        .arg(format!("--db-url=jdbc:postgresql://{place}"))
        .envs([("KC_DB_USERNAME", user), ("KC_DB_PASSWORD", password)])
        .envs([("KC_BOOTSTRAP_ADMIN_USERNAME", PERSON), ("KC_BOOTSTRAP_ADMIN_PASSWORD", PERSON)]);
    let peer = Peer::start(serve, peer::label(NAME)?, &work.join("keycloak.log"), address).await?;
    let keycloak = Keycloak { http: Http::quiet(&format!("http://{address}")) };
    keycloak.prepare().await?;
    Ok((peer, keycloak))
}

impl Keycloak {
    async fn prepare(&self) -> Result<()> {
        let token = self.administrator().await?;
        let realm = json!({
            "realm": "bench", "enabled": true, "sslRequired": "none", "defaultSignatureAlgorithm": "ES256",
            // Of a sign-in only the code counts.
            "passwordPolicy": "hashAlgorithm(pbkdf2-sha256) and hashIterations(1)",
            "clients": [
                {"clientId": MACHINE, "secret": SECRET, "serviceAccountsEnabled": true, "standardFlowEnabled": false},
                {"clientId": APP, "publicClient": true, "redirectUris": [login::REDIRECT],
                 "attributes": {"pkce.code.challenge.method": "S256"}},
            ],
        });
        let call = Call::new("make a realm", Method::POST, "/admin/realms").token(&token).json(&realm);
        self.http.send(call).await?.success("make a realm").map(drop)
    }

    /// Makes so many people.
    pub(super) async fn people(&self, count: usize) -> Result<()> {
        let people: Vec<Value> = (0..count).map(person).collect();
        for some in people.chunks(CHUNK) {
            let token = self.administrator().await?;
            let body = json!({"ifResourceExists": "FAIL", "users": some});
            let call = Call::new("make people", Method::POST, "/admin/realms/bench/partialImport");
            self.http.send(call.token(&token).json(&body)).await?.success("make people")?;
        }
        Ok(())
    }

    async fn administrator(&self) -> Result<String> {
        let fields =
            [("grant_type", "password"), ("client_id", "admin-cli"), ("username", PERSON), ("password", PERSON)];
        let path = "/realms/master/protocol/openid-connect/token";
        let call = Call::new("a token", Method::POST, path).form(&fields);
        let token = self.http.send(call).await?.success("sign in to Keycloak")?;
        Ok(token["access_token"].as_str().context("no access token")?.to_owned())
    }

    /// A code of each of so many people, from one on, who all sign in.
    pub(super) async fn codes(&self, first: usize, count: usize) -> Result<Vec<Code>> {
        let codes = (first..first + count).map(|number| self.code_of(number));
        stream::iter(codes).buffer_unordered(SIGN_INS).try_collect().await
    }

    async fn code_of(&self, number: usize) -> Result<Code> {
        let (verifier, page) = self.authorize().await?;
        let html = String::from_utf8_lossy(&page.body);
        let action = html.split_once("action=\"").and_then(|(_, rest)| rest.split_once('"')).map(|(action, _)| action);
        let action = action.context("Keycloak shows no form")?.replace("&amp;", "&");
        let path = action.trim_start_matches(self.http.base()).to_owned();
        let name = name(number);
        let fields = [("username", name.as_str()), ("password", PERSON), ("credentialId", "")];
        let call = Call::new("sign in", Method::POST, path).form(&fields).header("cookie", cookies_of(&page));
        code(&self.http.once(&call).await?, verifier)
    }

    async fn authorize(&self) -> Result<(String, Answer)> {
        let verifier = login::random_text(48);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let path = format!(
            "/realms/bench/protocol/openid-connect/auth?client_id={APP}&response_type=code&redirect_uri={}&code_challenge={challenge}\
             &code_challenge_method=S256",
            login::encoded(login::REDIRECT)
        );
        let call = Call::new("authorize", Method::GET, path);
        Ok((verifier, self.http.once(&call).await?))
    }
}

fn name(number: usize) -> String {
    format!("u{number}")
}

fn person(number: usize) -> Value {
    json!({"username": name(number), "enabled": true, "email": email(number), "emailVerified": true,
           "firstName": "B", "lastName": "Ench",
           "credentials": [{"type": "password", "value": PERSON, "temporary": false}]})
}

/// What a page has set, as the next request brings it back.
fn cookies_of(page: &Answer) -> String {
    let set = page.headers.get_all(header::SET_COOKIE).iter();
    let pairs = set.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
    pairs.collect::<Vec<_>>().join("; ")
}

/// The code in the address that the browser is sent to.
fn code(answer: &Answer, verifier: String) -> Result<Code> {
    anyhow::ensure!(answer.status == StatusCode::FOUND, "Keycloak gives no code: {}", answer.status);
    let location = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let code = location.split(['?', '&']).find_map(|part| part.strip_prefix("code="));
    Ok(Code { code: code.context("no code in the address")?.to_owned(), verifier })
}
