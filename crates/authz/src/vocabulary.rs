//! The words that tokens and decisions are written in. Datalog is parsed once, from the constants here; every value is bound
//! as a parameter or built as a term, never formatted into source.
//!
//! ```text
//! authority:  v(1); aud("mesh"); iat(..); sub("user", id); tenant(org); sid(id) | key(id) | delegation(id); client(id);
//!             role("member"); role("editor"); role(id); scope("*"); amr("pwd"); acr(1); auth_time(..);
//!             act("service", name) | act("client", name) | act("user", id), act_sid(id), check if guards("impersonation");
//!             check if time($t), $t < end;
//! appended:   check if rpc($r), {method and what it calls}.contains($r); check if time($t), $t < end; check if resource(name);
//! decision:   time, service, rpc, peer, resource, resource_tenant | resource_user, need_scope, grant_role, shareable, guards
//! ```
use std::sync::{Arc, LazyLock};

use biscuit_auth::{
    Biscuit,
    builder::{AuthorizerBuilder, BlockBuilder, Check, Fact, Rule, Term},
    error,
};
use proto::Role;

/// What the session of a subject rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A session.
    Session(String),
    /// An API key.
    Key(String),
    /// A delegation: background work for a person who is not there.
    Delegation(String),
}

/// What the authority block of a verified token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claims {
    /// Id of the user.
    pub(crate) subject: String,
    /// Id of the organization.
    pub(crate) tenant: Option<String>,
    /// `user/organization`, as revocations name a member.
    pub(crate) member: String,
    pub(crate) credential: Credential,
    /// Id of the client; empty for none.
    pub(crate) client: String,
    /// Highest role; `None` for a member without one.
    pub(crate) role: Option<Role>,
    /// Ids of roles of the organization's own making.
    pub(crate) custom_roles: Arc<[String]>,
    /// Scopes of the client or key; `*` for all rights of the person.
    pub(crate) scopes: Arc<[String]>,
    /// Authentication context class; 0 for none.
    pub(crate) acr: u32,
    /// When the user signed in, in seconds; `None` where nobody did.
    pub(crate) auth_time: Option<i64>,
    /// Who acts for the user: name of a workload, or of the resource of an application or a person.
    pub(crate) acting: Option<String>,
    /// The person among them.
    pub(crate) impersonator: Option<Impersonator>,
    /// When it was issued, in seconds.
    pub(crate) issued: i64,
    /// Id of the key that signed it.
    pub(crate) key_id: String,
}

/// A person who acts as the user. What ends his own sign-in or membership ends the token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Impersonator {
    /// Id of the user that he is.
    pub(crate) user: String,
    /// `user/organization`, as revocations name a member.
    pub(crate) member: String,
    /// Id of the session in which he has signed in himself.
    pub(crate) session: String,
}

/// Roles as tokens spell them, the least first.
pub(crate) const ROLES: [(Role, &str); 5] = [
    (Role::Member, "member"),
    (Role::Viewer, "viewer"),
    (Role::Editor, "editor"),
    (Role::Admin, "admin"),
    (Role::Owner, "owner"),
];

/// What every decision demands of the token.
const BASE: &str = r#"
    check if v(1), aud("mesh");
    check if sub($kind, $id), $kind === "user";
"#;
/// Checks precede policies: no role or share can overrule tenant or scope. Policy 0 grants, 1 leaves it to a share.
const PERMISSION: &str = r#"
    check if tenant($t), resource_tenant($t);
    check if need_scope($s), scope($s) or scope("*");
    allow if role($r), grant_role($r);
    allow if shareable(true);
    deny if true;
"#;
/// A person's own record: full first-party scope, no tenant.
const OWN: &str = r#"
    check if scope("*");
    allow if sub("user", $u), resource_user($u);
    deny if true;
"#;
/// A token that only says who is there, on methods that need none.
const PRESENTED: &str = "allow if true;";

/// The templates of decisions.
pub(crate) struct Decisions {
    pub(crate) permission: AuthorizerBuilder,
    pub(crate) own: AuthorizerBuilder,
    pub(crate) presented: AuthorizerBuilder,
}

/// The templates, parsed at first use.
pub(crate) static DECISIONS: LazyLock<Decisions> = LazyLock::new(|| Decisions {
    permission: template(PERMISSION),
    own: template(OWN),
    presented: template(PRESENTED),
});

fn template(source: &str) -> AuthorizerBuilder {
    let builder = AuthorizerBuilder::new().code(BASE).and_then(|builder| builder.code(source));
    builder.expect("constant Datalog of this file parses, as its test shows")
}

static UNTIL: LazyLock<Check> = LazyLock::new(|| check("check if time($t), $t < {end}"));
static ONE_RPC: LazyLock<Check> = LazyLock::new(|| check("check if rpc({rpc})"));
static SOME_RPCS: LazyLock<Check> = LazyLock::new(|| check("check if rpc($r), {rpcs}.contains($r)"));
static RESOURCE: LazyLock<Check> = LazyLock::new(|| check("check if resource({name})"));
static GUARDED: LazyLock<Check> = LazyLock::new(|| check("check if guards(\"impersonation\")"));

fn check(source: &'static str) -> Check {
    Check::try_from(source).expect("constant Datalog of this file parses, as its test shows")
}

/// How a failed time check begins when it is printed.
pub(crate) const TIME_CHECK: &str = "check if time(";

/// What a verifier says of itself that refuses to who acts as the user what is for the user alone. A release that does not know of it says
/// nothing, so tokens with an impersonator are good for nothing there.
pub(crate) const GUARDS: (&str, &str) = ("guards", "impersonation");

/// `check if guards("impersonation")`.
pub(crate) fn guarded() -> Check {
    GUARDED.clone()
}

/// `check if rpc($r), {rpcs}.contains($r)`.
pub(crate) fn among(rpcs: &[&str]) -> Result<Check, error::Token> {
    bound(&SOME_RPCS, "rpcs", Term::Set(rpcs.iter().map(|rpc| text(rpc)).collect()))
}

/// `check if time($t), $t < end`.
pub(crate) fn until(end: i64) -> Result<Check, error::Token> {
    bound(&UNTIL, "end", Term::Date(u64::try_from(end).unwrap_or_default()))
}

/// The block that narrows a token to these RPCs, until this time, and to one resource if named.
pub(crate) fn narrowing(rpcs: &[&str], end: i64, resource: Option<&str>) -> Result<BlockBuilder, error::Token> {
    let rpc = match rpcs {
        [only] => bound(&ONE_RPC, "rpc", text(only))?,
        several => among(several)?,
    };
    let block = BlockBuilder::new().check(rpc)?.check(until(end)?)?;
    match resource {
        Some(name) => block.check(bound(&RESOURCE, "name", text(name))?),
        None => Ok(block),
    }
}

fn bound(template: &Check, name: &str, value: Term) -> Result<Check, error::Token> {
    let mut check = template.clone();
    check.set(name, value)?;
    Ok(check)
}

pub(crate) fn fact(name: &str, terms: Vec<Term>) -> Fact {
    Fact::new(name.to_owned(), terms)
}

pub(crate) fn text(text: &str) -> Term {
    Term::Str(text.to_owned())
}

pub(crate) fn date(seconds: i64) -> Term {
    Term::Date(u64::try_from(seconds).unwrap_or_default())
}

/// Queries that read the claims. They see the authority block alone (`query`, never `query_all`).
struct Questions {
    sub: Rule,
    tenant: Rule,
    sid: Rule,
    key: Rule,
    delegation: Rule,
    client: Rule,
    role: Rule,
    scope: Rule,
    act: Rule,
    act_of_client: Rule,
    act_of_user: Rule,
    act_sid: Rule,
    iat: Rule,
    acr: Rule,
    auth_time: Rule,
}

static QUESTIONS: LazyLock<Questions> = LazyLock::new(|| {
    let rule =
        |source: &'static str| Rule::try_from(source).expect("constant Datalog of this file parses, as its test shows");
    Questions {
        sub: rule(r#"data($id) <- sub("user", $id)"#),
        tenant: rule("data($id) <- tenant($id)"),
        sid: rule("data($id) <- sid($id)"),
        key: rule("data($id) <- key($id)"),
        delegation: rule("data($id) <- delegation($id)"),
        client: rule("data($id) <- client($id)"),
        role: rule("data($role) <- role($role)"),
        scope: rule("data($scope) <- scope($scope)"),
        act: rule(r#"data($name) <- act("service", $name)"#),
        act_of_client: rule(r#"data($name) <- act("client", $name)"#),
        act_of_user: rule(r#"data($id) <- act("user", $id)"#),
        act_sid: rule("data($id) <- act_sid($id)"),
        iat: rule("data($time) <- iat($time)"),
        acr: rule("data($class) <- acr($class)"),
        auth_time: rule("data($time) <- auth_time($time)"),
    }
});

/// Reads the claims of a token whose signatures were verified; `None` when they are not as `mint` writes them.
pub(crate) fn claims(token: &Biscuit, key_id: u32) -> Option<Claims> {
    let mut reader = AuthorizerBuilder::new().set_limits(crate::decide::limits()).build(token).ok()?;
    let mut texts = |rule: &Rule| -> Option<Vec<String>> {
        let found: Vec<(String,)> = reader.query(rule.clone()).ok()?;
        Some(found.into_iter().map(|(text,)| text).collect())
    };
    let questions = &*QUESTIONS;
    let subject = only(texts(&questions.sub)?)??;
    let tenant = only(texts(&questions.tenant)?)?;
    let credentials = [
        only(texts(&questions.sid)?)?.map(Credential::Session),
        only(texts(&questions.key)?)?.map(Credential::Key),
        only(texts(&questions.delegation)?)?.map(Credential::Delegation),
    ];
    let credential = only(credentials.into_iter().flatten().collect())??;
    let client = only(texts(&questions.client)?)?.unwrap_or_default();
    let roles = texts(&questions.role)?;
    let role = ROLES.iter().rev().find(|(role, name)| *role != Role::Member && roles.iter().any(|held| held == name));
    let custom_roles = roles.iter().filter(|held| ROLES.iter().all(|(_, name)| name != held)).cloned().collect();
    let scopes = texts(&questions.scope)?.into();
    let by = (only(texts(&questions.act_of_user)?)?, only(texts(&questions.act_sid)?)?);
    let impersonator = impersonator(by, tenant.as_deref())?;
    let person = impersonator.iter().map(|person| format!("users/{}", person.user)).collect();
    let acting = only([texts(&questions.act)?, texts(&questions.act_of_client)?, person].concat())?;
    let mut term = |rule: &Rule| -> Option<Option<Term>> {
        let found: Vec<Fact> = reader.query(rule.clone()).ok()?;
        Some(only(found)?.and_then(|fact| fact.predicate.terms.into_iter().next()))
    };
    let Some(Term::Date(issued)) = term(&questions.iat)? else { return None };
    let acr = match term(&questions.acr)? {
        None => 0,
        Some(Term::Integer(class)) => u32::try_from(class).ok()?,
        Some(_) => return None,
    };
    let auth_time = match term(&questions.auth_time)? {
        None => None,
        Some(Term::Date(time)) => Some(i64::try_from(time).ok()?),
        Some(_) => return None,
    };
    let member = tenant.as_ref().map(|tenant| format!("{subject}/{tenant}")).unwrap_or_default();
    let (role, issued, key_id) = (role.map(|(role, _)| *role), i64::try_from(issued).ok()?, key_id.to_string());
    Some(Claims {
        subject,
        tenant,
        member,
        credential,
        client,
        role,
        custom_roles,
        scopes,
        acr,
        auth_time,
        acting,
        impersonator,
        issued,
        key_id,
    })
}

/// The person who acts: named with his session, in a tenant, or not at all.
fn impersonator(by: (Option<String>, Option<String>), tenant: Option<&str>) -> Option<Option<Impersonator>> {
    match by {
        (None, None) => Some(None),
        (Some(user), Some(session)) => {
            let member = format!("{user}/{}", tenant?);
            Some(Some(Impersonator { user, member, session }))
        }
        _ => None,
    }
}

/// At most one: `None` for several.
fn only<T>(mut found: Vec<T>) -> Option<Option<T>> {
    let last = found.pop();
    found.is_empty().then_some(last)
}
