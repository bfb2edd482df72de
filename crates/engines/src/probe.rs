//! Whether an engine answers in its own protocol: the few bytes that takes, no driver. A port that is open is not
//! yet an engine that works.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A question may take this long.
const PATIENCE: Duration = Duration::from_secs(5);
/// No answer of interest is longer.
const ANSWER: u64 = 64 * 1024;

/// How to ask one engine.
#[derive(Clone)]
pub(crate) enum Probe {
    /// Is asked for a session: it demands a password only when it takes sessions.
    Postgres,
    /// PING with the password.
    Valkey { password: String },
    /// Sign-in, then a question to JetStream.
    Nats { user: String, password: String },
    /// gRPC health, then the namespace.
    Temporal { namespace: String },
}

impl Probe {
    /// Asks once. The error says what came instead.
    pub(crate) async fn ask(&self, port: u16) -> Result<(), String> {
        let ask = async {
            match self {
                Probe::Postgres => postgres(port).await,
                Probe::Valkey { password } => valkey(port, password).await,
                Probe::Nats { user, password } => nats(port, user, password).await,
                Probe::Temporal { namespace } => crate::temporal::probe(port, namespace).await,
            }
        };
        timeout(PATIENCE, ask).await.unwrap_or_else(|_| Err(format!("no answer in {PATIENCE:?}")))
    }
}

async fn connect(port: u16) -> Result<TcpStream, String> {
    TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await.map_err(text)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Start-up message of protocol 3.0; `R` asks for the password, `E` says that it still starts or recovers.
async fn postgres(port: u16) -> Result<(), String> {
    let mut stream = connect(port).await?;
    let parameters = b"user\0postgres\0database\0postgres\0\0";
    let length = u32::try_from(parameters.len() + 8).expect("a few bytes");
    let mut message = length.to_be_bytes().to_vec();
    message.extend(196_608_u32.to_be_bytes());
    message.extend(parameters);
    stream.write_all(&message).await.map_err(text)?;
    let mut head = [0_u8; 5];
    stream.read_exact(&mut head).await.map_err(text)?;
    if head[0] == b'R' {
        return Ok(());
    }
    let mut rest = Vec::new();
    stream.take(ANSWER).read_to_end(&mut rest).await.map_err(text)?;
    let message = rest.split(|byte| *byte == 0).find(|field| field.first() == Some(&b'M'));
    Err(message.map_or_else(|| "no session".to_owned(), |field| String::from_utf8_lossy(&field[1..]).into_owned()))
}

async fn valkey(port: u16, password: &str) -> Result<(), String> {
    let stream = connect(port).await?;
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader.take(ANSWER)).lines();
    writer.write_all(format!("AUTH {password}\r\nPING\r\n").as_bytes()).await.map_err(text)?;
    for expected in ["+OK", "+PONG"] {
        let line = lines.next_line().await.map_err(text)?.unwrap_or_else(|| "closed the connection".to_owned());
        if line != expected {
            return Err(line);
        }
    }
    Ok(())
}

/// CONNECT, PING, then a request to `$JS.API.INFO`, which is answered only when JetStream is up.
async fn nats(port: u16, user: &str, password: &str) -> Result<(), String> {
    let stream = connect(port).await?;
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader.take(ANSWER)).lines();
    let options = serde_json::json!({
        "verbose": false, "pedantic": false, "user": user, "pass": password, "lang": "rust", "version": "1", "protocol": 1
    });
    let talk =
        format!("CONNECT {options}\r\nSUB _INBOX.engines 1\r\nPUB $JS.API.INFO _INBOX.engines 0\r\n\r\nPING\r\n");
    writer.write_all(talk.as_bytes()).await.map_err(text)?;
    while let Some(line) = lines.next_line().await.map_err(text)? {
        if line.starts_with("MSG _INBOX.engines") {
            let answer = lines.next_line().await.map_err(text)?.unwrap_or_default();
            return if answer.contains("\"error\"") { Err(answer) } else { Ok(()) };
        }
        if line.starts_with("-ERR") {
            return Err(line);
        }
    }
    Err("closed the connection".to_owned())
}
