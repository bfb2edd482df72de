//! Names: asked on the side, asked again when a connection ended, and kept when DNS is away.
use std::{future::Future, net::SocketAddr};

use futures::future::BoxFuture;
use tokio::net::TcpListener;

use super::{discovery::Resolve, *};

/// A DNS that says what the test says.
#[derive(Default)]
struct Told {
    addresses: Mutex<Option<Vec<SocketAddr>>>,
    asked: AtomicUsize,
}

impl Resolve for Told {
    fn resolve(&self, _: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let addresses = self.addresses.lock().expect("no panic").clone();
        Box::pin(async move { addresses.ok_or_else(broken) })
    }
}

impl Told {
    fn say(&self, addresses: Option<Vec<SocketAddr>>) {
        *self.addresses.lock().expect("no panic") = addresses;
    }
}

struct Certificates(tempfile::TempDir);

impl Certificates {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let trust = Trust::new("workos.local", "workos");
        tls::certificates(folder.path(), &["gateway", "file"], &trust, api::Clock::default().now()).expect("written");
        Self(folder)
    }

    fn of(&self, service: &str) -> tls::Reloading {
        let file = |name: String| self.0.path().join(name);
        let (certificate, key) = (file(format!("{service}.pem")), file(format!("{service}-key.pem")));
        tls::Reloading::open(tls::Files { certificate, key, ca: Some(file("ca.pem".to_owned())) }).expect("good files")
    }
}

/// A server over TLS on loopback.
async fn tls_server(certificates: &Certificates) -> (Peer, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let (script, identity, mut tasks) = (Script::new(OK), certificates.of("file"), JoinSet::new());
    let served = Arc::clone(&script);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(acceptor) = identity.mutual_acceptor() else { return };
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            connections.spawn(serve(stream, Arc::clone(&served)));
        }
    });
    (Peer { goodbye: Mutex::new(script.goodbye()), script, _tasks: tasks }, address)
}

fn mesh(certificates: &Certificates, dns: &Arc<Told>, every: crate::Period) -> Mesh {
    let discovery = crate::settings::Discovery {
        dns_refresh_rate: every,
        dns_min_refresh_rate: crate::Period::millis(0),
        ..Default::default()
    };
    let settings = Settings { discovery, ..Settings::default() };
    let (identity, trust) = (certificates.of("gateway"), Trust::new("workos.local", "workos"));
    let resolver: Arc<dyn Resolve> = Arc::clone(dns) as _;
    let upstream = Upstream::named("file", &Arc::new(settings.clone()), resolver, Way::Tls(identity.clone(), trust));
    mesh_with(&upstream, settings, Transport::Direct(identity))
}

/// Repeats calls until they bring something about.
async fn calling<F: Future<Output = Result<(), Error>>>(call: impl Fn() -> F, done: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if done() {
            return;
        }
        call().await.expect("every call is served");
        tokio::task::yield_now().await;
    }
    panic!("it did not happen");
}

#[tokio::test]
async fn a_server_that_goes_leads_to_where_the_name_points_now() {
    let (certificates, dns) = (Certificates::new(), Arc::new(Told::default()));
    let (old, old_address) = tls_server(&certificates).await;
    let (new, new_address) = tls_server(&certificates).await;
    dns.say(Some(vec![old_address]));
    let mesh = mesh(&certificates, &dns, crate::Period::secs(3600));
    let read = || call(&mesh, READ, Duration::from_secs(10));
    for _ in 0..3 {
        read().await.expect("served");
    }
    assert_eq!((dns.asked.load(Ordering::Relaxed), new.calls()), (1, 0), "one answer counts for an hour");
    dns.say(Some(vec![new_address]));
    old.say_goodbye();
    calling(read, || new.calls() > 0).await;
    let cluster = mesh.clusters().pop().expect("one");
    let addresses: Vec<_> = cluster.endpoints.iter().map(|endpoint| endpoint.address.clone()).collect();
    assert_eq!((cluster.discovery, addresses), ("dns", vec![new_address.to_string()]));
}

#[tokio::test]
async fn new_addresses_join_and_what_is_known_of_the_others_stays() {
    let (certificates, dns) = (Certificates::new(), Arc::new(Told::default()));
    let (_one, one_address) = tls_server(&certificates).await;
    let (two, two_address) = tls_server(&certificates).await;
    dns.say(Some(vec![one_address]));
    let mesh = mesh(&certificates, &dns, crate::Period::millis(1));
    let read = || call(&mesh, READ, Duration::from_secs(10));
    read().await.expect("served");
    dns.say(Some(vec![two_address, one_address, two_address]));
    calling(read, || two.calls() > 0).await;
    let endpoints = mesh.clusters().pop().expect("one").endpoints;
    let known = endpoints.iter().find(|endpoint| endpoint.address == one_address.to_string()).expect("it stays");
    assert_eq!((endpoints.len(), known.connections_total), (2, 1), "{endpoints:?}");
}

#[tokio::test]
async fn what_is_known_stays_in_force_while_dns_is_away() {
    let (certificates, dns) = (Certificates::new(), Arc::new(Told::default()));
    let (_server, address) = tls_server(&certificates).await;
    let mesh = mesh(&certificates, &dns, crate::Period::millis(1));
    let read = || call(&mesh, READ, Duration::from_secs(10));
    assert_eq!(read().await.expect_err("no such name").code(), Code::Unavailable);
    dns.say(Some(vec![address]));
    read().await.expect("served");
    dns.say(None);
    let asked = dns.asked.load(Ordering::Relaxed);
    calling(read, || dns.asked.load(Ordering::Relaxed) > asked + 3).await;
}

/// A DNS with an address for each name, of which one can be away.
struct Two([SocketAddr; 2], std::sync::atomic::AtomicBool);

impl Resolve for Two {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let (one, away) = (name.starts_with("one"), self.1.load(Ordering::Relaxed));
        let answer = if one || !away { Ok(vec![self.0[usize::from(!one)]]) } else { Err(broken()) };
        Box::pin(async move { answer })
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_keeps_its_endpoints_beside_one_that_does() {
    let addresses = ["10.0.0.1:1", "10.0.0.2:1"].map(|address| address.parse().expect("an address"));
    let dns = Arc::new(Two(addresses, false.into()));
    let names = vec!["one:1".to_owned(), "two:1".to_owned()];
    let resolver: Arc<dyn Resolve> = Arc::clone(&dns) as _;
    let names = discovery::Names::new("file", names, resolver, &Default::default(), Arc::default());
    for away in [false, true] {
        dns.1.store(away, Ordering::Relaxed);
        assert_eq!(names.lookup().await.expect("addresses"), addresses, "away: {away}");
    }
}
