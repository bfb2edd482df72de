//! A revocation that was acknowledged is a revocation after `kill -9`, for everything that can be taken away: the answer comes, the
//! process dies in that moment, and after its restart whatever rested on it is refused from the first call on (auth.md, B3).
use http::Method;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client, name, tomorrow},
    oauth::{App, Browser, FORM, form, register, written},
    oauth_flows::consented,
    person::{CLIENT, Person, Tokens, token},
    platform::{Shared, Site},
};

/// What somebody holds, and how it is asked whether it is good.
enum Held {
    /// A bearer token, at any method.
    Token(String),
    /// A token at one method: who may no longer call it has lost it.
    At(String, String),
    /// A refresh token of a public client.
    Refresh(String),
    /// A refresh token of an application.
    RefreshOf(App, String),
    /// Cookies of a browser.
    Cookies(String),
    /// A permission on a resource, asked with a token.
    Check(String, Value, String),
}

impl Held {
    /// It still opens what it opened.
    async fn opens(&self, client: &Client) -> bool {
        let answer = match self {
            Held::Token(token) => client.with_token(token).get("/v1/users/me").send().await,
            Held::At(token, path) => client.with_token(token).get(path).send().await,
            Held::Cookies(cookies) => client.get("/v1/users/me").header("cookie", cookies).send().await,
            Held::Refresh(token) => {
                let sent = [("grant_type", "refresh_token"), ("client_id", CLIENT), ("refresh_token", token.as_str())];
                client.call(Method::POST, "/oauth2/token").body(FORM, written(&sent)).send().await
            }
            Held::RefreshOf(app, token) => {
                form(
                    client,
                    "/oauth2/token",
                    app,
                    &[("grant_type", "refresh_token"), ("refresh_token", token.as_str())],
                )
                .await
            }
            Held::Check(token, question, path) => {
                let answer = client.with_token(token).post(path, question).good().await;
                return answer["allowed"] == json!(true);
            }
        };
        assert!(is_decided(&answer), "{}", answer.show());
        answer.status.is_success()
    }
}

/// Neither away nor overloaded: an error of the server would be no refusal.
fn is_decided(answer: &Answer) -> bool {
    answer.status.is_success() || matches!(answer.status.as_u16(), 400 | 401 | 403 | 404)
}

/// What is taken away by one call.
struct Case {
    what: &'static str,
    held: Vec<Held>,
    /// Method and path with the owner's token.
    end: (Method, String, Value),
}

/// Somebody with his tokens.
async fn somebody(shared: &Shared, client: &Client, role: Option<&str>) -> (Person, Tokens) {
    let person = shared.owner.member(client, "Somebody", role).await;
    let tokens = person.tokens(client, &person.organization).await;
    (person, tokens)
}

/// Both tokens of a session, of which the refresh token has shown that it opens: it gave these.
async fn both(client: &Client, tokens: Tokens) -> Vec<Held> {
    let tokens = refreshed(client, &tokens.refresh).await;
    vec![Held::Token(tokens.access), Held::Refresh(tokens.refresh)]
}

async fn refreshed(client: &Client, refresh: &str) -> Tokens {
    token(client, &[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await
}

/// A browser in which he is signed in.
async fn signed_in(shared: &Shared, person: &Person) -> Browser {
    let mut browser = Browser::new(shared);
    let page = browser.get("/signin?return_to=%2Fdocs").await;
    browser.sign_in(&page, person).await;
    browser
}

/// Somebody from whom nothing is taken. What he holds from the start opens all the time, so that what others hold is refused because it
/// was taken away: not for its age, nor because a restart forgot it.
struct Bystander {
    held: [Held; 2],
    refresh: String,
}

impl Bystander {
    async fn new(shared: &Shared, client: &Client) -> Bystander {
        let (person, tokens) = somebody(shared, client, None).await;
        let browser = signed_in(shared, &person).await;
        let held = [Held::Token(tokens.access), Held::Cookies(browser.cookie())];
        Bystander { held, refresh: tokens.refresh }
    }

    async fn still_comes_in(&mut self, client: &Client) {
        for held in &self.held {
            assert!(held.opens(client).await, "who lost nothing comes in");
        }
        self.refresh = refreshed(client, &self.refresh).await.refresh;
    }
}

async fn cases(shared: &Shared, client: &Client) -> Vec<Case> {
    let (owner, organization) = (shared.owner.sign_in(client).await, &shared.owner.organization);
    let mut cases = people(shared, client, &owner).await;
    cases.extend(applications(shared, client).await);
    let key = json!({"displayName": "Import", "scopes": ["membership:read"], "expireTime": tomorrow()});
    let key = owner.post(format!("/v1/{organization}/apiKeys"), &key).good().await;
    let secret = key["secret"].as_str().expect("shown once").to_owned();
    cases.push(Case {
        what: "an API key",
        held: vec![Held::At(secret, format!("/v1/{organization}/memberships"))],
        end: (Method::DELETE, format!("/v1/{}", name(&key)), json!({})),
    });
    cases.extend(sharing(shared, client, &owner).await);
    cases
}

/// A relation, a share, and a share that one has as the holder of a link or as a member of a group.
async fn sharing(shared: &Shared, client: &Client, owner: &Client) -> Vec<Case> {
    let organization = &shared.owner.organization;
    let (person, tokens) = somebody(shared, client, None).await;
    let object = format!("{organization}/objectTypes/board/objects/plans");
    let change = |action: &str| json!({"updates": [{"action": action, "relation": {"resource": object, "kind": "VIEWER", "subject": person.user}}]});
    owner.post(format!("/v1/{organization}:writeRelations"), &change("WRITE")).good().await;
    let question = json!({"permission": "object:read", "resource": object});
    let (document, grant) = shared_with(owner, organization, &person.user).await;
    let link = json!({"displayName": "Guests", "expireTime": tomorrow()});
    let link = owner.post(format!("/v1/{organization}/links"), &link).good().await;
    let (linked, _) = shared_with(owner, organization, &format!("{}#holder", name(&link))).await;
    let (_, guest) = somebody(shared, client, None).await;
    let opened = json!({"secret": link["secret"]});
    client.with_token(&guest.access).post(format!("/v1/{}:open", name(&link)), &opened).good().await;
    let group = owner.post(format!("/v1/{organization}/groups"), &json!({"displayName": "Board"})).good().await;
    let (grouped, _) = shared_with(owner, organization, &format!("{}#member", name(&group))).await;
    let (member, of_group) = somebody(shared, client, None).await;
    let members = json!({"members": [member.user]});
    owner.post(format!("/v1/{}:addMembers", name(&group)), &members).good().await;
    vec![
        Case {
            what: "a relation",
            held: vec![Held::Check(tokens.access.clone(), question, format!("/v1/{organization}:check"))],
            end: (Method::POST, format!("/v1/{organization}:writeRelations"), change("DELETE")),
        },
        Case {
            what: "a share",
            held: vec![Held::At(tokens.access, document)],
            end: (Method::DELETE, grant, json!({})),
        },
        Case {
            what: "a link",
            held: vec![Held::At(guest.access, linked)],
            end: (Method::DELETE, format!("/v1/{}", name(&link)), json!({})),
        },
        Case {
            what: "a place in a group",
            held: vec![Held::At(of_group.access, grouped)],
            end: (Method::POST, format!("/v1/{}:removeMembers", name(&group)), members),
        },
    ]
}

/// A document that is shared with somebody, and the share.
async fn shared_with(owner: &Client, organization: &str, principal: &str) -> (String, String) {
    let document = owner.post(format!("/v1/{organization}/documents"), &json!({"title": "Shared"})).good().await;
    let grant = json!({"principal": principal, "role": "READER"});
    let grant = owner.post(format!("/v1/{}/grants", name(&document)), &grant).good().await;
    (format!("/v1/{}", name(&document)), format!("/v1/{}", name(&grant)))
}

/// A session, a browser, a role, a membership, an account.
async fn people(shared: &Shared, client: &Client, owner: &Client) -> Vec<Case> {
    let organization = &shared.owner.organization;
    let list = format!("/v1/{organization}/memberships?pageSize=1000");
    let (session, role, member, account) = (
        shared.owner.tokens(client, organization).await,
        somebody(shared, client, Some("EDITOR")).await,
        somebody(shared, client, Some("EDITOR")).await,
        somebody(shared, client, Some("EDITOR")).await,
    );
    let members = owner.get(list.clone()).good().await;
    let membership = |user: &str| {
        let all = members["memberships"].as_array().into_iter().flatten();
        all.filter(|one| one["user"] == user).map(name).next().expect("he is a member").to_owned()
    };
    let sid = claim(&session.access, "sid");
    vec![
        Case {
            what: "a session",
            held: both(client, session).await,
            end: (Method::DELETE, format!("/v1/users/me/sessions/{sid}"), json!({})),
        },
        Case {
            what: "a role",
            held: vec![Held::At(role.1.access, list)],
            end: (
                Method::PATCH,
                format!("/v1/{}?updateMask=role", membership(&role.0.user)),
                json!({"role": "ROLE_UNSPECIFIED"}),
            ),
        },
        Case {
            what: "a membership",
            held: both(client, member.1).await,
            end: (Method::DELETE, format!("/v1/{}", membership(&member.0.user)), json!({})),
        },
        Case {
            what: "an account",
            held: both(client, account.1).await,
            end: (Method::POST, format!("/v1/{}:disable", account.0.user), json!({})),
        },
    ]
}

/// A consent, a client that people use, a machine.
async fn applications(shared: &Shared, client: &Client) -> Vec<Case> {
    let mut cases = Vec::new();
    for what in ["a consent", "an application"] {
        let app = register(shared, json!({})).await;
        let mut browser = Browser::new(shared);
        let tokens = consented(&mut browser, shared, &app).await;
        let text = |field: &str| tokens[field].as_str().expect("text").to_owned();
        let mine = client.with_token(&shared.owner.tokens(client, &shared.owner.organization).await.access);
        let consents = mine.get("/v1/users/me/consents").good().await;
        let all = consents["consents"].as_array().into_iter().flatten();
        let consent =
            all.filter(|one| one["client"] == json!(app.id)).map(name).next().expect("it was given").to_owned();
        let path = if what == "a consent" {
            consent
        } else {
            format!("{}/oauthClients/{}", shared.owner.organization, app.id)
        };
        let info = Held::At(text("access_token"), "/oauth2/userinfo".to_owned());
        let first = text("refresh_token");
        let sent = [("grant_type", "refresh_token"), ("refresh_token", first.as_str())];
        let next = form(client, "/oauth2/token", &app, &sent).await.json();
        let next = next["refresh_token"].as_str().unwrap_or_else(|| panic!("it opens: {next}")).to_owned();
        let held = vec![info, Held::RefreshOf(app, next)];
        cases.push(Case { what, held, end: (Method::DELETE, format!("/v1/{path}"), json!({})) });
    }
    let machine = json!({"kind": "MACHINE", "role": "VIEWER", "redirectUris": [], "postLogoutRedirectUris": [], "scopes": ["organization:read"]});
    let app = register(shared, machine).await;
    let tokens = form(client, "/oauth2/token", &app, &[("grant_type", "client_credentials")]).await.json();
    let token = tokens["access_token"].as_str().unwrap_or_else(|| panic!("{tokens}")).to_owned();
    cases.push(Case {
        what: "a machine",
        held: vec![Held::At(token, format!("/v1/{}", shared.owner.organization))],
        end: (Method::DELETE, format!("/v1/{}/oauthClients/{}", shared.owner.organization, app.id), json!({})),
    });
    let browser = signed_in(shared, &shared.owner).await;
    let me = client.get("/v1/users/me/sessions?pageSize=1000").header("cookie", browser.cookie()).good().await;
    let all = me["sessions"].as_array().into_iter().flatten();
    // Ids sort by time: the last one is this one.
    let own = all.map(name).max().unwrap_or_else(|| panic!("{me}")).to_owned();
    cases.push(Case {
        what: "a browser",
        held: vec![Held::Cookies(browser.cookie())],
        end: (Method::DELETE, format!("/v1/{own}"), json!({})),
    });
    cases
}

/// A claim of an access token.
fn claim(token: &str, name: &str) -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let claims =
        token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).expect("a token has claims");
    let claims: Value = serde_json::from_slice(&claims).expect("claims are JSON");
    claims[name].as_str().unwrap_or_else(|| panic!("no {name}: {claims}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn auth_b03_what_was_taken_away_stays_taken_away_when_the_platform_is_killed_at_once() {
    let platform = crate::platform::Platform::start(Site::new().await.set("auth.access_token_life", "9m")).await;
    let owner = Person::first(&platform.client(), platform.site()).await;
    let mut shared = Shared { platform, owner };
    let client = shared.platform.client();
    let mut bystander = Bystander::new(&shared, &client).await;
    let cases = cases(&shared, &client).await;
    for case in &cases {
        for held in case.held.iter().filter(|held| !matches!(held, Held::Refresh(_) | Held::RefreshOf(..))) {
            assert!(held.opens(&client).await, "{} opens something", case.what);
        }
    }
    for case in &cases {
        let client = shared.platform.client();
        let owner = shared.owner.sign_in(&client).await;
        let (method, path, body) = &case.end;
        let call = owner.call(method.clone(), path.clone());
        let call = if *method == Method::DELETE { call } else { call.json(body) };
        let answer = call.send().await;
        shared.platform.kill();
        assert!(answer.status.is_success(), "{}: {}", case.what, answer.show());
        shared.platform.start_again().await;
        let client = shared.platform.client();
        for held in &case.held {
            assert!(!held.opens(&client).await, "{} is taken away", case.what);
        }
        bystander.still_comes_in(&client).await;
    }
    // All of it, again, after the last restart.
    let client = shared.platform.client();
    for case in &cases {
        for held in &case.held {
            assert!(!held.opens(&client).await, "{} stays taken away", case.what);
        }
    }
    shared.owner.sign_in(&client).await.get("/v1/users/me").good().await;
}
