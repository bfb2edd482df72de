//! TLS: encrypted and verified, or no connection. The pinned PostgreSQL is built without TLS, so a terminator stands before it.
use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use db::{Db, Kind, Settings};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::support::{PASSWORD, database, organization, write_note};

/// Answers PostgreSQL's request for TLS, and speaks plainly to the server behind it.
struct Terminator {
    address: SocketAddr,
    root: PathBuf,
    _tasks: JoinSet<()>,
}

impl Terminator {
    async fn before(target: SocketAddr, name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("the name is valid");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        // Tests run side by side: the port makes the file its own.
        let root = std::env::temp_dir().join(format!("db-tls-{}-{}-{name}.pem", std::process::id(), address.port()));
        std::fs::write(&root, made.cert.pem()).expect("the temporary folder is writable");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("it was just made");
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("key and certificate belong together");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(terminate(client, target, acceptor.clone()));
            }
        });
        Self { address, root, _tasks: tasks }
    }
}

async fn terminate(mut client: TcpStream, target: SocketAddr, acceptor: TlsAcceptor) {
    let mut request = [0; 8];
    if client.read_exact(&mut request).await.is_err() || request != [0, 0, 0, 8, 4, 210, 22, 47] {
        return;
    }
    client.write_all(b"S").await.expect("the client waits for it");
    let Ok(mut client) = acceptor.accept(client).await else { return };
    let mut server = TcpStream::connect(target).await.expect("PostgreSQL runs");
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

fn host(url: &str) -> SocketAddr {
    let (_, rest) = url.rsplit_once('@').expect("the URL has a user");
    rest.split('/').next().and_then(|host| host.parse().ok()).expect("the URL has an address")
}

#[tokio::test]
async fn with_sslmode_require_a_verified_server_is_spoken_to_in_secret() {
    let database = database().await;
    let terminator = Terminator::before(host(&database.admin_url), "127.0.0.1").await;
    let url = database.admin_url.replace(&host(&database.admin_url).to_string(), &terminator.address.to_string());
    let url = format!("{url}?sslmode=require&sslrootcert={}", terminator.root.display());
    db::probe(&url).await.expect("the server is verified");
    let db = Db::connect(&Settings::new(&url, "shelf", PASSWORD)).await.expect("the settings are right");
    write_note(&db, organization(), "in secret").await;
}

#[tokio::test]
async fn a_server_that_cannot_be_verified_is_not_spoken_to() {
    let database = database().await;
    let right = Terminator::before(host(&database.admin_url), "127.0.0.1").await;
    let wrong = Terminator::before(host(&database.admin_url), "elsewhere.example").await;
    let through = |address: SocketAddr, root: &PathBuf| {
        let url = database.admin_url.replace(&host(&database.admin_url).to_string(), &address.to_string());
        format!("{url}?sslmode=require&sslrootcert={}", root.display())
    };
    for url in [through(right.address, &wrong.root), through(wrong.address, &wrong.root)] {
        let error = db::probe(&url).await.expect_err("another root, or another name");
        assert!(matches!(error.kind(), Kind::Unavailable), "{error:?}");
    }
    let plain = database.admin_url.clone() + "?sslmode=require&sslrootcert=" + &right.root.display().to_string();
    assert!(db::probe(&plain).await.is_err(), "a server without TLS");
    let missing = format!("{}?sslmode=require&sslrootcert=/nowhere.pem", database.admin_url);
    assert!(matches!(db::probe(&missing).await.expect_err("no such file").kind(), Kind::Configuration(_)));
}
