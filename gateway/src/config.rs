//! Settings of the edge, section `[gateway]`.
use std::{net::SocketAddr, path::PathBuf, time::Duration};

use chassis::Size;
use serde::{Deserialize, Serialize};

/// Most further contracts.
const SOURCES: usize = 64;

/// Settings of the edge.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Address of the public port: REST, gRPC, uploads and the API page, HTTP/1.1 and HTTP/2 without TLS.
    pub(crate) listen: SocketAddr,
    /// Longest body of one message, longest message of a stream, and longest answer message. A unary request is bounded by
    /// `mesh.message_bytes_max` too; messages of streams of native gRPC and gRPC-Web pass unread.
    pub(crate) body_max: Size,
    /// Memory for bodies and messages of requests that are read whole, of all requests together, at least twice `body_max`. One
    /// network address has at most half of it; what is up to 64 KiB is not counted. Who finds it used up waits for 2 s at
    /// most, then the answer is 503.
    pub(crate) bodies_max: Size,
    /// Longest upload that is announced to tus clients; the file service's own limit holds in any case.
    pub(crate) upload_max: Size,
    /// Time of a unary call when the caller names none, the reading of its body included. A stream has none but the reading of
    /// its one request, where it has one.
    #[serde(with = "chassis::duration")]
    pub(crate) deadline: Duration,
    /// The most that a caller may ask for.
    #[serde(with = "chassis::duration")]
    pub(crate) deadline_max: Duration,
    /// Longest wait for the next piece of a request body.
    #[serde(with = "chassis::duration")]
    pub(crate) body_idle: Duration,
    /// The same for uploads and for bodies that are streams of bytes.
    #[serde(with = "chassis::duration")]
    pub(crate) upload_idle: Duration,
    /// Time to send the request's head.
    #[serde(with = "chassis::duration")]
    pub(crate) head_timeout: Duration,
    /// Longest silence of a streaming upstream, and longest time that a client takes nothing of what is written to him.
    #[serde(with = "chassis::duration")]
    pub(crate) stream_idle: Duration,
    /// How often an HTTP/2 connection and a WebSocket are asked whether somebody is there, 100 ms to 10 min; who does not answer within as long is
    /// gone, of a WebSocket who leaves two questions unanswered. A silent stream of events has a sign of life twice as often.
    #[serde(with = "chassis::duration")]
    pub(crate) keep_alive: Duration,
    /// Age at which a connection is told to end, give or take a tenth; a WebSocket over HTTP/1.1 is not.
    #[serde(with = "chassis::duration")]
    pub(crate) connection_age: Duration,
    /// Time that running requests have then; streams of messages are told UNAVAILABLE after it.
    #[serde(with = "chassis::duration")]
    pub(crate) connection_grace: Duration,
    /// Longest frame and longest message of a WebSocket.
    pub(crate) websocket_frame_max: Size,
    /// WebSockets open at the same time; one more is answered 503.
    pub(crate) websockets: usize,
    /// Those of one network address; one more is answered 429.
    pub(crate) websockets_address: usize,
    /// Serve Connect at the RPC paths, unary and streams, protobuf and JSON.
    pub(crate) connect: bool,
    /// Send answers in the coding that the caller prefers: zstd or gzip.
    pub(crate) compress: bool,
    /// Objects and arrays that a JSON body may have open at the same time, 1 to 100. Protobuf's own parsers read no more than 100.
    pub(crate) depth_max: usize,
    /// Ignore unknown JSON fields and query parameters instead of refusing them: for clients that are newer than the contract.
    pub(crate) ignore_unknown: bool,
    /// Connections open at the same time, WebSockets included; one more waits.
    pub(crate) connections: usize,
    /// Those of one network address (of IPv6 a /64); one more is closed. With `trusted_hops` the proxies' connections are not
    /// counted so.
    pub(crate) connections_address: usize,
    /// Requests at work at the same time, each until its answer begins; one more is answered 503.
    pub(crate) requests: usize,
    /// Those of one network address; one more is answered 429.
    pub(crate) requests_address: usize,
    /// Streams of messages on their way to callers at the same time, WebSockets apart; one more is answered 503.
    pub(crate) streams: usize,
    /// Those of one network address; one more is answered 429.
    pub(crate) streams_address: usize,
    /// Longest head of a request: all names and values of its headers.
    pub(crate) head_max: Size,
    /// Most headers of a request.
    pub(crate) headers_max: usize,
    /// Longest path with its query.
    pub(crate) target_max: Size,
    /// Requests at work of one HTTP/2 connection.
    pub(crate) http2_streams: u32,
    /// Requests that one HTTP/2 connection may reset before it is closed (rapid reset, CVE-2023-44487).
    pub(crate) http2_resets: usize,
    /// Proxies in front of the edge whose `X-Forwarded-For` is believed: how many of its last entries they wrote.
    pub(crate) trusted_hops: usize,
    /// Continue the trace of a caller's `traceparent`, and his decision to record it, instead of linking to it from a new one: for an edge
    /// behind proxies that set the header themselves.
    pub(crate) trusted_traces: bool,
    /// Origins of browsers that may call (`https://app.example`); exact, none by default.
    pub(crate) cors_origins: Vec<String>,
    /// Request headers that pages of those origins may set beside those that the edge knows, for example `["x-tenant"]`.
    pub(crate) cors_headers: Vec<String>,
    /// Answer headers that they may read beside those.
    pub(crate) cors_exposed: Vec<String>,
    /// Serve grpc.reflection.v1 and v1alpha.
    pub(crate) reflection: bool,
    /// Requests per second of one network address, before a credential is looked at.
    pub(crate) rate_address: u32,
    /// Reads per second of one caller, of one network address where nobody is signed in; twice as many at once.
    pub(crate) rate_read: u32,
    /// Writes, likewise.
    pub(crate) rate_write: u32,
    /// Expensive calls, likewise.
    pub(crate) rate_heavy: u32,
    /// Calls per minute of one network address that test a person's credential, and again as many that test an application's secret.
    pub(crate) rate_credential: u32,
    /// Sign-ins per second that begin at one network address on the pages or for an application; up to 20 times as many at once.
    pub(crate) rate_begin: u32,
    /// Page that signs people in, in place of the built-in ones: a path of this edge's own origin, as `consent_url`. It is opened with
    /// `?code_challenge=`, and with `request`, `return_to`, `login_hint`, `again` and `problem` where there is one. It signs in by
    /// `POST /v1/login:start` (`clientId` workos-browser, `redirectUri` workos:browser) and `:continue`, then posts a form to `/signin` with the last
    /// step's `code` and `device` and with `request` or `return_to`: that sets the cookie and leads on. A form with the step's `flow` and a
    /// `provider`, or with `email` and `send_code`, leaves for an identity provider, or has a mail sent whose link is good in this browser.
    /// Empty: the built-in pages.
    pub(crate) login_url: String,
    /// Page that asks people for consent in place of the built-in one: a path of this edge's own origin (`/app/consent`), for what decides is the
    /// browser's cookie. It is opened with `?request=`, reads `GET /v1/authorizationRequests/{request}`, decides by `:approve` or `:deny`, and
    /// leads the browser to the answer's `redirectUri`. Empty: the built-in page.
    pub(crate) consent_url: String,
    /// The public port under TLS, beside the plain one.
    pub(crate) tls: Tls,
    /// Where the served contract comes from.
    pub(crate) schema: Schema,
}

/// The public port under TLS: HTTP/2 and HTTP/1.1 by ALPN. It is open when `certificate` and `key` are set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Tls {
    /// Its address.
    pub(crate) listen: SocketAddr,
    /// File with the certificate chain in PEM form, the leaf first. It is read again when it changes.
    pub(crate) certificate: PathBuf,
    /// File with the private key in PEM form.
    pub(crate) key: PathBuf,
}

impl Default for Tls {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8443));
        Self { listen, certificate: PathBuf::new(), key: PathBuf::new() }
    }
}

impl Tls {
    /// The port is open.
    pub(crate) fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }

    fn check(&self) -> Result<(), String> {
        let key = !self.key.as_os_str().is_empty();
        if key == self.is_on() { Ok(()) } else { Err("tls: set both certificate and key, or none".to_owned()) }
    }
}

/// Where the served contract comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Schema {
    /// Serve the contract that this program was built with.
    pub(crate) compiled_in: bool,
    /// Further contracts, for example `[{ upstream = "library", file = "library.bin", access = "public" }]`. Without `file` the
    /// upstream is asked by server reflection. `access` is for methods that declare none: `public`, or `signed-in`. `rules` names
    /// a service config with HTTP rules, for contracts without annotations.
    pub(crate) sources: Vec<Source>,
    /// How often files are looked at.
    #[serde(with = "chassis::duration")]
    pub(crate) look: Duration,
    /// How often upstreams are asked, give or take a tenth.
    #[serde(with = "chassis::duration")]
    pub(crate) ask: Duration,
}

/// One further contract.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Source {
    /// Who serves it, as `[mesh.addresses]` names it.
    pub(crate) upstream: String,
    /// File with a `FileDescriptorSet`, imports included.
    pub(crate) file: Option<PathBuf>,
    /// Service config (`google.api.Service`, YAML or JSON) whose HTTP rules replace those of the methods they select.
    pub(crate) rules: Option<PathBuf>,
    /// Who may call methods that do not say it.
    pub(crate) access: Option<Access>,
}

/// Access of methods that declare none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Access {
    /// Anybody.
    Public,
    /// Who has a valid credential.
    SignedIn,
}

impl Default for Schema {
    fn default() -> Self {
        Self { compiled_in: true, sources: Vec::new(), look: Duration::from_secs(2), ask: Duration::from_secs(30) }
    }
}

impl Schema {
    fn check(&self) -> Result<(), String> {
        if !self.compiled_in && self.sources.is_empty() {
            return Err("schema: with compiled_in = false at least one source is needed".to_owned());
        }
        if self.look.is_zero() || self.ask.is_zero() {
            return Err("schema: look and ask must be more than zero".to_owned());
        }
        if self.sources.len() > SOURCES {
            return Err(format!("schema: at most {SOURCES} sources"));
        }
        let named = |source: &&Source| source.upstream.is_empty() || source.upstream.contains(['/', '.']);
        match self.sources.iter().find(named) {
            Some(_) => Err("schema.sources: each names its upstream, as [mesh.addresses] does".to_owned()),
            None => Ok(()),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            body_max: Size::from_mib(8),
            bodies_max: Size::from_mib(256),
            upload_max: Size::from_mib(16 * 1024),
            deadline: Duration::from_secs(15),
            deadline_max: Duration::from_secs(60),
            body_idle: Duration::from_secs(30),
            upload_idle: Duration::from_secs(60),
            head_timeout: Duration::from_secs(10),
            stream_idle: Duration::from_secs(300),
            keep_alive: Duration::from_secs(30),
            connection_age: Duration::from_secs(300),
            connection_grace: Duration::from_secs(30),
            websocket_frame_max: Size::from_mib(1),
            websockets: 4_096,
            websockets_address: 1_024,
            connect: true,
            compress: true,
            depth_max: 100,
            ignore_unknown: false,
            connections: 10_000,
            connections_address: 2_000,
            requests: 4_096,
            requests_address: 1_024,
            streams: 16_384,
            streams_address: 1_024,
            head_max: Size::from_kib(16),
            headers_max: 100,
            target_max: Size::from_kib(8),
            http2_streams: 100,
            http2_resets: 20,
            trusted_hops: 0,
            trusted_traces: false,
            cors_origins: Vec::new(),
            cors_headers: Vec::new(),
            cors_exposed: Vec::new(),
            reflection: true,
            rate_address: 5_000,
            rate_read: 2_000,
            rate_write: 1_000,
            rate_heavy: 200,
            rate_credential: 120,
            rate_begin: 10,
            login_url: String::new(),
            consent_url: String::new(),
            tls: Tls::default(),
            schema: Schema::default(),
        }
    }
}

impl Config {
    /// Most bytes of a message, and of a body that is one.
    pub(crate) fn message_max(&self) -> usize {
        usize::try_from(self.body_max.bytes()).unwrap_or(usize::MAX)
    }

    /// Most connections of one address. The peers of an edge behind proxies are these, and few.
    pub(crate) fn connections_each(&self) -> usize {
        if self.trusted_hops > 0 { usize::MAX } else { self.connections_address }
    }

    /// Heads that hyper and its HTTP/2 can hold, and a caller can do with; bodies as deep as they may be.
    fn check_requests(&self) -> Result<(), String> {
        let (head, target) = (self.head_max.bytes(), self.target_max.bytes());
        if !(1024..=1024 * 1024).contains(&head) || !(256..=64 * 1024).contains(&target) {
            return Err("head_max must be 1 KiB to 1 MiB, target_max 256 bytes to 64 KiB".to_owned());
        }
        if !(10..=1_000).contains(&self.headers_max) || self.http2_streams == 0 || self.http2_resets == 0 {
            return Err("headers_max must be 10 to 1000, http2_streams and http2_resets at least 1".to_owned());
        }
        if !(1..=100).contains(&self.depth_max) {
            return Err("depth_max must be 1 to 100".to_owned());
        }
        Ok(())
    }

    /// How JSON and queries are read.
    pub(crate) fn reading(&self) -> transcode::RequestOptions {
        let Self { ignore_unknown, depth_max, .. } = *self;
        transcode::RequestOptions { ignore_unknown, depth_max, ..transcode::RequestOptions::default() }
    }
}

impl chassis::Section for Config {
    const SOURCE: &'static str = include_str!("config.rs");

    fn check(&self) -> Result<(), String> {
        let places = [self.connections, self.connections_address, self.requests, self.requests_address];
        if places.contains(&0) || [self.streams, self.streams_address].contains(&0) {
            let names = "connections, requests, streams, and those of one address,";
            return Err(format!("{names} must be at least 1"));
        }
        self.check_requests()?;
        // The half that one address may have takes one body.
        if self.bodies_max.bytes() / 2 < self.body_max.bytes() {
            return Err("bodies_max must be at least twice body_max".to_owned());
        }
        if self.deadline.is_zero() || self.deadline > self.deadline_max {
            return Err("deadline must be more than zero and at most deadline_max".to_owned());
        }
        let of_callers = [self.rate_read, self.rate_write, self.rate_heavy];
        let of_networks = [self.rate_address, self.rate_credential, self.rate_begin];
        if of_callers.contains(&0) || of_networks.contains(&0) {
            return Err("rates must be at least 1".to_owned());
        }
        let idle = [self.body_idle, self.upload_idle, self.head_timeout, self.stream_idle];
        if idle.iter().chain([&self.connection_age, &self.connection_grace]).any(Duration::is_zero) {
            return Err("body_idle, upload_idle, head_timeout, stream_idle, connection_age and connection_grace must be more than zero".to_owned());
        }
        if self.websockets == 0 || self.websockets_address == 0 || self.websocket_frame_max.bytes() < 1024 {
            let names = "websockets and websockets_address";
            return Err(format!("{names} must be at least 1 and websocket_frame_max at least 1 KiB"));
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(600)).contains(&self.keep_alive) {
            return Err("keep_alive must be 100 ms to 10 min".to_owned());
        }
        self.tls.check()?;
        self.schema.check()?;
        let own = [("login_url", &self.login_url), ("consent_url", &self.consent_url)];
        let astray = |page: &str| !page.is_empty() && (!is_own_page(page) || crate::identity::is_endpoint(page));
        if let Some((name, _)) = own.into_iter().find(|(_, page)| astray(page)) {
            return Err(format!(
                "{name}: write the path of your page on the public address, `/app/page`, without a query"
            ));
        }
        let named = |name: &&String| name.parse::<http::HeaderName>().is_err();
        if let Some(name) = self.cors_headers.iter().chain(&self.cors_exposed).find(named) {
            return Err(format!("cors_headers, cors_exposed: {name} is not the name of a header"));
        }
        match self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            Some(origin) => Err(format!(
                "cors_origins: {origin} is not an origin; write https://host or https://host:port, without a path"
            )),
            None => Ok(()),
        }
    }
}

/// A browser that is sent there stays with this origin.
fn is_own_page(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    text.starts_with('/') && !text.starts_with("//") && text.bytes().all(plain)
}

fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '*', ' ', '?', '#']))
}
