//! What identity is made of, and its rules; no I/O and no clock of its own.
//!
//! Roles are ordered: owner ⊇ admin ⊇ editor ⊇ viewer. A membership may have none; such a member sees only what is shared.

mod account;
mod client;
mod factor;
mod lockout;
mod proof;
mod refresh;
mod revocation;

pub(crate) use account::{
    Delegation, DelegationName, DisplayName, Email, Membership, MembershipChange, MembershipName, MembershipState,
    NewDelegation, Organization, Purpose, Role, Session, SessionName, User,
};
pub(crate) use client::{Challenge, Client, State, redirect_with};
pub(crate) use factor::{FactorKind, FactorName, MfaFactor, RECOVERY_CODES, SecondFactor, TOTP_MAX, second_factors};
pub(crate) use lockout::{DeviceClass, Factor, LOCKOUT_FREE, LOCKOUT_STEPS, lockout_delay};
pub(crate) use proof::{Proof, acr};
pub(crate) use refresh::{Refresh, RefreshState, decide};
pub(crate) use revocation::{Revocation, RevocationKind};
