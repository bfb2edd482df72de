//! Mails of the auth service: what each says. The secret in them is taken when the mail is written, and kept nowhere here.
use time::OffsetDateTime;

use super::{Job, Mail, Recipient, limit, notice::line};

/// What a mail of the auth service is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matter {
    /// Finish a sign-up.
    SignUp,
    /// Prove an address.
    VerifyEmail,
    /// Prove a new address.
    ChangeEmail,
    /// Choose a new password.
    ResetPassword,
    /// Sign in.
    SignIn,
    /// Join an organization.
    Invitation,
    /// Somebody wanted to sign up with this address.
    NoticeSignUp,
    /// The password was changed.
    NoticePasswordChanged,
    /// The address was changed.
    NoticeEmailChanged,
    /// A token was used twice.
    NoticeTokenReused,
    /// Factors were changed.
    NoticeFactorsChanged,
    /// An administrator acts as the recipient.
    NoticeImpersonated,
}

/// Everything that such a mail says.
#[derive(Clone)]
pub(crate) struct AccountMail {
    /// What it is about.
    pub(crate) matter: Matter,
    /// Who gets it.
    pub(crate) recipient: Recipient,
    /// Link with the secret.
    pub(crate) link: String,
    /// Code that may be typed instead.
    pub(crate) code: String,
    /// Organization that invites, or in which somebody acts as the recipient.
    pub(crate) organization: String,
    /// Who invites.
    pub(crate) inviter: String,
    /// Who acts as the recipient.
    pub(crate) impersonator: Recipient,
    /// Why.
    pub(crate) reason: String,
}

impl AccountMail {
    fn subject(&self) -> String {
        match self.matter {
            Matter::SignUp => "Finish your sign-up".to_owned(),
            Matter::VerifyEmail => "Confirm your e-mail address".to_owned(),
            Matter::ChangeEmail => "Confirm your new e-mail address".to_owned(),
            Matter::ResetPassword => "Choose a new password".to_owned(),
            Matter::SignIn => "Sign in".to_owned(),
            Matter::Invitation => format!("You are invited to {}", named(&self.organization, "an organization")),
            Matter::NoticeSignUp => "You have an account already".to_owned(),
            Matter::NoticePasswordChanged => "Your password was changed".to_owned(),
            Matter::NoticeEmailChanged => "Your e-mail address was changed".to_owned(),
            Matter::NoticeTokenReused => "You were signed out on a device".to_owned(),
            Matter::NoticeFactorsChanged => "Your sign-in methods were changed".to_owned(),
            Matter::NoticeImpersonated => "An administrator has signed in as you".to_owned(),
        }
    }

    fn body(&self) -> String {
        const IGNORE: &str = "If this was not you, ignore this mail: nothing happens without the link.";
        const ALARM: &str =
            "If this was not you, choose a new password at once (\"forgotten password\") and tell your administrator.";
        let (link, code) = (&self.link, &self.code);
        let asks = |what: &str| format!("{what}\n\n{link}\n\nThe link is good for ten minutes and once. {IGNORE}");
        match self.matter {
            Matter::SignUp => asks("follow this link to finish your sign-up:"),
            Matter::VerifyEmail => asks("follow this link to confirm that this address is yours:"),
            Matter::ChangeEmail => asks("follow this link to make this the address of your account:"),
            Matter::ResetPassword => asks("follow this link to choose a new password:"),
            Matter::SignIn => {
                let follow = if link.is_empty() {
                    String::new()
                } else {
                    format!("follow this link in the browser in which you sign in:\n\n{link}\n\nOr ")
                };
                format!(
                    "{follow}type this code where you sign in: {code}\n\nThis is good for ten minutes, once, and nowhere else. If this \
                     was not you, ignore this mail, and tell the code to nobody."
                )
            }
            Matter::Invitation => {
                let (inviter, to) = (named(&self.inviter, "somebody"), named(&self.organization, "an organization"));
                format!("{inviter} invites you to {to}. Follow this link to join:\n\n{link}\n\nIt is good for seven days and once.")
            }
            Matter::NoticeSignUp => {
                "somebody, perhaps you, wanted to sign up with this address. It has an account: sign in with it, or choose a \
                 new password if you have forgotten yours. Nothing was changed."
                    .to_owned()
            }
            Matter::NoticePasswordChanged => {
                format!("the password of your account was changed, and all other sessions have ended. {ALARM}")
            }
            Matter::NoticeEmailChanged => format!("your account has another e-mail address from now on. {ALARM}"),
            Matter::NoticeTokenReused => format!(
                "a session of yours was ended, because what keeps a device signed in was used from two places. {ALARM}"
            ),
            Matter::NoticeFactorsChanged => format!("what you sign in with was changed. {ALARM}"),
            Matter::NoticeImpersonated => self.impersonated(),
        }
    }

    fn impersonated(&self) -> String {
        let (name, address) =
            (named(&self.impersonator.display_name, "somebody"), line(&self.impersonator.address, limit::TITLE));
        let (place, reason) = (named(&self.organization, "an organization"), line(&self.reason, limit::REASON));
        format!(
            "{name} ({address}), an administrator of {place}, has signed in as you there, for fifteen minutes at most, and gives this \
             reason:\n\n{reason}\n\nHe can do there what you can, but change neither your account nor what anybody may do. The audit log tells \
             what he does apart from what you do. It stands among your sessions, and you can end it there. If you expect nothing of the kind, ask \
             him, or another administrator."
        )
    }
}

/// Writes the mail.
pub(crate) fn compose_account(job: &Job, account: AccountMail, sender: &str, date: OffsetDateTime) -> Mail {
    let name = line(&account.recipient.display_name, limit::TITLE);
    let greeting = if name.is_empty() { "Hello,".to_owned() } else { format!("Hello {name},") };
    let (subject, text) = (account.subject(), format!("{greeting}\n\n{}\n", account.body()));
    Mail {
        organization: job.name.organization,
        message_id: job.message_id.clone(),
        sender: sender.to_owned(),
        recipient: Recipient { display_name: name, ..account.recipient },
        subject,
        text,
        date,
    }
}

/// A name that others wrote, as part of a line.
fn named(name: &str, otherwise: &str) -> String {
    let name = line(name, limit::TITLE);
    if name.is_empty() { otherwise.to_owned() } else { name }
}
