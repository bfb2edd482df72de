//! Questions about who may do what: one, many, and why.
//!
//! Everybody may ask about himself; about others only who may read relations, since the answers tell them. All answers of one request
//! are from one state of roles, groups and relations, read by one statement, and the token they come with names it.
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use api::{Caller, OrganizationId, UserId};
use db::Tx;
use tokio::time::Instant;

use super::Auth;
use crate::{
    error::{Authorization, Error},
    model::{AtLeast, CustomRoleName, Facts, Permission, Question, Standing, Subject, Wanted, catalog},
    store,
};

/// How long an answer waits for what it must know of.
const PATIENCE: Duration = Duration::from_millis(500);
/// Wait between the first two looks; doubles from look to look.
const LOOK: Duration = Duration::from_millis(10);

/// Why somebody may, or what he lacks.
pub(crate) struct Explanation {
    /// How he stands.
    pub(crate) standing: Standing,
    /// Custom roles that allow it.
    pub(crate) custom_roles: Vec<CustomRoleName>,
    /// From the group that has the relation down to the one he is in.
    pub(crate) groups: Vec<api::Id>,
    /// State that this is from.
    pub(crate) token: String,
}

impl Auth {
    /// Answers questions from one state; gives the token of that state.
    pub(crate) async fn check(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        questions: &[Question],
        at_least: &AtLeast,
    ) -> Result<(Vec<bool>, String), Error> {
        let facts = self.facts(caller, organization, questions, at_least).await?;
        let mut subjects = HashMap::new();
        let answer = |question: &Question| {
            let everybody = Subject::Members(organization);
            let subjects = subjects.entry(question.user).or_insert_with(|| facts.subjects(question.user, everybody));
            facts.standing(question.user, &question.object.path, subjects).allows(question.wanted, organization)
        };
        Ok((questions.iter().map(answer).collect(), AtLeast::token(organization, facts.revision)))
    }

    /// Says why, or why not.
    pub(crate) async fn explain(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        question: &Question,
        at_least: &AtLeast,
    ) -> Result<Explanation, Error> {
        let facts = self.facts(caller, organization, std::slice::from_ref(question), at_least).await?;
        let subjects = facts.subjects(question.user, Subject::Members(organization));
        let standing = facts.standing(question.user, &question.object.path, &subjects);
        let roles = match question.wanted {
            Wanted::Contract(permission) => facts.roles_allowing(question.user, permission),
            Wanted::Own(..) => Vec::new(),
        };
        let custom_roles = roles.into_iter().map(|role| CustomRoleName { organization, role }).collect();
        let groups = match standing.held.as_ref().map(|held| held.subject) {
            Some(Subject::Group(group)) if standing.by_relation(question.wanted) => {
                facts.groups_between(group, question.user)
            }
            _ => Vec::new(),
        };
        Ok(Explanation { standing, custom_roles, groups, token: AtLeast::token(organization, facts.revision) })
    }

    async fn facts(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        questions: &[Question],
        at_least: &AtLeast,
    ) -> Result<Facts, Error> {
        let users: Vec<UserId> = questions.iter().map(|question| question.user).collect();
        let paths: Vec<&str> = questions.iter().map(|question| question.object.path.as_str()).collect();
        self.asked(caller, organization, (&users, &paths), at_least).await?.1.bounded()
    }

    /// What is known of these users and resources, in a transaction for more. About others than himself asks only who may read relations; how
    /// he stands is read by the same statement, and nothing of the answer is looked at before he may.
    pub(super) async fn asked(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        (users, paths): (&[UserId], &[&str]),
        at_least: &AtLeast,
    ) -> Result<(Tx, Facts), Error> {
        Self::own(caller, organization)?;
        let tx = self.db.tenant(caller).await?;
        let tx = self.at_least(caller, tx, at_least).await?;
        let about_himself = users.iter().all(|user| caller.user() == Some(*user));
        let known: Vec<UserId> = users.iter().copied().chain(caller.user()).collect();
        let facts = store::standing::facts(&tx, organization, &known, paths, self.clock.now()).await?;
        let reads = reading()?;
        let standing = caller.user().map(|user| facts.standing(user, "", &HashSet::new()));
        let may = about_himself
            || match standing.filter(|standing| standing.member) {
                Some(standing) => {
                    standing.by_role(Wanted::Contract(reads), organization) && caller.in_scope(reads.text)
                }
                None => self.rights(caller, &tx).await?.hold(reads),
            };
        if may { Ok((tx, facts)) } else { Err(api::Error::denied().into()) }
    }

    /// How one user stands to resources.
    pub(super) async fn standing_on(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        user: UserId,
        path: &str,
    ) -> Result<Standing, Error> {
        let facts = store::standing::facts(tx, organization, &[user], &[path], self.clock.now()).await?.bounded()?;
        Ok(facts.standing(user, path, &facts.subjects(user, Subject::Members(organization))))
    }

    /// The caller may read all relations of his organization.
    pub(super) async fn reads_relations(&self, caller: &Caller, tx: &Tx) -> Result<bool, Error> {
        Ok(self.rights(caller, tx).await?.hold(reading()?))
    }

    /// Waits until this must be known here, for half a second at most. What services tell may still be on its way; a change of relations
    /// that is not in this database was never made. Every look is a transaction of its own statement's state.
    pub(super) async fn at_least(&self, caller: &Caller, tx: Tx, at_least: &AtLeast) -> Result<Tx, Error> {
        if *at_least == AtLeast::default() {
            return Ok(tx);
        }
        let end = Instant::now() + PATIENCE;
        let (mut tx, mut wait) = (tx, LOOK);
        loop {
            let (revision, positions) =
                store::standing::reached(&tx, caller.organization()?, &at_least.positions).await?;
            if revision < at_least.revision {
                return Err(Authorization::ConsistencyTokenInvalid.into());
            }
            if positions == at_least.positions.len() {
                return Ok(tx);
            }
            // The connection goes back: who waits holds up nobody.
            drop(tx);
            if Instant::now() >= end {
                return Err(Authorization::ConsistencyAwaited.into());
            }
            tokio::time::sleep(wait.min(end - Instant::now())).await;
            wait *= 2;
            tx = self.db.tenant(caller).await?;
        }
    }
}

/// What it takes to ask about others.
fn reading() -> Result<&'static Permission, Error> {
    catalog().get("relation:read").ok_or_else(|| Error::fault("the contract has no relation:read"))
}
