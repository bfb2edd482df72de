//! The people of the demo: an owner and two members without a role.
//!
//! Their passwords are made at random, once, and kept in a file of mode 0600, so that a second run signs in as the same
//! people. A platform that somebody else bootstrapped makes the demo ask for a sign-in.
use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use api::Id;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;

use crate::{
    demo::http::{Call, Http},
    login::{self, Tokens},
    terminal,
};

/// What the demo remembers between runs.
#[derive(Serialize, Deserialize, Default)]
pub(crate) struct Cast {
    /// Organization id.
    pub(crate) organization: String,
    /// Owner, then the two members.
    pub(crate) people: Vec<Person>,
    #[serde(skip)]
    path: PathBuf,
}

/// One person with a password.
#[derive(Serialize, Deserialize, Clone, Default)]
pub(crate) struct Person {
    /// User id.
    pub(crate) id: String,
    /// E-mail address.
    pub(crate) email: String,
    /// Name.
    pub(crate) name: String,
    password: String,
}

impl Cast {
    /// The full name of the organization.
    pub(crate) fn organization(&self) -> String {
        format!("organizations/{}", self.organization)
    }

    fn save(&self) -> Result<()> {
        let new = self.path.with_extension("new");
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path).with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

impl Person {
    /// The password.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// The full name of the user.
    pub(crate) fn user(&self) -> String {
        format!("users/{}", self.id)
    }
}

/// A signed-in person; renews the access token before it ends.
pub(crate) struct SignedIn<'a> {
    http: &'a Http,
    tokens: Mutex<(Tokens, Instant)>,
}

impl<'a> SignedIn<'a> {
    /// Signs a person in.
    pub(crate) async fn begin(http: &'a Http, person: &Person, organization: &str) -> Result<SignedIn<'a>> {
        let tokens = login::sign_in(http, &person.email, &person.password, Some(organization)).await?;
        Ok(SignedIn { http, tokens: Mutex::new((tokens, Instant::now())) })
    }

    /// An access token that is good for at least a minute.
    pub(crate) async fn token(&self) -> Result<String> {
        let mut tokens = self.tokens.lock().await;
        if tokens.1.elapsed() + Duration::from_secs(60) > tokens.0.life {
            *tokens = (login::refresh(self.http, &tokens.0).await?, Instant::now());
        }
        Ok(tokens.0.access.clone())
    }
}

/// Signs in the owner of an earlier demo.
pub(crate) async fn sign_in_owner(http: &Http, root: &Path, organization: Option<&str>) -> Result<Tokens> {
    let cast = load(&root.join("demo.json"))?;
    let owner = cast.people.first().context("no demo has run in this folder yet; run ./dev demo first")?;
    login::sign_in(http, &owner.email, &owner.password, Some(organization.unwrap_or(&cast.organization()))).await
}

/// Finds or makes organization and people. `bootstrap_code` reads the one-time code of a platform without an owner.
pub(crate) async fn gather(
    http: &Http,
    path: &Path,
    bootstrap_code: impl AsyncFnOnce() -> Result<String>,
) -> Result<Cast> {
    let state =
        http.send(Call::new("bootstrap state", Method::GET, "/v1/bootstrap")).await?.success("bootstrap state")?;
    let completed = state["completed"] == json!(true);
    let mut cast = load(path)?;
    if !completed {
        // The file belongs to a platform that is gone (`./dev reset`): begin anew.
        if !cast.people.is_empty() && cast.people[0].id.is_empty() {
            cast.people.clear();
        }
        bootstrap(http, &mut cast, bootstrap_code().await?).await?;
    } else if cast.people.is_empty() {
        ask(http, &mut cast).await?;
    }
    add_members(http, &mut cast).await?;
    Ok(cast)
}

fn load(path: &Path) -> Result<Cast> {
    let mut cast = match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged; delete it and run again", path.display()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Cast::default(),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    };
    cast.path = path.to_owned();
    Ok(cast)
}

/// Passwords are saved before they are sent: a crash between the two must not lock anybody out.
async fn bootstrap(http: &Http, cast: &mut Cast, code: String) -> Result<()> {
    if cast.people.is_empty() {
        cast.organization = api::Ids::default().next().to_string();
        cast.people.push(person("owner@demo.example", "Olivia Owner"));
        cast.save()?;
    }
    let owner = &cast.people[0];
    let body = json!({
        "code": code, "email": owner.email, "displayName": owner.name, "password": owner.password,
        "organizationDisplayName": "Demo organization", "organizationId": cast.organization,
    });
    let call = Call::new("complete the bootstrap", Method::POST, "/v1/bootstrap:complete").json(&body);
    let answer = http.send(call).await?.success("bootstrap")?;
    cast.people[0].id = id_of(&answer["user"]["name"])?;
    cast.save()
}

/// Somebody else is the owner: an administrator's sign-in is needed, once, to add the demo's people.
async fn ask(http: &Http, cast: &mut Cast) -> Result<()> {
    let email = terminal::ask("This platform has an owner already. E-mail of an administrator: ")?;
    let password = terminal::ask_secret("Password: ")?;
    let tokens = login::sign_in(http, &email, &password, None).await?;
    let call = Call::new("the caller's organizations", Method::GET, "/v1/users/me/memberships").token(&tokens.access);
    let answer = http.send(call).await?.success("memberships")?;
    let membership = answer["memberships"][0]["name"].as_str().unwrap_or_default().to_owned();
    let Some(organization) = membership.split('/').nth(1) else { bail!("{email} belongs to no organization") };
    cast.organization = organization.to_owned();
    let me =
        http.send(Call::new("the caller", Method::GET, "/v1/users/me").token(&tokens.access)).await?.success("user")?;
    cast.people.push(Person {
        id: id_of(&me["name"])?,
        email,
        name: me["displayName"].as_str().unwrap_or("Owner").to_owned(),
        password,
    });
    cast.save()
}

async fn add_members(http: &Http, cast: &mut Cast) -> Result<()> {
    if cast.people[0].id.is_empty() {
        let tokens = login::sign_in(http, &cast.people[0].email, &cast.people[0].password, None).await?;
        let me = http
            .send(Call::new("the caller", Method::GET, "/v1/users/me").token(&tokens.access))
            .await?
            .success("user")?;
        cast.people[0].id = id_of(&me["name"])?;
    }
    for (index, (email, name)) in
        [("maria@demo.example", "Maria Member"), ("noah@demo.example", "Noah Member")].into_iter().enumerate()
    {
        if cast.people.len() < index + 2 {
            cast.people.push(person(email, name));
            cast.save()?;
        }
    }
    let organization = cast.organization();
    let owner = SignedIn::begin(http, &cast.people[0], &organization).await?;
    let namespace: Id = cast.organization.parse().context("the organization's id is damaged")?;
    for index in 1..cast.people.len() {
        if !cast.people[index].id.is_empty() {
            continue;
        }
        let person = cast.people[index].clone();
        let id = Id::derive(namespace, person.email.as_bytes()).to_string();
        // The password travels in the body, never in the address.
        let body = json!({
            "user": {"email": person.email, "displayName": person.name},
            "password": person.password,
            "userId": id,
            "requestId": request_id(namespace, &person.email),
        });
        let path = format!("/v1/{organization}/users");
        let call =
            Call::new("create a member without a role", Method::POST, path).token(owner.token().await?).json(&body);
        let answer = http.send(call).await?;
        if answer.status != http::StatusCode::CONFLICT {
            answer.success("create user")?;
        }
        cast.people[index].id = id;
        cast.save()?;
    }
    Ok(())
}

/// A request id that the same step of a later run makes again.
pub(crate) fn request_id(namespace: Id, step: &str) -> String {
    Id::derive(namespace, format!("request:{step}").as_bytes()).uuid().to_string()
}

fn person(email: &str, name: &str) -> Person {
    Person { id: String::new(), email: email.to_owned(), name: name.to_owned(), password: login::random_text(24) }
}

fn id_of(name: &serde_json::Value) -> Result<String> {
    name.as_str().and_then(|name| name.rsplit('/').next()).map(str::to_owned).context("the answer names no resource")
}
