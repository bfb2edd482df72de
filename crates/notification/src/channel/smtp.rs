//! Mail by SMTP (RFC 5321). One connection per mail; the phase is tracked, because it decides what a failure means: until the
//! text is handed over nothing was sent, from then on only an answer says what became of it.
//!
//! lettre's own timeout covers the connecting alone (lettre/lettre#1027), so every step and the whole run under tokio's.
use std::{
    fs,
    future::Future,
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use api::CallContext;
use futures::future::BoxFuture;
use lettre::{
    Address, Message,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail as MailFrom, Rcpt},
        extension::{ClientId, Extension, MailParameter},
    },
};
use tokio::time::timeout;

use super::MailChannel;
use crate::{
    config::{Config, Security},
    model::{Class, Mail, Verdict},
};

/// Longest wait for the server's good-bye; the mail is accepted by then.
const QUIT: Duration = Duration::from_secs(1);

/// Sends mails through one server.
pub(crate) struct Smtp {
    host: String,
    port: u16,
    security: Security,
    tls: Option<TlsParameters>,
    username: String,
    password: chassis::Secret<String>,
    sender: Mailbox,
    hello: ClientId,
    step: Duration,
    total: Duration,
}

/// A mail in the form in which it goes on the wire.
struct Letter {
    from: Address,
    to: Address,
    text: Vec<u8>,
}

impl Smtp {
    /// The server of the settings.
    ///
    /// # Errors
    /// The sentence that the operator reads.
    pub(crate) fn new(config: &Config) -> Result<Self, String> {
        let sender: Mailbox =
            config.sender.parse().map_err(|_| "notification.sender must have the form `Name <address>`".to_owned())?;
        let tls = match config.smtp_security {
            Security::Tls | Security::Starttls => Some(parameters(config)?),
            Security::None => None,
        };
        let hello = ClientId::Domain(sender.email.domain().to_owned());
        Ok(Self {
            host: config.smtp_host.clone(),
            port: config.smtp_port,
            security: config.smtp_security,
            tls,
            username: config.smtp_username.clone(),
            password: config.smtp_password.clone(),
            sender,
            hello,
            step: config.smtp_step_timeout,
            total: config.smtp_timeout,
        })
    }

    fn letter(&self, mail: &Mail) -> Result<Letter, Verdict> {
        let never = |what: &str| Verdict::failed(Class::RejectedPermanent, what);
        let to: Address = mail.recipient.address.parse().map_err(|_| never("the recipient's address is malformed"))?;
        let name = Some(mail.recipient.display_name.clone()).filter(|name| !name.is_empty());
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        let message = Message::builder()
            .from(self.sender.clone())
            .to(Mailbox::new(name, to.clone()))
            .subject(mail.subject.clone())
            .message_id(Some(mail.message_id.clone()))
            .date(mail.date.into())
            .header(ContentType::TEXT_PLAIN)
            .raw_header(automatic)
            .body(mail.text.clone())
            .map_err(|_| never("the mail could not be written"))?;
        Ok(Letter { from: self.sender.email.clone(), to, text: message.formatted() })
    }

    /// Speaks with the server. `left` becomes true when the text is handed over.
    async fn talk(&self, letter: &Letter, left: &AtomicBool) -> Result<(), Verdict> {
        let mut connection = self.connect().await.map_err(for_now)?;
        let mut parameters = Vec::new();
        if !is_ascii(&letter.to) {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                let what = "the mail server does not take addresses beyond ASCII (no SMTPUTF8)";
                return Err(Verdict::failed(Class::RejectedPermanent, what));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        let from = MailFrom::new(Some(letter.from.clone()), parameters);
        self.step("MAIL", connection.command(from)).await?;
        self.step("RCPT", connection.command(Rcpt::new(letter.to.clone(), Vec::new()))).await?;
        self.step("DATA", connection.command(Data)).await?;
        left.store(true, Ordering::Release);
        match timeout(self.step, connection.message(&letter.text)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(verdict(&error, "the end of DATA", true)),
            Err(_) => return Err(silence(true)),
        }
        let _ = timeout(QUIT, connection.quit()).await;
        Ok(())
    }

    /// Connects, encrypts and signs in.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Verdict> {
        let direct = self.tls.clone().filter(|_| self.security == Security::Tls);
        let server = (self.host.as_str(), self.port);
        let opening = AsyncSmtpConnection::connect_tokio1(server, Some(self.step), &self.hello, direct, None);
        let mut connection = self.step("the connection", opening).await?;
        if let Some(tls) = self.tls.clone().filter(|_| self.security == Security::Starttls) {
            self.step("STARTTLS", connection.starttls(tls, &self.hello)).await?;
        }
        if !self.username.is_empty() {
            let credentials = Credentials::new(self.username.clone(), self.password.reveal());
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            self.step("AUTH", connection.auth(&mechanisms, &credentials)).await?;
        }
        Ok(connection)
    }

    /// One step before the text is handed over.
    async fn step<T>(&self, what: &str, step: impl Future<Output = Result<T, Error>>) -> Result<T, Verdict> {
        match timeout(self.step, step).await {
            Ok(result) => result.map_err(|error| verdict(&error, what, false)),
            Err(_) => Err(silence(false)),
        }
    }
}

impl MailChannel for Smtp {
    fn send<'a>(&'a self, mail: &'a Mail, _: &'a CallContext) -> BoxFuture<'a, Verdict> {
        Box::pin(async move {
            let letter = match self.letter(mail) {
                Ok(letter) => letter,
                Err(verdict) => return verdict,
            };
            let left = AtomicBool::new(false);
            match timeout(self.total, self.talk(&letter, &left)).await {
                Ok(Ok(())) => Verdict::accepted(),
                Ok(Err(verdict)) => verdict,
                Err(_) => silence(left.load(Ordering::Acquire)),
            }
        })
    }

    fn captures(&self) -> bool {
        false
    }
}

/// Whether an address can be written without SMTPUTF8.
fn is_ascii(address: &Address) -> bool {
    address.user().is_ascii() && address.domain().is_ascii()
}

fn parameters(config: &Config) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(config.smtp_host.clone());
    let path = &config.smtp_ca_path;
    if !path.as_os_str().is_empty() {
        let pem = fs::read(path).map_err(|error| format!("notification.smtp_ca_path {}: {error}", path.display()))?;
        let certificate = Certificate::from_pem(&pem)
            .map_err(|_| format!("notification.smtp_ca_path {} holds no certificate in PEM", path.display()))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder
        .build()
        .map_err(|_| "notification.smtp_host is no name that a certificate can be checked against".to_owned())
}

/// What a failure means in the phase in which it came.
fn verdict(error: &Error, what: &str, left: bool) -> Verdict {
    tracing::debug!(error = %error, step = what, "SMTP");
    let code = error.status().map(|code| code.to_string()).unwrap_or_default();
    let refused = |class| Verdict::failed(class, format!("the mail server answered {code} to {what}"));
    if error.is_permanent() {
        return refused(Class::RejectedPermanent);
    }
    if error.is_transient() {
        return refused(Class::RejectedTemporary);
    }
    if left && !is_unwritten(error) {
        return Verdict::failed(Class::Uncertain, "the connection broke after the mail was sent and before the answer");
    }
    Verdict::failed(Class::NotSent, format!("{what} failed before the mail was sent"))
}

/// A connection on which the final dot could not be written: the server cannot have the whole mail.
fn is_unwritten(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            return matches!(cause.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::WriteZero);
        }
        source = cause.source();
    }
    false
}

fn silence(left: bool) -> Verdict {
    if left {
        Verdict::failed(Class::Uncertain, "the mail server did not answer after the mail was sent")
    } else {
        Verdict::failed(Class::NotSent, "the mail server did not answer in time")
    }
}

/// A refusal before a recipient was named is about us and not about the mail: it may pass when an operator has mended it.
fn for_now(verdict: Verdict) -> Verdict {
    match verdict.class {
        Class::RejectedPermanent => Verdict { class: Class::RejectedTemporary, ..verdict },
        _ => verdict,
    }
}
