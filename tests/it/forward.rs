//! What goes on to the application behind the gateway, and what of it.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    gateway::{Gateway, claims, open, raw, sign},
    scripted::{Scripted, Step, response},
};

fn upstream(url: &str, more: &str) -> String {
    format!("{more}\n[upstream]\nurl = \"{url}\"\n")
}

fn ok() -> Vec<Step> {
    vec![Step::Head, Step::Send(response("200 OK", &[("content-length", "2")], b"ok"))]
}

/// The head of the one request that the application saw, in lower case.
fn seen(application: &Scripted) -> String {
    application.heads().remove(0).1.to_lowercase()
}

#[tokio::test]
async fn without_an_upstream_there_is_nothing() {
    let gateway = Gateway::start("").await;
    let answer = gateway.send("GET", "/projects", &[]).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
}

#[tokio::test]
async fn forwarding_headers_are_written_anew_for_strangers() {
    let application = Scripted::start(vec![ok()]).await;
    let gateway = Gateway::start(&upstream(&application.url(), "")).await;
    let headers = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("x-real-ip", "1.2.3.4"),
        ("forwarded", "for=1.2.3.4"),
        ("x-request-id", "chosen-by-a-stranger"),
        ("host", "app.example.org"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic eDp5"),
        ("x-app", "kept"),
    ];
    assert_eq!(gateway.send("GET", "/projects?page=2", &headers).await.text(), "ok");
    let head = seen(&application);
    assert!(head.starts_with("get /projects?page=2 http/1.1\r\n"), "{head}");
    for line in [
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: app.example.org",
        "host: app.example.org",
        "x-app: kept",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} is not in {head}");
    }
    for word in ["1.2.3.4", "evil", "stranger", "x-hop", "keep-alive", "\r\nte:", "proxy-authorization"] {
        assert!(!head.contains(word), "{word} is in {head}");
    }
}

#[tokio::test]
async fn a_trusted_proxy_keeps_its_word() {
    let application = Scripted::start(vec![ok()]).await;
    let trusted = "[access]\ntrusted_proxies = [\"127.0.0.0/8\"]";
    let gateway = Gateway::start(&upstream(&application.url(), trusted)).await;
    let headers = [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "from-the-proxy"),
    ];
    let answer = gateway.send("GET", "/", &headers).await;
    assert_eq!(answer.header("x-request-id"), "from-the-proxy");
    let head = seen(&application);
    for line in
        ["x-forwarded-for: 192.0.2.1, 127.0.0.1", "x-forwarded-proto: https", "x-request-id: from-the-proxy"]
    {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} is not in {head}");
    }
}

#[tokio::test]
async fn our_tokens_stay_here_and_the_application_keeps_its_own() {
    let application = Scripted::start(vec![ok(), ok()]).await;
    let gateway = Gateway::start(&upstream(&application.url(), "")).await;
    let ours = sign(&claims());
    let cookie = format!("sessionid=s1; mediagate_token={ours}; theme=dark");
    let bearer = format!("Bearer {ours}");
    let path = format!("/page?a=1&token={ours}&b=2");
    assert_eq!(
        gateway.send("GET", &path, &[("cookie", &cookie), ("authorization", &bearer)]).await.status,
        200
    );
    let head = application.heads().remove(0).1;
    assert!(!head.contains(&ours) && !head.contains("mediagate_token"), "{head}");
    assert!(head.starts_with("GET /page?a=1&b=2 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("cookie: sessionid=s1; theme=dark\r\n"), "{head}");

    let headers = [("authorization", "Token 1234"), ("cookie", "sessionid=s1")];
    assert_eq!(gateway.send("GET", "/user/signup?token=invite", &headers).await.status, 200);
    let head = application.heads().remove(1).1;
    assert!(
        head.starts_with("GET /user/signup?token=invite ") && head.contains("authorization: Token 1234\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn an_application_that_is_away_or_silent_is_502_or_504_with_a_page_for_people() {
    let gateway = Gateway::start(&upstream("http://127.0.0.1:1", "")).await;
    let problem = gateway.send("GET", "/", &[]).await;
    assert_eq!((problem.status, problem.code().as_str()), (502, "upstream_unreachable"));
    let page = gateway.send("GET", "/", &[("accept", "text/html,*/*")]).await;
    assert_eq!((page.status, page.header("content-type")), (502, "text/html; charset=utf-8"));

    let application = Scripted::start(vec![vec![Step::Head, Step::Hang]]).await;
    let silent = format!("[upstream]\nurl = \"{}\"\ntimeout = \"200ms\"\n", application.url());
    let answer = Gateway::start(&silent).await.send("GET", "/", &[]).await;
    assert_eq!((answer.status, answer.code().as_str()), (504, "upstream_timeout"));
}

#[tokio::test]
async fn answers_come_back_as_they_are() {
    let headers = [
        ("content-length", "5"),
        ("set-cookie", "sessionid=1; HttpOnly"),
        ("set-cookie", "csrftoken=2"),
        ("location", "/next"),
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("cache-control", "public"),
    ];
    let answer = response("302 Found", &headers, b"moved");
    let application = Scripted::start(vec![vec![Step::Head, Step::Send(answer)]]).await;
    let gateway = Gateway::start(&upstream(&application.url(), "")).await;
    let answer = gateway.send("GET", "/", &[]).await;
    assert_eq!((answer.status, answer.text().as_str()), (302, "moved"));
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);
    assert_eq!((answer.header("location"), answer.header("cache-control")), ("/next", "public"));
    assert_eq!(answer.header("x-hop"), "");
}

#[tokio::test]
async fn events_arrive_one_by_one() {
    use http_body_util::BodyExt as _;
    let head =
        response("200 OK", &[("content-type", "text/event-stream"), ("transfer-encoding", "chunked")], b"");
    let chunk = |text: &str| Step::Send(format!("{:x}\r\n{text}\r\n", text.len()).into_bytes());
    let script = vec![
        Step::Head,
        Step::Send(head),
        chunk("data: 1\n\n"),
        Step::Wait,
        chunk("data: 2\n\n"),
        Step::Hang,
    ];
    let application = Scripted::start(vec![script]).await;
    let gateway = Gateway::start(&upstream(&application.url(), "")).await;
    let mut answer = open(gateway.address, "GET", "/events", &[]).await;
    let first = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&first[..], b"data: 1\n\n");
    application.go();
    let second = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(&second[..], b"data: 2\n\n");
}

#[tokio::test]
async fn a_websocket_is_joined_byte_by_byte() {
    let switch =
        response("101 Switching Protocols", &[("connection", "Upgrade"), ("upgrade", "websocket")], b"hello");
    let application = Scripted::start(vec![vec![Step::Head, Step::Send(switch), Step::Head]]).await;
    let gateway = Gateway::start(&upstream(&application.url(), "")).await;
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    let request = b"GET /ws HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-key: k\r\n\r\n";
    socket.write_all(request).await.unwrap();
    let mut got = Vec::new();
    while !got.ends_with(b"hello") {
        got.push(socket.read_u8().await.unwrap());
    }
    assert!(got.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&got));
    // The scripted server reads on up to an empty line; what it got shows that bytes go the other way too.
    socket.write_all(b"from the client\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    assert_eq!(application.heads().remove(1).1, "from the client\r\n\r\n");
}

#[tokio::test]
async fn only_a_websocket_switches() {
    let switch = response("101 Switching Protocols", &[("connection", "Upgrade"), ("upgrade", "other")], b"");
    let application = Scripted::start(vec![vec![Step::Head, Step::Send(switch), Step::Hang]]).await;
    let gateway = Gateway::start(&upstream(&application.url(), "")).await;
    let request = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, close\r\nupgrade: h2c\r\n\r\n";
    let answer = raw(gateway.address, request).await;
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(!seen(&application).contains("upgrade"), "{}", seen(&application));
}

/// Bytes behind a refused upgrade are a request of their own, judged like any other, and never passed on unread.
#[tokio::test]
async fn a_refused_upgrade_smuggles_nothing() {
    let application = Scripted::start(vec![ok(), ok()]).await;
    let gateway = Gateway::start(&upstream(&application.url(), "[access]\nallow = [\"127.0.0.0/8\"]")).await;
    let request = b"GET /ws HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n\
                    GET /media/media/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = raw(gateway.address, request).await;
    // The answer to the first is whole: its connection was not joined to anything.
    assert!(answers.contains("HTTP/1.1 200 ") && answers.contains("\r\n\r\nok"), "{answers}");
    assert!(answers.contains("token_missing"), "{answers}");
    assert_eq!(application.heads().len(), 1);
}

#[tokio::test]
async fn media_requests_with_a_body_are_refused_and_the_connection_closed() {
    let application = Scripted::start(vec![ok()]).await;
    let gateway = Gateway::start(&upstream(&application.url(), "")).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n";
    for (head, want) in [
        (format!("GET /media/media/a HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", smuggled.len()), "400"),
        ("GET /media/media/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), "400"),
        ("GET /media/media/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n".to_owned(), "400"),
        (format!("POST /media/media/a HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", smuggled.len()), "405"),
        ("PUT /media/media/a HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".to_owned(), "405"),
    ] {
        let answer = raw(gateway.address, format!("{head}{smuggled}").as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {want} ")), "{head}: {answer}");
        assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{head}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{head}: {answer}");
    }
    assert!(application.heads().is_empty(), "{:?}", application.heads());
}

/// Every spelling that an application would read as one of the media paths is ours, and none slips through to it.
#[tokio::test]
async fn no_spelling_of_a_media_path_reaches_the_application() {
    let application = Scripted::start(vec![ok()]).await;
    let gateway = Gateway::start(&upstream(&application.url(), "")).await;
    for path in [
        "/tasks/7/resolve/?fileuri=s3://media/a",
        "/tasks/7/resolve?fileuri=s3://media/a",
        "//tasks/7/resolve/?fileuri=s3://media/a",
        "/tasks/7//resolve/?fileuri=s3://media/a",
        "/tasks/7/%72esolve/?fileuri=s3://media/a",
        "/tasks/./7/presign/?fileuri=s3://media/a",
        "/projects/7/resolve/?fileuri=s3://media/a",
        "/media/media/a",
    ] {
        let answer = gateway.send("GET", path, &[]).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_missing"), "{path}");
    }
    // Servers differ in what this means, so it means nothing.
    let answer = gateway.send("GET", "/x/../tasks/7/resolve/?fileuri=s3://media/a", &[]).await;
    assert_eq!((answer.status, answer.code().as_str()), (400, "object_uri_invalid"));
    assert!(application.heads().is_empty(), "{:?}", application.heads());
}

/// A Label Studio with a script name has the same paths under it, and its own storages behind them.
#[tokio::test]
async fn media_paths_are_guarded_under_the_prefix_of_the_application() {
    let application = Scripted::start(vec![ok(), ok()]).await;
    let config = format!("[upstream]\nurl = \"{}\"\nprefix = \"/ls\"\n", application.url());
    let gateway = Gateway::start(&config).await;
    for path in ["/ls/tasks/7/resolve/?fileuri=s3://media/a", "/tasks/7/resolve/?fileuri=s3://media/a"] {
        let answer = gateway.send("GET", path, &[]).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_missing"), "{path}");
    }
    assert!(application.heads().is_empty(), "{:?}", application.heads());
    assert_eq!(gateway.send("GET", "/ls/projects/", &[]).await.status, 200);
    let head = seen(&application);
    assert!(head.starts_with("get /ls/projects/ "), "the prefix goes on: {head}");
}

/// uWSGI's HTTP router, which Label Studio's image runs, closes after each answer and does not say so.
#[tokio::test]
async fn an_application_that_closes_unannounced_loses_no_request() {
    let answer = response("200 OK", &[("content-length", "2")], b"ok");
    let closing = vec![Step::Head, Step::Send(answer), Step::Head, Step::Reset];
    let application = Scripted::start(vec![closing, ok()]).await;
    let gateway = Gateway::start(&upstream(&application.url(), "")).await;
    for number in 0..2 {
        assert_eq!(gateway.send("POST", "/api/tasks", &[]).await.text(), "ok", "request {number}");
    }
    assert_eq!(application.heads()[1].0, 1, "the second came by a connection of its own");
}
