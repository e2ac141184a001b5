//! Endpoints that cannot be reached, each in its own way.

use std::{sync::Arc, time::Duration};

use mediagate::{
    egress::{self, Egress},
    s3::{Connection, ConnectionConfig, S3Metrics, Timeouts},
    sidecar::{Probe, Report},
    storage::{Addressing, EndpointUrl, Settings},
};
use prometheus::Registry;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, pki_types::PrivateKeyDer},
};

use super::{assert_says, examine_source, only, source};
use crate::support::{
    clock,
    s3::config,
    scripted::{
        Scripted,
        Step::{self, Hang, Head, Reset, Send},
    },
};

async fn examine_at(config: ConnectionConfig, egress: Egress) -> Report {
    let metrics = S3Metrics::register(&Registry::new()).unwrap();
    let settings = Settings {
        endpoint: config.endpoint.as_ref().map(|uri| EndpointUrl::parse(&uri.to_string()).unwrap()),
        addressing: config.addressing,
        ..source()
    };
    let connection = Connection::connect(config, Arc::new(egress), metrics, clock).await.unwrap();
    examine_source(&connection, &settings).await
}

fn egress() -> Egress {
    Egress::build(&egress::Config::default()).unwrap()
}

#[tokio::test]
async fn an_endpoint_that_nobody_serves() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    for (url, addressing, problem, advice) in [
        (url.as_str(), Addressing::Path, "nothing listens at http://127.0.0.1:", "its port"),
        (
            "http://s3.invalid",
            Addressing::Path,
            "no address is known for the host of http://s3.invalid",
            "DNS",
        ),
        (
            "http://s3.invalid",
            Addressing::Virtual,
            "no address is known for the host of http://media.s3.invalid",
            "the bucket's name stands in the host, so if the server has no such hosts, set addressing to path",
        ),
    ] {
        let config = ConnectionConfig { addressing, ..config(url, "media") };
        let report = examine_at(config, egress()).await;
        assert_says(only(&report, Probe::List), problem, advice);
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_one() {
    for (step, problem, advice) in [
        (Hang, "S3 was silent", "check the endpoint, and routes"),
        (Reset, "closes the connection without an answer", "whether it speaks TLS"),
        (
            Send(b"220 mail.example.org ESMTP\r\n".to_vec()),
            "answers with something that is no HTTP",
            "https://",
        ),
    ] {
        let script: Vec<Vec<Step>> = vec![vec![Head, step]; 3];
        let server = Scripted::start(script).await;
        let timeouts = Timeouts { first_byte: Duration::from_millis(300), ..Timeouts::default() };
        let report =
            examine_at(ConnectionConfig { timeouts, ..config(&server.url(), "media") }, egress()).await;
        assert_says(only(&report, Probe::List), problem, advice);
    }
}

#[tokio::test]
async fn an_endpoint_of_the_api_in_our_own_network() {
    let report = examine_at(config("http://127.0.0.1:1", "media"), egress().guarded()).await;
    assert_says(
        only(&report, Probe::List),
        "it is at 127.0.0.1 (loopback), where endpoints given through the API may not be",
        "set egress.allow = [\"127.0.0.0/8\"]",
    );
}

/// A server with a certificate; it takes handshakes and says nothing.
struct TlsServer {
    url: String,
    accepting: AbortHandle,
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn tls_server(certificate: &rcgen::Certificate, key: &KeyPair) -> TlsServer {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let accepting = tokio::spawn(async move {
        let mut handshakes = JoinSet::new();
        while let Ok((socket, _)) = listener.accept().await {
            handshakes.spawn(acceptor.accept(socket));
        }
    });
    TlsServer { url, accepting: accepting.abort_handle() }
}

#[tokio::test]
async fn a_certificate_that_does_not_hold() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, ca.pem()).unwrap();
    let of = |name: &str, until: i32| {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &ca).unwrap(), key)
    };
    let trusting = || {
        let config = egress::Config { ca_file: Some(ca_file.clone()), ..egress::Config::default() };
        Egress::build(&config).unwrap()
    };
    for ((certificate, key), egress, problem, advice) in [
        (of("127.0.0.1", 2100), egress(), "an issuer that is unknown here", "egress.ca_file"),
        (
            of("s3.example.org", 2100),
            trusting(),
            "its certificate is for another host",
            "check the endpoint's host",
        ),
        (of("127.0.0.1", 2001), trusting(), "has expired", "this machine's clock"),
    ] {
        let server = tls_server(&certificate, &key).await;
        let report = examine_at(config(&server.url, "media"), egress).await;
        assert_says(only(&report, Probe::List), problem, advice);
    }
}

#[tokio::test]
async fn tls_with_a_server_that_has_none() {
    let server = Scripted::start(vec![vec![Send(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())]; 3]).await;
    let url = server.url().replace("http://", "https://");
    let report = examine_at(config(&url, "media"), egress()).await;
    assert_says(only(&report, Probe::List), "it does not speak TLS", "write http://");
}
