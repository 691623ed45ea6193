//! `connect` past silent addresses: how long, and how many connections it opens.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use plex_auth::Source;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName,
};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::Bench;
use crate::baseline::Baseline;
use crate::clients::{MAX_BYTES, Result, SOURCE, TOKEN};
use crate::report::{Goal, Line, Section, median};
use crate::server::{answer, device};

/// Resolved by plex-auth without DNS.
const HOST: &str = "127-0-0-1.93b10b279ff8456686414add109854cd.plex.direct";

pub fn section(bench: &Bench) -> Result<Section> {
    let mut section = Section::default();
    section.table += "| silent addresses | plex-auth, s | all at once, s | physical limit, s | \
                      plex-auth opened | all at once opened |\n|---|---|---|---|---|---|\n";
    for (before, after) in [(0, 0), (3, 0), (12, 0), (60, 0), (0, 60)] {
        let network = Network::start(before, after)?;
        let mut taken = [const { Vec::new() }; 3];
        let mut opened = [const { Vec::new() }; 3];
        for _ in 0..bench.rounds(11) {
            let clients: [&dyn Fn() -> Result<Duration>; 3] = [
                &|| bench.runtime.block_on(network.plex_auth()),
                &|| bench.runtime.block_on(network.all_at_once()),
                &|| bench.runtime.block_on(network.limit()),
            ];
            for (index, client) in clients.into_iter().enumerate() {
                let opened_before = network.opened.load(SeqCst);
                taken[index].push(client()?.as_secs_f64());
                // Until what was opened has been accepted.
                bench.runtime.block_on(async { sleep(Duration::from_millis(100)).await });
                opened[index].push((network.opened.load(SeqCst) - opened_before) as f64);
            }
        }
        let [ours, all_at_once, limit] = taken.clone().map(median);
        let [opened, opened_at_once, _] = opened.map(median);
        let place = if after == 0 { "before" } else { "after" };
        section.table += &format!(
            "| {} {place} the good one | {ours:.4} | {all_at_once:.4} | {limit:.4} | {opened} | \
             {opened_at_once} |\n",
            before + after
        );
        if before == 60 {
            let [ours, ..] = taken;
            let line = Line::alone("connect60_s", "s", Goal::AtMost(2.2), ours);
            section.ratios += &line.ratio();
        }
    }
    Ok(section)
}

/// A server that knows a source, and the source's addresses: one good, the others silent.
struct Network {
    /// Where the source is looked up.
    asked: String,
    /// The port of the good address.
    good: u16,
    root: CertificateDer<'static>,
    /// How many connections were opened to the source's addresses.
    opened: Arc<AtomicUsize>,
    /// Runs the servers, in a thread of its own.
    _runtime: Runtime,
}

impl Network {
    fn start(before: usize, after: usize) -> Result<Self> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build()?;
        let (root, tls) = certificate()?;
        let opened = Arc::new(AtomicUsize::new(0));
        let (asked, good) = runtime.block_on(async {
            let mut ports = Vec::new();
            for index in 0..before + 1 + after {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                ports.push(listener.local_addr()?.port());
                let tls = (index == before).then(|| tls.clone());
                tokio::spawn(accept(listener, tls, opened.clone()));
            }
            let good = ports[before];
            let uris = ports.into_iter().map(|port| format!("https://{HOST}:{port}"));
            let device = Bytes::from(device(uris).replace("\"local\":false", "\"local\":true"));
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let asked = listener.local_addr()?.to_string();
            tokio::spawn(async move {
                while let Ok((tcp, _)) = listener.accept().await {
                    let device = device.clone();
                    tokio::spawn(answer(tcp, move |_| Some(device.clone())));
                }
            });
            Ok::<_, std::io::Error>((asked, good))
        })?;
        Ok(Self { asked, good, root, opened, _runtime: runtime })
    }

    async fn plex_auth(&self) -> Result<Duration> {
        let root = reqwest::Certificate::from_der(&self.root)?;
        let client = plex_auth::Client::builder(format!("http://{}", self.asked))
            .token(TOKEN)
            .client_identifier("bench")
            .configure_http(|http| http.tls_certs_only([root]))
            .build()?;
        let source: Source = SOURCE.parse()?;
        let began = Instant::now();
        let connected = client.connect(&source).await?;
        let took = began.elapsed();
        let is_good = connected.connection().uri.port() == Some(self.good);
        if is_good { Ok(took) } else { Err("connected to a silent address".into()) }
    }

    /// The plain dialler: looks the source up, asks all addresses at once, takes the first that is
    /// verified.
    async fn all_at_once(&self) -> Result<Duration> {
        let root = reqwest::Certificate::from_der(&self.root)?;
        let configure = |http: reqwest::ClientBuilder| {
            let http = http.resolve(HOST, (Ipv4Addr::LOCALHOST, 0).into());
            http.tls_certs_only([root])
        };
        let base = format!("http://{}", self.asked);
        let client = Arc::new(Baseline::new(base, TOKEN, MAX_BYTES, configure)?);
        let began = Instant::now();
        let device = client.device(SOURCE).await?;
        let mut dials = JoinSet::new();
        for connection in device.connections {
            let client = client.clone();
            dials.spawn(async move { client.identity(&connection.uri).await });
        }
        while let Some(dialled) = dials.join_next().await {
            if dialled?.is_ok_and(|identifier| identifier == device.client_identifier) {
                return Ok(began.elapsed());
            }
        }
        Err("nobody answered".into())
    }

    /// One TCP connection, one TLS handshake and one request, by somebody who knows the address.
    async fn limit(&self) -> Result<Duration> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone())?;
        let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into());
        let config = config.with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let request = hyper::Request::get("/identity").header("host", HOST);
        let request = request.body(Empty::<Bytes>::new())?;

        let began = Instant::now();
        let tcp = TcpStream::connect((Ipv4Addr::LOCALHOST, self.good)).await?;
        tcp.set_nodelay(true)?;
        let tls = connector.connect(ServerName::try_from(HOST)?, tcp).await?;
        let (mut sender, connection) = handshake(TokioIo::new(tls)).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?.into_body().collect().await?;
        Ok(began.elapsed())
    }
}

/// Answers who it is, with TLS; without TLS, accepts connections and never answers.
async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, opened: Arc<AtomicUsize>) {
    let mut silent = Vec::new();
    while let Ok((tcp, _)) = listener.accept().await {
        opened.fetch_add(1, SeqCst);
        let Some(tls) = tls.clone() else {
            silent.push(tcp);
            continue;
        };
        let _ = tcp.set_nodelay(true);
        tokio::spawn(async move {
            let identifier = SOURCE.trim_start_matches("server://");
            let body = format!(r#"{{"MediaContainer":{{"machineIdentifier":"{identifier}"}}}}"#);
            let body = Bytes::from(body);
            if let Ok(stream) = tls.accept(tcp).await {
                let _ = answer(stream, |_| Some(body.clone())).await;
            }
        });
    }
}

/// A root certificate, and a server with one for `HOST`.
fn certificate() -> Result<(CertificateDer<'static>, TlsAcceptor)> {
    let mut root = CertificateParams::new([])?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_key = KeyPair::generate()?;
    let root_der = root.self_signed(&root_key)?.der().clone();
    let key = KeyPair::generate()?;
    let issuer = Issuer::new(root, root_key);
    let der = CertificateParams::new([HOST.to_owned()])?.signed_by(&key, &issuer)?.der().clone();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into());
    let config = config.with_safe_default_protocol_versions()?;
    let config = config.with_no_client_auth().with_single_cert(vec![der], key)?;
    Ok((root_der, Arc::new(config).into()))
}
