//! Through a proxy that the tests play.

use std::net::SocketAddr;

use http::Uri;
use tokio::{io::copy_bidirectional, net::TcpStream, sync::mpsc};

use super::*;

/// A proxy that leads every tunnel to one port of this machine, and tells what was asked of it.
struct FakeProxy {
    address: SocketAddr,
    heads: mpsc::Receiver<String>,
}

impl FakeProxy {
    async fn start(target: u16, answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, heads) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(socket.read_u8().await.unwrap());
                }
                sender.send(String::from_utf8(head).unwrap()).await.unwrap();
                socket.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await.unwrap();
                if answer.starts_with("200") {
                    let mut target = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                    // Whoever closes first is no failure of the proxy.
                    drop(copy_bidirectional(&mut socket, &mut target).await);
                }
            }
        });
        Self { address, heads }
    }

    fn config(&self, userinfo: &str) -> Config {
        Config { proxy: Some(format!("http://{userinfo}{}", self.address).into()), ..Config::default() }
    }

    fn was_asked(&mut self) -> bool {
        self.heads.try_recv().is_ok()
    }
}

/// Answers requests, each on a connection of its own.
async fn origin() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            answer(&mut socket).await;
        }
    });
    port
}

fn to(address: &'static str) -> Resolver {
    Resolver::new(move |_| Box::pin(async move { Ok(vec![SocketAddr::new(address.parse()?, 0)]) }))
}

/// A resolver that must not be asked.
fn nobody() -> Resolver {
    Resolver::new(|name| Box::pin(async move { Err(format!("{name} was resolved here").into()) }))
}

fn uri(text: &str) -> Uri {
    text.parse().unwrap()
}

#[tokio::test]
async fn plain_http_is_tunnelled_too_and_the_proxy_resolves() {
    let mut proxy = FakeProxy::start(origin().await, "200 OK").await;
    let egress = Egress::build_with(&proxy.config("ann:p%40ss@"), &nobody()).unwrap();
    let answer = egress.client().get(uri("http://s3.test/key?X-Amz-Signature=1")).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let head = proxy.heads.recv().await.unwrap();
    assert!(head.starts_with("CONNECT s3.test:80 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Proxy-Authorization: Basic YW5uOnBAc3M=\r\n"), "ann:p@ss in {head}");
    assert!(!head.contains("Signature"), "{head}");
}

#[tokio::test]
async fn a_guarded_tunnel_leads_to_the_checked_address_and_tls_to_the_name() {
    let certificate = rcgen::generate_simple_self_signed(["s3.test".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca_file = dir.path().join("ca.pem");
    std::fs::write(&ca_file, certificate.cert.pem()).unwrap();
    for (address, target) in [("198.51.100.7", "198.51.100.7:443"), ("2001:db8::7", "[2001:db8::7]:443")] {
        let mut proxy = FakeProxy::start(tls_server(&certificate).await, "200 OK").await;
        let network = IpNet::from(address.parse::<IpAddr>().unwrap());
        let config = Config { allow: vec![network], ca_file: Some(ca_file.clone()), ..proxy.config("") };
        let egress = Egress::build_with(&config, &to(address)).unwrap().guarded();
        let answer = egress.client().get(uri("https://s3.test/")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let head = proxy.heads.recv().await.unwrap();
        assert!(head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")), "{head}");
    }
}

#[tokio::test]
async fn a_refused_address_does_not_reach_the_proxy() {
    let mut proxy = FakeProxy::start(origin().await, "200 OK").await;
    let egress = Egress::build_with(&proxy.config(""), &to("10.0.0.1")).unwrap().guarded();
    for host in ["inside.test", "10.0.0.1", "[fd00::1]", "127.0.0.1", "169.254.169.254", "localhost"] {
        let error = egress.client().get(uri(&format!("http://{host}/"))).await.unwrap_err();
        assert!(Refused::among(&error).is_some(), "{host}: {error:?}");
    }
    assert!(!proxy.was_asked());
}

#[tokio::test]
async fn what_is_our_own_or_excepted_goes_past_the_proxy() {
    let port = origin().await;
    let mut proxy = FakeProxy::start(port, "200 OK").await;
    let no_proxy = ["s3.internal", "192.0.2.0/24"].map(str::to_owned).to_vec();
    let config = Config { no_proxy, ..proxy.config("") };
    let egress = Egress::build_with(&config, &to("127.0.0.1")).unwrap();
    for host in ["127.0.0.1", "localhost", "s3.internal", "media.s3.internal", "S3.INTERNAL"] {
        egress.fresh().get(uri(&format!("http://{host}:{port}/"))).await.unwrap();
        assert!(!proxy.was_asked(), "{host}");
    }
    egress.fresh().get(uri("http://nots3.internal/")).await.unwrap();
    assert!(proxy.was_asked());
    // The application behind the gateway is not beyond the proxy.
    let request = Request::post(format!("http://app.test:{port}/")).body(Full::<Bytes>::from("x")).unwrap();
    egress.forwarding_client().request(request).await.unwrap();
    assert!(!proxy.was_asked());
    let proxied = connect_targets(&config);
    for (url, through) in [
        ("http://169.254.169.254/latest", false),
        ("http://[fe80::1]/", false),
        ("http://[fd00:ec2::254]/", false),
        ("http://192.0.2.9/", false),
        ("https://192.0.3.9/", true),
        ("https://s3.eu-west-1.amazonaws.com/", true),
    ] {
        assert_eq!(proxied.serves(&uri(url)), through, "{url}");
    }
}

fn connect_targets(config: &Config) -> Proxy {
    Proxy::build(config).unwrap().unwrap()
}

#[tokio::test]
async fn a_proxy_that_refuses_is_an_error_and_not_a_way_around() {
    for (answer, want) in [
        ("407 Proxy Authentication Required", "proxy authorization required"),
        ("403 Forbidden", "unsuccessful"),
        ("502 Bad Gateway", "unsuccessful"),
    ] {
        let port = origin().await;
        let mut proxy = FakeProxy::start(port, answer).await;
        let egress = Egress::build_with(&proxy.config("ann:pass@"), &to("127.0.0.1")).unwrap();
        let error = egress.client().get(uri(&format!("http://s3.test:{port}/"))).await.unwrap_err();
        let text = format!("{error:?}");
        assert!(error.is_connect(), "{text}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(want), "{cause}");
        assert!(!text.contains("YW5u") && !text.contains("pass"), "{text}");
        assert!(proxy.was_asked());
    }
}

#[tokio::test]
async fn a_silent_proxy_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let connect_timeout = Duration::from_millis(50);
    let config = Config { proxy: Some(proxy.into()), connect_timeout, ..Config::default() };
    let error = Egress::build(&config).unwrap().client().get(uri("http://s3.test/")).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

#[test]
fn a_proxy_is_one_plain_url() {
    let proxy = |url: &str| Config { proxy: Some(url.to_owned().into()), ..Config::default() };
    for (url, ok) in [
        ("http://proxy.test", true),
        ("http://proxy.test:3128/", true),
        ("http://ann:word@[::1]:3128", true),
        ("https://proxy.test", false),
        ("socks5://proxy.test", false),
        ("proxy.test:3128", false),
        ("http://proxy.test/path", false),
        ("http://proxy.test/?q", false),
        ("", false),
    ] {
        assert_eq!(Egress::build(&proxy(url)).is_ok(), ok, "{url}");
    }
    let text = format!("{:?}", proxy("http://ann:secretword@proxy.test"));
    assert!(!text.contains("secretword"), "{text}");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("proxy");
    std::fs::write(&path, "http://ann:word@proxy.test:3128\n").unwrap();
    let from_file = Config { proxy_file: Some(path.clone()), ..Config::default() };
    assert!(Egress::build(&from_file).is_ok());
    let twice = Config { proxy_file: Some(path), ..proxy("http://proxy.test") };
    assert!(matches!(Egress::build(&twice), Err(Error::ProxyTwice)));
    let absent = Config { proxy_file: Some(dir.path().join("absent")), ..Config::default() };
    assert!(matches!(Egress::build(&absent), Err(Error::ProxyFileUnreadable { .. })));
    for (entry, ok) in [
        ("example.org", true),
        (".example.org", true),
        ("10.0.0.0/8", true),
        ("10.0.0.1", true),
        ("::1", true),
        ("", false),
        ("a,b", false),
        ("http://example.org", false),
        ("10.0.0.0/99", false),
        ("*", false),
    ] {
        let config = Config { no_proxy: vec![entry.to_owned()], ..proxy("http://proxy.test") };
        assert_eq!(Egress::build(&config).is_ok(), ok, "{entry:?}");
    }
}
