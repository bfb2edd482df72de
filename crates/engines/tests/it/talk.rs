//! Enough of each engine's language to store something and find it again, without its driver.

use std::path::Path;

use engines::Addresses;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::harness::{command, port};

/// Runs SQL with the psql of the pinned tools; the rows without decoration, or what psql complains about.
pub(crate) fn sql(address: &str, statement: &str) -> Result<String, String> {
    let psql = tool("psql");
    let output = command(psql).args(["-X", "-q", "-A", "-t", "-c", statement, address]).output().expect("psql runs");
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A program of the tools folder that the running tests use.
fn tool(name: &str) -> std::path::PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    #[expect(clippy::disallowed_methods, reason = "the place of the tools folder, as in found.rs")]
    let moved = std::env::var_os("WORKOS_TOOLS_DIR").map(std::path::PathBuf::from);
    let parents = moved.into_iter().chain(here.ancestors().map(|folder| folder.join(".workos/tools")));
    let mut found = parents.filter_map(|parent| std::fs::read_dir(parent).ok()).flatten().flatten();
    found
        .find_map(|folder| Some(folder.path().join("bin").join(name)).filter(|program| program.exists()))
        .expect("run ./dev once: it makes the tools folder")
}

/// One command in Redis's inline form; the first line of the answer, and the second if the first announces a value.
pub(crate) async fn redis(address: &str, words: &str) -> Result<String, String> {
    let password = address.split("://:").nth(1).and_then(|rest| rest.split('@').next()).expect("it has a password");
    let (mut reader, mut writer) = open(port(address)).await?;
    let talk = format!("AUTH {password}\r\n{words}\r\n");
    writer.write_all(talk.as_bytes()).await.map_err(text)?;
    assert_eq!(line(&mut reader).await?, "+OK");
    let answer = line(&mut reader).await?;
    if answer.starts_with('$') && answer != "$-1" { line(&mut reader).await } else { Ok(answer) }
}

/// One request and its answer's payload, over NATS.
pub(crate) async fn nats(
    addresses: &Addresses,
    user: &str,
    password: &str,
    subject: &str,
    body: &str,
) -> Result<String, String> {
    let (mut reader, mut writer) = open(port(&addresses.nats)).await?;
    let options = serde_json::json!({"verbose": false, "user": user, "pass": password, "lang": "test", "version": "1"});
    let talk =
        format!("CONNECT {options}\r\nSUB _INBOX.it 1\r\nPUB {subject} _INBOX.it {}\r\n{body}\r\nPING\r\n", body.len());
    writer.write_all(talk.as_bytes()).await.map_err(text)?;
    loop {
        let head = line(&mut reader).await?;
        if head.starts_with("-ERR") {
            return Err(head);
        }
        if head.starts_with("MSG") {
            return line(&mut reader).await;
        }
    }
}

type Reader = Lines<BufReader<OwnedReadHalf>>;

async fn open(port: u16) -> Result<(Reader, OwnedWriteHalf), String> {
    let (reader, writer) = TcpStream::connect(("127.0.0.1", port)).await.map_err(text)?.into_split();
    Ok((BufReader::new(reader).lines(), writer))
}

async fn line(reader: &mut Reader) -> Result<String, String> {
    reader.next_line().await.map_err(text)?.ok_or_else(|| "closed".to_owned())
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}
