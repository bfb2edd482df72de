//! Questions about who may do what: one, many, and why.
//!
//! Everybody may ask about himself; about others only who may read relations, since the answers tell them. All answers of one request
//! are from one state of roles, groups and relations, and the token they come with names it.
use std::time::Duration;

use api::{Caller, OrganizationId, UserId};
use db::Tx;
use tokio::time::Instant;

use super::Auth;
use crate::{
    error::{Authorization, Error},
    model::{AtLeast, CustomRole, Question, Standing, Subject, catalog},
    store,
};

/// How long an answer waits for what it must know of.
const PATIENCE: Duration = Duration::from_millis(500);
/// Wait between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Why somebody may, or what he lacks.
pub(crate) struct Explanation {
    /// How he stands.
    pub(crate) standing: Standing,
    /// Custom roles that allow it.
    pub(crate) custom_roles: Vec<CustomRole>,
    /// From the resource up to the one that has the relation.
    pub(crate) way: Vec<String>,
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
        let (_, standings, token) = self.standings(caller, organization, questions, at_least).await?;
        let answers = questions.iter().zip(&standings);
        Ok((answers.map(|(question, standing)| standing.allows(question.wanted, organization)).collect(), token))
    }

    /// Says why, or why not.
    pub(crate) async fn explain(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        question: &Question,
        at_least: &AtLeast,
    ) -> Result<Explanation, Error> {
        let (tx, standings, token) =
            self.standings(caller, organization, std::slice::from_ref(question), at_least).await?;
        let standing = standings.into_iter().next().unwrap_or_default();
        let custom_roles = self.allowing_roles(&tx, organization, question, &standing).await?;
        let (mut way, mut groups) = (Vec::new(), Vec::new());
        if let Some(held) = standing.held.as_ref().filter(|_| standing.by_relation(question.wanted)) {
            way = store::standing::way_up(&tx, organization, &question.object.path, &held.path).await?;
            if let Subject::Group(group) = held.subject {
                groups = store::standing::way_down(&tx, organization, group, question.user).await?;
            }
        }
        Ok(Explanation { standing, custom_roles, way, groups, token })
    }

    async fn allowing_roles(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        question: &Question,
        standing: &Standing,
    ) -> Result<Vec<CustomRole>, Error> {
        let crate::model::Wanted::Contract(permission) = question.wanted else { return Ok(Vec::new()) };
        if !standing.permissions.iter().any(|held| held == permission.text) {
            return Ok(Vec::new());
        }
        let member = store::membership::active(tx, question.user, organization).await?;
        let roles = member.map(|member| member.custom_roles).unwrap_or_default();
        let mut found = store::custom_role::many(tx, organization, &roles).await?;
        found.retain(|role| role.permissions.iter().any(|held| held == permission.text));
        Ok(found)
    }

    async fn standings(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        questions: &[Question],
        at_least: &AtLeast,
    ) -> Result<(Tx, Vec<Standing>, String), Error> {
        let users: Vec<UserId> = questions.iter().map(|question| question.user).collect();
        let tx = self.asked_by(caller, organization, &users).await?;
        let tx = self.at_least(caller, tx, at_least).await?;
        let items: Vec<_> = questions.iter().map(|question| (question.user, question.object.path.as_str())).collect();
        let (standings, revision) = store::standing::of(&tx, organization, &items, self.clock.now()).await?;
        Ok((tx, standings, AtLeast::token(organization, revision)))
    }

    /// A transaction for questions about these users. About others than himself asks only who may read relations.
    pub(super) async fn asked_by(
        &self,
        caller: &Caller,
        organization: OrganizationId,
        users: &[UserId],
    ) -> Result<Tx, Error> {
        Self::own(caller, organization)?;
        let tx = self.db.tenant(caller).await?;
        if users.iter().all(|user| caller.user() == Some(*user)) {
            return Ok(tx);
        }
        let reads = catalog().get("relation:read").ok_or_else(|| Error::fault("the contract has no relation:read"))?;
        if self.rights(caller, &tx).await?.hold(reads) { Ok(tx) } else { Err(api::Error::denied().into()) }
    }

    /// Waits until this must be known here, for half a second at most. Every look is a transaction of its own statement's state.
    pub(super) async fn at_least(&self, caller: &Caller, tx: Tx, at_least: &AtLeast) -> Result<Tx, Error> {
        if *at_least == AtLeast::default() {
            return Ok(tx);
        }
        let end = Instant::now() + PATIENCE;
        let mut tx = tx;
        loop {
            let (revision, positions) =
                store::standing::reached(&tx, caller.organization()?, &at_least.positions).await?;
            if revision >= at_least.revision && positions == at_least.positions.len() {
                return Ok(tx);
            }
            // The connection goes back: who waits holds up nobody.
            drop(tx);
            if Instant::now() >= end {
                return Err(Authorization::ConsistencyAwaited.into());
            }
            tokio::time::sleep(LOOK).await;
            tx = self.db.tenant(caller).await?;
        }
    }
}
