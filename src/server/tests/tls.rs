//! TLS, and certificates that change.

use std::fs;

use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, SupportedProtocolVersion,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName},
        version::{TLS12, TLS13},
    },
};

use super::*;

/// Certificate and key in files of their own.
pub(super) struct Pair {
    dir: tempfile::TempDir,
    certificate: CertificateDer<'static>,
}

impl Pair {
    pub(super) fn write() -> Self {
        let mut pair = Self { dir: tempfile::tempdir().unwrap(), certificate: Vec::new().into() };
        pair.renew();
        pair
    }

    /// Writes a new certificate with a new key over the old ones.
    fn renew(&mut self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        self.replace("certificate.pem", &made.cert.pem());
        self.replace("key.pem", &made.signing_key.serialize_pem());
        self.certificate = made.cert.der().clone();
    }

    /// As renewal tools do: a new file under the old name.
    fn replace(&self, name: &str, text: &str) {
        let new = self.dir.path().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.dir.path().join(name)).unwrap();
    }

    pub(super) fn config(&self) -> TlsConfig {
        TlsConfig {
            certificate_file: self.dir.path().join("certificate.pem"),
            key_file: self.dir.path().join("key.pem"),
        }
    }

    pub(super) async fn connect(&self, server: &Server, alpn: &[&[u8]]) -> io::Result<TlsStream<TcpStream>> {
        self.connect_with(server, alpn, &TLS13).await
    }

    async fn connect_with(
        &self,
        server: &Server,
        alpn: &[&[u8]],
        version: &'static SupportedProtocolVersion,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, server.connect().await).await
    }
}

fn encrypted(pair: &Pair) -> Config {
    Config { tls: Some(pair.config()), ..patient() }
}

async fn ask(client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    client.write_all(get_and_close("/").as_bytes()).await.unwrap();
    read_to_end(client).await
}

#[tokio::test]
async fn the_client_chooses_among_what_we_speak() {
    let pair = Pair::write();
    let server = Server::start(&encrypted(&pair));
    for (alpn, version, want) in [
        (&[b"h2".as_slice(), b"http/1.1"] as &[&[u8]], &TLS13, Some(b"h2".as_slice())),
        (&[b"http/1.1", b"h2"], &TLS13, Some(b"h2")),
        (&[b"http/1.1"], &TLS13, Some(b"http/1.1")),
        (&[b"http/1.1"], &TLS12, Some(b"http/1.1")),
        (&[], &TLS12, None),
    ] {
        let mut client = pair.connect_with(&server, alpn, version).await.unwrap();
        assert_eq!(client.get_ref().1.alpn_protocol(), want, "{alpn:?}");
        if want != Some(b"h2") {
            let answer = ask(&mut client).await;
            assert!(answer.ends_with("127.0.0.1 socket tls."), "{alpn:?}: {answer}");
        }
    }
    assert!(pair.connect(&server, &[b"smtp"]).await.is_err());
}

#[tokio::test]
async fn plain_text_on_a_tls_port_is_closed() {
    let pair = Pair::write();
    let server = Server::start(&encrypted(&pair));
    let answer = server.exchange(get("/")).await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
    assert_eq!(server.stop().await, once(Outcome::HandshakeFailed));
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_is_closed() {
    let pair = Pair::write();
    let server = Server::start(&Config { handshake_timeout: SOON, ..encrypted(&pair) });
    assert_eq!(server.exchange("\x16\x03").await, "");
    assert_eq!(server.stop().await, once(Outcome::HandshakeTimedOut));
}

#[tokio::test]
async fn a_client_that_is_silent_after_the_handshake_is_closed() {
    let pair = Pair::write();
    let server = Server::start(&Config { header_timeout: SOON, ..encrypted(&pair) });
    let mut client = pair.connect(&server, &[]).await.unwrap();
    assert_eq!(read_to_end(&mut client).await, "");
    assert_eq!(server.stop().await, once(Outcome::HeaderTimedOut));
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_open_connections_stay() {
    let mut pair = Pair::write();
    let server = Server::start(&encrypted(&pair));
    let certificate = server.certificate.clone().unwrap();
    let mut before = pair.connect(&server, &[]).await.unwrap();
    assert!(!certificate.reload().unwrap(), "nothing has changed");
    pair.renew();
    assert!(pair.connect(&server, &[]).await.is_err(), "the old certificate is still there");
    assert!(certificate.reload().unwrap());
    let mut after = pair.connect(&server, &[]).await.unwrap();
    assert!(ask(&mut after).await.starts_with("HTTP/1.1 200"));
    assert!(ask(&mut before).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_bad_certificate_is_not_taken() {
    let pair = Pair::write();
    let other = Pair::write();
    let server = Server::start(&encrypted(&pair));
    let certificate = server.certificate.clone().unwrap();
    let read = |pair: &Pair, name: &str| fs::read_to_string(pair.dir.path().join(name)).unwrap();
    for (name, text, want) in [
        ("certificate.pem", String::new(), "no PEM certificate in"),
        ("certificate.pem", "nonsense".into(), "no PEM certificate in"),
        ("certificate.pem", read(&other, "certificate.pem"), "certificate and key cannot be used"),
        ("key.pem", read(&pair, "certificate.pem"), "no PEM private key in"),
        ("key.pem", read(&other, "key.pem"), "certificate and key cannot be used"),
    ] {
        let good = read(&pair, name);
        pair.replace(name, &text);
        let error = certificate.reload().unwrap_err().to_string();
        assert!(error.starts_with(want), "{name} {text:?}: {error}");
        assert!(!certificate.reload().unwrap(), "the same fault is told once");
        pair.connect(&server, &[]).await.unwrap();
        pair.replace(name, &good);
        assert!(certificate.reload().unwrap());
    }
    fs::remove_file(pair.dir.path().join("key.pem")).unwrap();
    assert!(certificate.reload().unwrap_err().to_string().starts_with("cannot read"));
    pair.connect(&server, &[]).await.unwrap();
}

#[tokio::test]
async fn a_listener_does_not_start_without_its_certificate() {
    let pair = Pair::write();
    fs::remove_file(pair.dir.path().join("key.pem")).unwrap();
    assert!(matches!(Listener::bind(&encrypted(&pair)), Err(Error::NoCertificate { .. })));
}

#[tokio::test(start_paused = true)]
async fn the_files_are_looked_at_without_being_asked() {
    let mut pair = Pair::write();
    let certificate = Certificate::load(&pair.config()).unwrap();
    let registry = Registry::new();
    let metrics = ServerMetrics::register(&registry, "test").unwrap();
    let watch = async {
        tokio::select! {
            () = follow_certificate(Some(certificate), &metrics) => {}
            () = sleep(CERTIFICATE_INTERVAL * 2) => {}
        }
    };
    pair.renew();
    watch.await;
    let family = registry.gather().into_iter().find(|family| family.name() == RELOADS).unwrap();
    let counts: Vec<_> = family.get_metric().iter().map(|metric| metric.get_counter().get_value()).collect();
    assert_eq!(counts, [0.0, 1.0], "refused, taken");
}

const RELOADS: &str = "mediagate_certificate_reloads_total";

#[tokio::test]
async fn a_full_server_says_so_under_tls_too() {
    let pair = Pair::write();
    let server = Server::start(&Config { max_connections: 0, ..encrypted(&pair) });
    let mut client = pair.connect(&server, &[]).await.unwrap();
    let answer = ask(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}

#[tokio::test]
async fn a_proxy_header_comes_before_the_handshake() {
    let pair = Pair::write();
    let config = Config { proxy_protocol: ProxyProtocol::Required, ..encrypted(&pair) };
    let server = Server::start_trusting(&config, |_| true);
    let mut roots = RootCertStore::empty();
    roots.add(pair.certificate.clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut socket = server.connect().await;
    socket.write_all(b"PROXY TCP4 192.0.2.9 10.0.0.1 1 2\r\n").await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = TlsConnector::from(Arc::new(client)).connect(name, socket).await.unwrap();
    let answer = ask(&mut client).await;
    assert!(answer.ends_with("192.0.2.9 proxy tls."), "{answer}");
}
