//! TLS roots, source addresses and limits, against sockets of this process.

use http::{Request, StatusCode};
use http_body_util::Full;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

use super::*;

mod fetched;
mod guarded;
mod proxied;

#[test]
fn one_source_address_per_family() {
    let v4 = IpAddr::from([127, 0, 0, 2]);
    let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
    for (addresses, ok) in [
        (vec![], true),
        (vec![v4], true),
        (vec![v6, v4], true),
        (vec![v4, v4], false),
        (vec![v6, v4, v6], false),
    ] {
        let config = Config { source_addresses: addresses.clone(), ..Config::default() };
        assert_eq!(Egress::build(&config).is_ok(), ok, "{addresses:?}");
    }
}

#[test]
fn a_ca_file_must_have_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::generate_simple_self_signed(["s3.test".to_owned()]).unwrap();
    for (name, text, ok) in [
        ("good.pem", key.cert.pem(), true),
        ("empty.pem", String::new(), false),
        ("key.pem", key.signing_key.serialize_pem(), false),
        ("junk.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(), false),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let config = Config { ca_file: Some(path), ..Config::default() };
        assert_eq!(Egress::build(&config).is_ok(), ok, "{name}");
    }
    let config = Config { ca_file: Some(dir.path().join("absent.pem")), ..Config::default() };
    assert!(matches!(Egress::build(&config), Err(Error::CaFileUnreadable { .. })));
}

#[test]
fn a_tiny_read_buffer_is_raised() {
    let config = Config { read_buffer: ByteSize::b(1), ..Config::default() };
    assert!(Egress::build(&config).is_ok());
}

/// Answers one request over TLS, when the client trusts the certificate.
async fn tls_server(certificate: &rcgen::CertifiedKey<rcgen::KeyPair>) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let Ok(mut socket) = TlsAcceptor::from(Arc::new(config)).accept(socket).await else { return };
        answer(&mut socket).await;
    });
    port
}

async fn answer(socket: &mut (impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin)) {
    let mut request = [0; 1024];
    assert!(socket.read(&mut request).await.unwrap() > 0);
    socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    socket.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_server_is_trusted_by_the_ca_file_and_not_without() {
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, certificate.cert.pem()).unwrap();
    for (ca_file, trusted) in [(Some(path), true), (None, false)] {
        let egress = Egress::build(&Config { ca_file, ..Config::default() }).unwrap();
        let url = format!("https://localhost:{}/", tls_server(&certificate).await);
        let answer = egress.client().get(url.parse().unwrap()).await;
        match answer {
            Ok(answer) => assert!(trusted && answer.status() == StatusCode::NO_CONTENT),
            Err(error) => assert!(!trusted && error.is_connect(), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn connections_come_from_the_source_address() {
    let source = IpAddr::from([127, 0, 0, 2]);
    let egress = Egress::build(&Config { source_addresses: vec![source], ..Config::default() }).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let request = Request::post(url).body(Full::<Bytes>::from("body")).unwrap();
    let served = async {
        let (mut socket, peer) = listener.accept().await.unwrap();
        answer(&mut socket).await;
        peer.ip()
    };
    let (answer, peer) = tokio::join!(egress.forwarding_client().request(request), served);
    assert_eq!((answer.unwrap().status(), peer), (StatusCode::NO_CONTENT, source));
}
