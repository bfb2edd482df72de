//! Forms of a sign-in, and of what leads to one: a code by mail, a forgotten password, a new account.
//!
//! A step is rendered from what the contract says of it, so that a further kind of step needs a form here and nothing else.
use http::{Response, StatusCode};
use proto::auth::v1::{
    ClientShown,
    login_step::{OrganizationStep, PasswordStep, SecondFactorStep, Step, second_factor_step::Method},
};
use tonic::body::Body;

use super::{Hidden, SCRIPT, away, escaped, message, noted, page};
use crate::identity::Endpoint;

/// Field of the password of a sign-up that is to be finished, or of an account that gets another address.
pub(crate) const OWN_PASSWORD: &str = "<label for=\"password\">The password that you chose</label>\
     <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required maxlength=\"1024\">";
/// Field of a new password; the length is what auth demands of people with one factor.
pub(crate) const NEW_PASSWORD: &str = "<label for=\"password\">New password, at least 15 characters</label>\
     <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"new-password\" required minlength=\"15\" maxlength=\"1024\">";
/// Field of a person's name.
pub(crate) const NAME: &str = "<label for=\"display_name\">Your name</label>\
     <input id=\"display_name\" name=\"display_name\" type=\"text\" autocomplete=\"name\" required maxlength=\"255\">";

/// A step of a sign-in. `client` is the application that sent the person here.
pub(crate) fn step(
    step: &Step,
    hidden: &Hidden,
    client: Option<&ClientShown>,
    hint: &str,
    note: Option<&str>,
) -> Response<Body> {
    let (title, fields) = match step {
        Step::Password(asked) => ("Sign in", password(asked, hint)),
        Step::SecondFactor(asked) => ("Confirm that it is you", second_factor(asked)),
        Step::ChooseOrganization(asked) => ("Choose an organization", organizations(asked)),
        Step::Social(asked) => return away("On to your provider", &asked.authorization_uri),
        Step::Done(_) => {
            return message(StatusCode::BAD_REQUEST, "The sign-in is complete", "Go back to the application.");
        }
    };
    let to = client.filter(|client| !client.display_name.is_empty());
    let to = to.map_or_else(String::new, |client| {
        format!("<p class=\"quiet\">to go on to {}</p>", escaped(&client.display_name))
    });
    form((title, Endpoint::SignIn), &to, note, hidden, &fields)
}

/// A form with one title. With a note the page says that something did not work.
fn form(
    (title, to): (&str, Endpoint),
    intro: &str,
    note: Option<&str>,
    hidden: &Hidden,
    fields: &str,
) -> Response<Body> {
    let (alert, fields) = noted(note, fields.to_owned());
    let body = format!(
        "<h1>{title}</h1>{intro}{alert}<form method=\"post\" action=\"{}\">{}{fields}</form>",
        to.path(),
        hidden.fields()
    );
    let status = if note.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    page(status, title, &body, &hidden.origin)
}

fn email(value: &str) -> String {
    format!(
        "<label for=\"email\">E-mail address</label>\
         <input id=\"email\" name=\"email\" type=\"email\" autocomplete=\"username\" required maxlength=\"254\" value=\"{}\">",
        escaped(value)
    )
}

/// In a step-up the address is given, and only ways of that user are offered.
fn password(asked: &PasswordStep, hint: &str) -> String {
    let address = if asked.email.is_empty() { hint } else { &asked.email };
    let providers = asked.providers.iter().map(|provider| {
        format!(
            "<button class=\"second\" name=\"provider\" value=\"{}\" formnovalidate>Sign in with {}</button>",
            escaped(&provider.provider),
            escaped(&provider.display_name)
        )
    });
    let providers: String = providers.collect();
    let sign_up = format!(" <a href=\"{}\">Create an account</a>", Endpoint::SignUp.path());
    let sign_up = if asked.sign_up { sign_up.as_str() } else { "" };
    format!(
        "{}<label for=\"password\">Password</label>\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required maxlength=\"1024\">\
         <button>Sign in</button>{}{providers}\
         <button class=\"second\" name=\"send_code\" value=\"yes\" formnovalidate>Sign in by a mail to my address</button>\
         <p class=\"quiet\"><a href=\"{}\">Forgot your password?</a>{sign_up}</p>",
        email(address),
        passkey(&asked.passkey_options),
        Endpoint::Forgotten.path(),
    )
}

/// Each way to answer is a form field of its own; the one that is filled in counts. What the step offered goes with the form, so that a
/// wrong code can be followed by another way.
fn second_factor(asked: &SecondFactorStep) -> String {
    let (mut fields, mut offered) = (String::new(), Vec::new());
    for method in asked.methods() {
        offered.push(method.as_str_name());
        fields += &match method {
            Method::Totp => "<label for=\"totp\">Code of your authenticator app</label>\
                 <input id=\"totp\" name=\"totp\" type=\"text\" inputmode=\"numeric\" autocomplete=\"one-time-code\" maxlength=\"16\">"
                .to_owned(),
            Method::RecoveryCode => "<label for=\"recovery_code\">Or one of your recovery codes</label>\
                 <input id=\"recovery_code\" name=\"recovery_code\" type=\"text\" autocomplete=\"off\" maxlength=\"64\">"
                .to_owned(),
            Method::Passkey => format!(
                "{}<input type=\"hidden\" name=\"passkey_options\" value=\"{}\">",
                passkey(&asked.passkey_options),
                escaped(&asked.passkey_options)
            ),
            Method::Unspecified => String::new(),
        };
    }
    let offered = offered.join(" ");
    format!("{fields}<input type=\"hidden\" name=\"methods\" value=\"{offered}\"><button>Go on</button>")
}

/// What was offered, as the form brought it back. Only the page depends on it.
pub(crate) fn offered(methods: &str, passkey_options: String) -> SecondFactorStep {
    let methods = methods.split(' ').filter_map(Method::from_str_name).map(i32::from).collect();
    SecondFactorStep { methods, passkey_options }
}

/// The button that asks for a passkey: the script shows it where the browser has passkeys, and fills in the field.
fn passkey(options: &str) -> String {
    if options.is_empty() {
        return String::new();
    }
    format!(
        "<button type=\"button\" class=\"second\" id=\"use_passkey\" data-options=\"{}\" hidden>Use a passkey</button>\
         <p id=\"passkey_problem\" role=\"alert\" hidden>There was no passkey. Try again, or go on in another way.</p>\
         <input type=\"hidden\" name=\"passkey\">{SCRIPT}",
        escaped(options)
    )
}

fn organizations(asked: &OrganizationStep) -> String {
    let choices = asked.choices.iter().enumerate().map(|(index, choice)| {
        let checked = if index == 0 { " checked" } else { "" };
        format!(
            "<label><input type=\"radio\" name=\"organization\" value=\"{}\"{checked}>{}</label>",
            escaped(&choice.organization),
            escaped(&choice.display_name)
        )
    });
    let choices: String = choices.collect();
    format!("<fieldset><legend>Sign in to</legend>{choices}</fieldset><button>Go on</button>")
}

/// Asks for the code of the mail that was sent; its link does without this page.
pub(crate) fn email_code(hidden: &Hidden, address: &str) -> Response<Body> {
    let intro = format!(
        "<p>If there is an account with {}, a mail is on its way to it. Follow its link in this browser, or type its code here. Both \
         are good for ten minutes.</p>",
        escaped(address)
    );
    let fields = format!(
        "<input type=\"hidden\" name=\"email\" value=\"{}\"><label for=\"email_code\">Code out of the mail</label>\
         <input id=\"email_code\" name=\"email_code\" type=\"text\" inputmode=\"numeric\" autocomplete=\"one-time-code\" required maxlength=\"16\">\
         <button>Sign in</button>",
        escaped(address)
    );
    form(("Look into your mail", Endpoint::SignIn), &intro, None, hidden, &fields)
}

/// Who has used a recovery code hears that few are left, before he goes on.
pub(crate) fn few_codes(left: i32, hidden: Hidden) -> Response<Body> {
    let left = match left {
        0 => "That was the last one".to_owned(),
        1 => "One is left".to_owned(),
        left => format!("{left} are left"),
    };
    let intro = format!(
        "<p>You are signed in, with a recovery code.</p><p role=\"alert\">{left}. Make new ones soon: who has neither his app or passkey nor a \
         code cannot sign in.</p>"
    );
    let fields = "<input type=\"hidden\" name=\"signed_in\" value=\"yes\"><button>Go on</button>";
    form(
        ("Your recovery codes run out", Endpoint::SignIn),
        &intro,
        None,
        &Hidden { flow: String::new(), ..hidden },
        fields,
    )
}

/// Asks where to send a link for a new password.
pub(crate) fn forgotten(note: Option<&str>, address: &str) -> Response<Body> {
    let fields = email(address) + "<button>Send me a link</button>";
    let intro = "<p>The link lets you choose a new password.</p>";
    form(("Forgot your password?", Endpoint::Forgotten), intro, note, &Hidden::default(), &fields)
}

/// Asks for what makes an account.
pub(crate) fn sign_up(note: Option<&str>, (name, address): (&str, &str)) -> Response<Body> {
    let name = NAME.replacen("name=", &format!("value=\"{}\" name=", escaped(name)), 1);
    let fields = format!("{name}{}{NEW_PASSWORD}<button>Create the account</button>", email(address));
    form(("Create an account", Endpoint::SignUp), "", note, &Hidden::default(), &fields)
}
