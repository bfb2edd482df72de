//! A tenant with two of everything that the contract knows a name for, made through the public door; what only workloads or browsers
//! make is written into the database.
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use testkit::eventually_within;

use super::call::{good, unary};
use crate::{
    client::{Client, name, tomorrow},
    oauth_flows::decoded,
    person::{Person, SYSTEM},
    platform::{Platform, Site},
    tus::Uploads,
};

const PATIENCE: Duration = Duration::from_secs(120);
const AUTH: &str = "workos.auth.v1";

/// An organization with its owner and what it has.
pub(super) struct Tenant {
    pub(super) organization: String,
    pub(super) owner: Person,
    /// Two, as they stand in `names` after the owner. The first has a passkey.
    pub(super) members: Vec<Person>,
    /// Names by their pattern: `organizations/*/documents/*`.
    pub(super) names: BTreeMap<String, Vec<String>>,
    /// Words that stand in the resources of this tenant and nowhere else.
    pub(super) words: BTreeSet<String>,
    pub(super) etags: Vec<String>,
    /// Tokens of second pages by the method that gave them.
    pub(super) pages: BTreeMap<String, String>,
    /// What the contract calls at_least.
    pub(super) consistency: String,
    /// A request id that was used.
    pub(super) request_id: String,
    pub(super) emails: Vec<String>,
}

/// `organizations/*/documents/*` of a name.
pub(super) fn pattern(name: &str) -> String {
    let part = |(at, part): (usize, &str)| if at % 2 == 1 { "*".to_owned() } else { part.to_owned() };
    name.split('/').enumerate().map(part).collect::<Vec<_>>().join("/")
}

impl Tenant {
    /// Makes one with everything. `first` runs the platform and leaves the organization to its owner.
    pub(super) async fn stocked(platform: &Platform, first: &Person) -> Tenant {
        let client = platform.client();
        let mut tenant = Tenant::empty(&client, first).await;
        let owner = tenant.owner.sign_in(&client).await;
        tenant.people(&client, &owner).await;
        tenant.keys(&owner).await;
        tenant.documents(&owner).await;
        tenant.files(&owner).await;
        tenant.runs(&owner, &tenant.members[0].sign_in(&client).await).await;
        tenant.relations(&owner).await;
        tenant.in_the_database(platform.site()).await;
        tenant.reads(&owner).await;
        tenant
    }

    /// The owner, to whom what waits for his decision comes.
    pub(super) async fn sign_in(&self, platform: &Platform) -> Client {
        let client = platform.client();
        let access = self.owner.tokens(&client, &self.organization).await.access;
        let claims = decoded(access.split('.').nth(1).expect("a JWT"));
        let session = uuid(claims["sid"].as_str().expect("a session"));
        let sql = format!(
            "update auth.authorization_requests set session_id = '{session}' where user_id = '{}'",
            uuid(&self.owner.user)
        );
        platform.site().sql(&sql).await;
        client.with_token(&access)
    }

    /// The owner owns no other organization. Cases do this beside each other: what one of them, or a service, holds at the moment is left,
    /// so that nobody waits for anybody.
    pub(super) async fn give_up_others(&self, site: &Site) {
        let (user, organization) = (uuid(&self.owner.user), uuid(&self.organization));
        site.sql(&format!(
            "update auth.memberships set role = null where ctid = any(array(select ctid from auth.memberships
               where user_id = '{user}' and organization_id <> '{organization}' and role is not null for update skip locked))"
        ))
        .await;
    }

    async fn empty(client: &Client, first: &Person) -> Tenant {
        let word = word();
        let founder = first.sign_in(client).await;
        let body = json!({"organization": {"displayName": format!("Organization {word}")}});
        let made = good(&founder, &format!("{AUTH}.OrganizationService/CreateOrganization"), body).await;
        let organization = name(&made).to_owned();
        let mut there = first.clone();
        there.organization.clone_from(&organization);
        let owner = there.member(client, &format!("Owner {word}"), Some("OWNER")).await;
        let mut tenant = Tenant {
            organization: organization.clone(),
            names: BTreeMap::new(),
            words: BTreeSet::from([word]),
            etags: Vec::new(),
            pages: BTreeMap::new(),
            consistency: String::new(),
            request_id: uuid::Uuid::from_u128(rand::random()).to_string(),
            emails: vec![owner.email.clone()],
            members: Vec::new(),
            owner,
        };
        tenant.keep_name(&organization);
        tenant.keep_name(&format!("{organization}/searchIndex"));
        tenant.keep_name("permissions/document:read");
        tenant.keep_name(&tenant.owner.user.clone());
        tenant.keep_name(&format!("{organization}/{}", tenant.owner.user));
        tenant
    }

    /// Ids that stand in no other tenant's things.
    pub(super) fn ids(&self) -> BTreeSet<&str> {
        let parts = self.names.values().flatten().flat_map(|name| name.split('/').skip(1).step_by(2));
        parts.filter(|part| part.len() >= 20).collect()
    }

    /// A new word of this tenant.
    fn word(&mut self) -> String {
        let word = word();
        self.words.insert(word.clone());
        word
    }

    fn keep_name(&mut self, name: &str) {
        let known = self.names.entry(pattern(name)).or_default();
        if known.iter().all(|known| known != name) {
            known.push(name.to_owned());
        }
    }

    fn keep(&mut self, made: &Value) -> String {
        let name = name(made).to_owned();
        self.keep_name(&name);
        self.etags.extend(made["etag"].as_str().map(str::to_owned));
        name
    }

    async fn make(&mut self, owner: &Client, rpc: &str, mut body: Value) -> String {
        if body.get("parent").is_none() {
            body["parent"] = json!(self.organization);
        }
        let made = good(owner, rpc, body).await;
        self.keep(&made)
    }

    async fn people(&mut self, client: &Client, owner: &Client) {
        for _ in 0..2 {
            let word = self.word();
            let person = self.owner.member(client, &format!("Member {word}"), Some("EDITOR")).await;
            self.keep_name(&person.user);
            self.emails.push(person.email.clone());
            self.members.push(person);
        }
        let list = json!({"parent": self.organization});
        let list = good(owner, &format!("{AUTH}.OrganizationService/ListMemberships"), list).await;
        for membership in list["memberships"].as_array().into_iter().flatten() {
            if membership["user"] != json!(self.owner.user)
                && self.names["users/*"].contains(&membership["user"].as_str().unwrap_or_default().to_owned())
            {
                self.keep(membership);
            }
        }
        for _ in 0..2 {
            let (word, email) = (self.word(), format!("{}@invited.example", self.word()));
            let group = self
                .make(owner, &format!("{AUTH}.GroupService/CreateGroup"), json!({"group": {"displayName": word}}))
                .await;
            let members = json!({"name": group, "members": [self.names["users/*"][1], self.names["users/*"][2]]});
            good(owner, &format!("{AUTH}.GroupService/AddGroupMembers"), members).await;
            self.make(
                owner,
                &format!("{AUTH}.InvitationService/CreateInvitation"),
                json!({"invitation": {"email": email}}),
            )
            .await;
            self.emails.push(email);
            let factor = json!({"parent": self.owner.user, "mfaFactor": {"displayName": word}});
            self.make(owner, &format!("{AUTH}.FactorService/CreateMfaFactor"), factor).await;
        }
    }

    async fn keys(&mut self, owner: &Client) {
        let tomorrow = tomorrow();
        for _ in 0..2 {
            let word = self.word();
            let role = json!({"customRole": {"displayName": word, "permissions": ["document:read"]}});
            self.make(owner, &format!("{AUTH}.RoleService/CreateCustomRole"), role).await;
            let account = json!({"serviceAccount": {"displayName": word}});
            self.make(owner, &format!("{AUTH}.KeyService/CreateServiceAccount"), account).await;
            let key = json!({"apiKey": {"displayName": word, "scopes": ["document:read"], "expireTime": tomorrow}});
            self.make(owner, &format!("{AUTH}.KeyService/CreateApiKey"), key).await;
            let link = json!({"link": {"displayName": word, "expireTime": tomorrow}});
            self.make(owner, &format!("{AUTH}.LinkService/CreateLink"), link).await;
            let app = json!({"oauthClient": {"displayName": word, "kind": "WEB", "redirectUris": [format!("https://{word}.example/cb")], "scopes": ["openid"]}});
            self.make(owner, &format!("{AUTH}.OAuthClientService/CreateOAuthClient"), app).await;
        }
    }

    async fn documents(&mut self, owner: &Client) {
        let service = "workos.document.v1.DocumentService";
        for at in 0..2 {
            let (word, text) = (self.word(), self.word());
            let folder =
                self.make(owner, &format!("{service}/CreateFolder"), json!({"folder": {"displayName": word}})).await;
            let mut body = json!({"document": {"title": word, "folder": folder, "content": {"mediaType": "text/plain", "text": text}, "metadata": {"note": text}}});
            if at == 0 {
                body["requestId"] = json!(self.request_id);
            }
            let document = self.make(owner, &format!("{service}/CreateDocument"), body).await;
            let change =
                json!({"document": {"name": document, "title": format!("{word} again")}, "updateMask": "title"});
            good(owner, &format!("{service}/UpdateDocument"), change).await;
            for revision in 1..=2 {
                self.keep_name(&format!("{document}/revisions/{revision}"));
            }
            for user in [1, 2] {
                let grant =
                    json!({"parent": document, "grant": {"principal": self.names["users/*"][user], "role": "READER"}});
                self.make(owner, &format!("{service}/CreateGrant"), grant).await;
            }
        }
    }

    async fn files(&mut self, owner: &Client) {
        let uploads = Uploads { client: owner.clone(), organization: self.organization.clone() };
        for _ in 0..2 {
            let (word, text) = (self.word(), self.word());
            let path = uploads.begin(text.len(), "").await;
            uploads.append(&path, 0, text.into_bytes()).await;
            let done = owner.get(path.replace("/tus/", "/v1/")).good().await;
            self.keep_name(done["file"].as_str().expect("it is complete"));
            let open = json!({"upload": {"lengthBytes": 1024, "displayName": word, "mediaType": "text/plain"}});
            self.make(owner, "workos.file.v1.UploadService/CreateUpload", open).await;
        }
    }

    async fn runs(&mut self, owner: &Client, member: &Client) {
        let member_user = self.names["users/*"][1].clone();
        for at in 0..2 {
            let document = &self.names["organizations/*/documents/*"][at];
            let run = json!({"run": {"documentApproval": {"document": document, "approvers": [self.owner.user, member_user], "rule": "ALL"}}});
            self.make(owner, "workos.workflow.v1.RunService/CreateRun", run).await;
        }
        let (organization, user) = (self.organization.clone(), self.owner.user.clone());
        let list = async |client: &Client, rpc: &str, parent: &str, field: &str, many: usize| {
            let look = || async {
                let page = unary(client, rpc, &json!({"parent": parent, "pageSize": 100})).good().await;
                page[field].as_array().filter(|all| all.len() >= many).cloned().ok_or(page)
            };
            eventually_within(PATIENCE, rpc, look).await
        };
        let tasks = list(owner, "workos.workflow.v1.TaskService/ListTasks", &organization, "tasks", 2).await;
        list(member, "workos.workflow.v1.TaskService/ListTasks", &organization, "tasks", 2).await;
        let inbox = format!("{organization}/{user}");
        let items = list(owner, "workos.notification.v1.InboxService/ListInboxItems", &inbox, "inboxItems", 2).await;
        let service = "workos.notification.v1.DeliveryService";
        let deliveries = list(owner, &format!("{service}/ListDeliveries"), &organization, "deliveries", 2).await;
        let mails = list(owner, &format!("{service}/ListCapturedMails"), &organization, "capturedMails", 2).await;
        let events =
            list(owner, &format!("{AUTH}.AuditService/ListAuditEvents"), &organization, "auditEvents", 2).await;
        let sessions = list(owner, &format!("{AUTH}.UserService/ListSessions"), "users/me", "sessions", 1).await;
        for all in [tasks, items, deliveries, mails, events, sessions] {
            for made in all.iter().take(2) {
                self.keep(made);
            }
        }
    }

    async fn relations(&mut self, owner: &Client) {
        for _ in 0..2 {
            let word = self.word();
            let object = format!("{}/objectTypes/board/objects/{word}", self.organization);
            let relation = json!({"resource": object, "kind": "VIEWER", "subject": self.names["users/*"][1]});
            let body = json!({"parent": self.organization, "updates": [{"action": "WRITE", "relation": relation}]});
            let said = good(owner, &format!("{AUTH}.AuthorizationService/WriteRelations"), body).await;
            self.consistency = said["consistencyToken"].as_str().expect("a token").to_owned();
            self.keep_name(&object);
        }
    }

    /// What a browser, a foreign provider or a workload would have made.
    async fn in_the_database(&mut self, site: &Site) {
        let (user, organization) = (uuid(&self.owner.user), uuid(&self.organization));
        let session = uuid(&self.names["users/*/sessions/*"][0]);
        // Passkeys of the owner would be asked for whenever the trial signs in.
        let member = self.names["users/*"][1].clone();
        let holder = uuid(&member);
        for place in 0..2 {
            let (word, mut handle) = (self.word(), format!("{}{}", word(), word()));
            handle.truncate(43);
            // One that there is: what is left of those that are gone is swept away.
            let client = self.names["organizations/*/oauthClients/*"][place].rsplit('/').next().unwrap_or_default();
            let ids: Vec<_> = (0..4).map(|_| api::Ids::default().next()).collect();
            let at = |at: usize| ids[at].uuid();
            site.sql(&format!(
                "insert into auth.passkeys (user_id, passkey_id, credential_id, credential, display_name, create_time) values ('{holder}', '{}', '{word}', '{{}}', '{word}', now());
                 insert into auth.identities values ('{user}', '{}', 'https://{word}.example', '{word}', '{word}@other.example', now());
                 insert into auth.consents values ('{}', '{user}', '{client}', '{organization}', 'openid', now(), now());
                 insert into auth.delegations values ('{organization}', '{}', '{user}', 'workflow', '{word}', '{{}}', now() + interval '1 day', now());
                 insert into auth.authorization_requests (request_digest, client, redirect_uri, code_challenge, state, nonce, scope, prompt, login_hint, pushed, browser_digest, session_id, user_id, auth_after, create_time, expire_time)
                 values (sha256('{handle}'), '{client}', 'https://{word}.example/cb', '{}', 's', 'n', 'openid', '', '', false, '', '{session}', '{user}', now(), now(), now() + interval '1 day')",
                at(0), at(1), at(2), at(3), "c".repeat(43)
            ))
            .await;
            let user = self.owner.user.clone();
            for name in [
                format!("{member}/passkeys/{}", ids[0]),
                format!("{user}/identities/{}", ids[1]),
                format!("{user}/consents/{}", ids[2]),
            ] {
                self.keep_name(&name);
            }
            self.keep_name(&format!("{}/delegations/{}", self.organization, ids[3]));
            self.keep_name(&format!("authorizationRequests/{handle}"));
        }
    }

    /// Tokens of second pages of everything that can be listed.
    async fn reads(&mut self, owner: &Client) {
        for shape in testkit::conformance::Contract::default().shapes() {
            if !shape.places().iter().any(|place| place.path == "page_token") || !shape.method.is_unary() {
                continue;
            }
            let mut body = shape.least(&|place| super::fill(self, shape.method, place));
            body["pageSize"] = json!(1);
            let said = unary(owner, shape.method.rpc, &body).send().await.json();
            if let Some(token) = said["nextPageToken"].as_str().filter(|token| !token.is_empty()) {
                self.pages.insert(shape.method.rpc.to_owned(), token.to_owned());
            }
        }
        assert!(self.pages.len() > 15, "few lists have a second page: {:?}", self.pages.keys());
    }
}

/// The id at the end of a name, as the database has it.
pub(super) fn uuid(name: &str) -> uuid::Uuid {
    name.rsplit('/').next().and_then(|id| id.parse::<api::Id>().ok()).expect("an id").uuid()
}

/// An identity provider of the platform's. Nobody comes back from it.
pub(super) const PROVIDER: &str =
    "organizations/00000000000000000000000000/identityProviders/06ezsmm3r9qvb8hj2hx3w2w8dm";

/// Makes it.
pub(super) async fn provider(site: &Site) {
    let (organization, id) = (uuid(SYSTEM), uuid(PROVIDER));
    site.sql(&format!(
        "insert into auth.identity_providers (organization_id, provider_id, display_name, protocol, issuer, client_id, sealed_secret, scopes, hosts,
           authorization_endpoint, token_endpoint, userinfo_endpoint, email_endpoint, subject_path, email_path, email_verified_path, create_time, update_time)
         values ('{organization}', '{id}', 'Provider', 2, 'https://provider.example', 'workos', '', '{{}}', '{{}}',
           'https://provider.example/a', 'https://provider.example/t', 'https://provider.example/u', '', '/id', '/email', '', now(), now())"
    ))
    .await;
}

/// Letters that nobody else has.
fn word() -> String {
    let digits = format!("{:x}", rand::random::<u128>() | 1 << 127);
    digits
        .bytes()
        .filter(|digit| *digit != b'0')
        .map(|digit| char::from(if digit.is_ascii_digit() { digit - b'0' + b'g' } else { digit }))
        .collect()
}
