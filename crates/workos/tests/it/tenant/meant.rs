//! What the trial hears and sees that is as it should be, each with the reason.

/// Methods that even A's own things do not bring to a success, or that are not asked for it, and why.
pub(super) const LEAST_FAILS: [(&str, &str); 24] = [
    ("DeleteOrganization", "the trial is over without A"),
    ("SuspendOrganization", "the trial is over without A"),
    ("UndeleteOrganization", "A is not deleted, and the trial is over without it"),
    ("LeaveOrganization", "the caller is A's owner"),
    ("DeleteUser", "everybody ends his own account, and the caller is A's owner"),
    ("DisableUser", "who is disabled can be named no more"),
    ("ChangePassword", "the trial signs in again by the password"),
    ("ChangeEmail", "a mail goes out for each address, and their limit would decide"),
    ("ResetPassword", "the token is in a mail that nobody asked for"),
    ("CompleteBootstrap", "the platform has its owner"),
    ("CreateMembership", "whom A can name is a member already"),
    ("UndeleteDocument", "nothing lies in the trash"),
    ("ConfirmMfaFactor", CODE),
    ("RegenerateRecoveryCodes", CODE),
    ("AcceptInvitation", CODE),
    ("LookupInvitation", CODE),
    ("LookupVerification", CODE),
    ("VerifyEmail", CODE),
    ("FinishSocialLogin", CODE),
    ("FinishPasskeyRegistration", CODE),
    ("OpenLink", "it takes the secret, which only the answer that made the link shows"),
    ("GetPasskey", "the caller has none: it would be asked for whenever the trial signs in"),
    ("UpdatePasskey", "the caller has none: it would be asked for whenever the trial signs in"),
    ("DeletePasskey", "the caller has none: it would be asked for whenever the trial signs in"),
];

const CODE: &str = "it takes a code that a mail, a page or a device holds";

/// Differences between B's thing and none that are meant, by method and field.
pub(super) const TOLD_APART: [(&str, &str, &str); 6] = [
    ("ListAuditEvents", "resource", OWN_TRIES),
    ("ExportAuditEvents", "resource", OWN_TRIES),
    ("ExportAuditEventsCsv", "resource", OWN_TRIES),
    ("CreateUser", "user.email", "an address signs in once: who makes people hears that it does already (EMAIL_TAKEN)"),
    ("CreateUser", "user_id", ONE_SPACE),
    ("CreateOrganization", "organization_id", ONE_SPACE),
];
const ONE_SPACE: &str =
    "ids of people, and of organizations, are one space: who knows an id, which nobody guesses, hears that it is taken";
const OWN_TRIES: &str = "what A was refused stands in A's own log, with the names that A has tried";

/// Tables in which a method may change rows of B, and why.
pub(super) const MAY_CHANGE: [(&str, &str, &str); 4] = [
    ("SignUp", "auth.mail_deliveries", MAIL),
    ("RequestEmailVerification", "auth.mail_deliveries", MAIL),
    ("RequestPasswordReset", "auth.mail_deliveries", MAIL),
    ("RequestEmailCode", "auth.mail_deliveries", MAIL),
];
const MAIL: &str = "anybody may have a mail sent to any address; only its reader can do anything with it";
