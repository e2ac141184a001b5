//! Attacks on the gateway as a whole: what a hostile client, object store or typing error must not achieve.

use std::sync::Arc;

use http_body_util::BodyExt as _;
use mediagate::{app::App, config::Config, lifecycle::Lifecycle};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::support::{
    clock,
    gateway::{Gateway, claims, open, raw, sign, storage, token},
    s3::{S3Server, SECRET_ACCESS_KEY},
    scripted::{Scripted, Step, response},
};

fn upstream(url: &str, more: &str) -> String {
    format!("{more}\n[upstream]\nurl = \"{url}\"\n")
}

fn ok() -> Vec<Step> {
    vec![
        Step::Head,
        Step::Send(response("200 OK", &[("content-length", "2"), ("connection", "close")], b"ok")),
    ]
}

/// What the application got of a request that is sent byte by byte, in lower case.
async fn forwarded(config: &str, head: &str) -> String {
    let application = Scripted::start(vec![ok()]).await;
    let gateway = Gateway::start(&upstream(&application.url(), config)).await;
    let answer = raw(gateway.address, format!("{head}connection: close\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{head}: {answer}");
    application.heads().remove(0).1.to_lowercase()
}

/// A store that ignores `Range` must not have its whole object passed off as a part of it.
#[tokio::test]
async fn a_part_that_is_not_the_part_cuts_the_answer() {
    let headers = [("content-length", "10"), ("etag", "\"e\""), ("connection", "close")];
    let answer = |body: &[u8]| vec![Step::Head, Step::Send(response("200 OK", &headers, body))];
    let s3 = Scripted::start(vec![answer(b""), answer(b"0123456789"), answer(b"0123456789")]).await;
    let gateway = Gateway::start(&storage(&s3.url(), "delivery = \"stream\"")).await;
    let bearer = format!("Bearer {}", token());
    let headers = [("authorization", bearer.as_str()), ("range", "bytes=0-1,4-5")];
    let answer = open(gateway.address, "GET", "/media/media/a", &headers).await;
    assert_eq!(answer.status(), 206);
    let body = answer.into_body().collect().await;
    assert!(body.is_err(), "{:?}", body.unwrap().to_bytes());
}

/// An answer takes the place of the request's headers in memory, and of a request before it on the same connection.
#[tokio::test]
async fn no_header_of_a_request_comes_back() {
    let s3 = S3Server::start().await;
    s3.put("media", "a.txt", b"0123456789");
    for gateway in [Gateway::streaming(&s3).await, Gateway::redirecting(&s3).await] {
        // hyper takes up to a hundred.
        for count in [1, 40, 90] {
            let marks = |n| format!("x-mark-{n}: marked\r\ncookie: mark-{n}=marked\r\n");
            let marks: String = (0..count).step_by(2).map(marks).collect();
            for (method, key, more, want) in [
                ("GET", "a.txt", "", &["200 OK", "303 See Other"][..]),
                ("HEAD", "a.txt", "", &["200 OK", "303 See Other"]),
                ("GET", "a.txt", "range: bytes=0-3\r\n", &["206 Partial Content", "303 See Other"]),
                ("GET", "a.txt", "range: bytes=0-1,4-5\r\n", &["206 Partial Content", "303 See Other"]),
                ("GET", "a.txt", "if-none-match: *\r\n", &["304 Not Modified", "303 See Other"]),
                ("GET", "absent.txt", "", &["404 Not Found", "303 See Other"]),
            ] {
                let bearer = token();
                let request = |more: &str| {
                    format!(
                        "{method} /media/media/{key} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {bearer}\r\n{more}\r\n"
                    )
                };
                let requests =
                    [request(&format!("{marks}{more}")), request(&format!("{more}connection: close\r\n"))];
                let answers = raw(gateway.address, requests.concat().as_bytes()).await;
                let found = want.iter().map(|want| answers.matches(&format!("HTTP/1.1 {want}\r\n")).count());
                assert_eq!(found.sum::<usize>(), 2, "{method} {key} {more}: {answers}");
                assert!(
                    !answers.contains("mark") && !answers.contains(&bearer),
                    "{method} {key} {more}: {answers}"
                );
            }
        }
    }
}

#[test]
fn a_configuration_error_shows_no_secret() {
    const SECRET: &str = "4711081547110815";
    let storage = "[[storages]]\nname = \"media\"\nbucket = \"media\"\naccess_key_id = \"a\"\n";
    for text in [
        format!("[admin]\ntoken = {SECRET}\n"),
        format!("[admin]\ntoken = {SECRET}.5\n"),
        format!("[admin]\ntoken = \"{SECRET}\n"),
        format!("[admin]\ntoken = x{SECRET}\n"),
        format!("[admin]\ntoken = \"{SECRET}\" # the bearer\ntoken = \"{SECRET}\"\n"),
        format!("admin = \"{SECRET}\"\n"),
        format!("[[access.keys]]\nid = \"k1\"\nalgorithm = \"HS256\"\nsecret = {SECRET}\n"),
        format!("[access]\nkeys = [{{ id = \"k1\", secret = \"{SECRET}\" ]\n"),
        format!("{storage}secret_access_key = {SECRET}\n"),
        format!("{storage}secret_access_key = \"{SECRET}\\q\"\n"),
        format!("{storage}session_token = {SECRET}\n"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mediagate.toml");
        std::fs::write(&path, &text).unwrap();
        let error = Config::load(&path).unwrap_err().to_string();
        assert!(!error.contains(SECRET), "{error}");
        assert!(error.contains("mediagate.toml"), "{error}");
    }
}

#[tokio::test]
async fn our_token_stays_here_however_it_is_sent() {
    let ours = sign(&claims());
    for lines in [
        format!("authorization: Token 1234\r\nauthorization: Bearer {ours}\r\n"),
        format!("authorization: Bearer\t{ours}\r\n"),
        format!("authorization: bEARER   {ours}\r\n"),
        format!("cookie: a=1\r\ncookie: mediagate_token={ours}\r\n"),
        format!("cookie: a=1;mediagate_token = {ours};b=2\r\n"),
        format!("referer: http://x/page?a=1&token={ours}\r\n"),
        format!("referer: http://x/page?token={ours}\r\n"),
    ] {
        let head = forwarded("", &format!("GET /next HTTP/1.1\r\nhost: x\r\n{lines}")).await;
        assert!(!head.contains(&ours.to_lowercase()), "{lines}: {head}");
        for kept in ["token 1234", "a=1", "http://x/page"] {
            assert_eq!(head.contains(kept), lines.to_lowercase().contains(kept), "{kept}: {head}");
        }
    }
}

/// HTTP/2 clients send each cookie in a line of its own, which HTTP/1.1 applications read as one or not at all.
#[tokio::test]
async fn cookies_reach_the_application_in_one_line_byte_by_byte() {
    let application = Scripted::start(vec![ok()]).await;
    let gateway = Gateway::start(&upstream(&application.url(), "")).await;
    let socket = TcpStream::connect(gateway.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("http://app.example.org/page")
        .header("cookie", "sessionid=s1")
        .header("cookie", "csrftoken=c1")
        .header("cookie", "theme=dark")
        .body(())
        .unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    let head = application.heads().remove(0).1;
    assert!(head.contains("\r\ncookie: sessionid=s1; csrftoken=c1; theme=dark\r\n"), "{head}");
}

/// CGI-like servers (WSGI among them) cannot tell `X_Forwarded_For` from `X-Forwarded-For`.
#[tokio::test]
async fn a_stranger_cannot_speak_for_a_proxy_in_any_spelling() {
    for name in [
        "X_Forwarded_For",
        "X-Forwarded_For",
        "x_forwarded_proto",
        "X_Real_IP",
        "X_Request_ID",
        "X-Forwarded",
        "X-Forwarded-Ssl",
        "X-Forwarded-Scheme",
        "X-Forwarded-Protocol",
        "X-Forwarded-Server",
        "X-Real-IP",
        "X-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Original-URL",
        "X-Rewrite-URL",
    ] {
        let head =
            forwarded("", &format!("GET / HTTP/1.1\r\nhost: x\r\n{name}: forged\r\nx-app: kept\r\n")).await;
        assert!(!head.contains("forged") && head.contains("x-app: kept"), "{name}: {head}");
    }
}

/// A trusted proxy writes the one configured header; the client may have written all others.
#[tokio::test]
async fn only_the_configured_header_of_a_trusted_proxy_goes_on() {
    let trusted = "[access]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let forwarded_mode = format!("{trusted}client_address = \"forwarded\"\n");
    for (config, lines, want) in [
        (trusted, "x-forwarded-for: 192.0.2.1\r\nforwarded: for=6.6.6.6\r\n", "192.0.2.1, 127.0.0.1"),
        (trusted, "x-forwarded-for: 192.0.2.1\r\nx-real-ip: 6.6.6.6\r\n", "192.0.2.1, 127.0.0.1"),
        (trusted, "x_forwarded_for: 6.6.6.6\r\n", "127.0.0.1"),
        (&forwarded_mode, "forwarded: for=192.0.2.1\r\nx-forwarded-for: 6.6.6.6\r\n", "192.0.2.1, 127.0.0.1"),
        (&forwarded_mode, "x-forwarded-for: 6.6.6.6\r\n", "127.0.0.1"),
    ] {
        let head = forwarded(config, &format!("GET / HTTP/1.1\r\nhost: x\r\n{lines}")).await;
        assert!(!head.contains("6.6.6.6"), "{lines}: {head}");
        assert!(head.contains(&format!("\r\nx-forwarded-for: {want}\r\n")), "{lines}: {head}");
    }
}

/// The hole of CVE-2022-31813: headers that a client names in `Connection` vanish on the way.
#[tokio::test]
async fn connection_takes_no_header_away_that_speaks_for_the_client() {
    let trusted = "[access]\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
    let lines = "x-forwarded-for: 192.0.2.1\r\nx-forwarded-proto: https\r\nx-forwarded-host: app.example.org\r\n\
                 connection: x-forwarded-for, X-Forwarded-Proto, x-forwarded-host, x-real-ip, host, x-request-id\r\n";
    let head = forwarded(trusted, &format!("GET / HTTP/1.1\r\nhost: app.example.org\r\n{lines}")).await;
    for line in [
        "x-forwarded-for: 192.0.2.1, 127.0.0.1",
        "x-forwarded-proto: https",
        "x-forwarded-host: app.example.org",
        "host: app.example.org",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} is not in {head}");
    }
}

/// The length of a body is what was read, whatever `Connection` names and however the body came.
#[tokio::test]
async fn a_forwarded_body_is_framed_once_and_whole() {
    for (request, framing) in [
        (
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 7\r\nconnection: close, content-length\r\n\r\nh\r\n\r\nok",
            "content-length: 7",
        ),
        (
            "GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 7\r\nconnection: close\r\n\r\nh\r\n\r\nok",
            "content-length: 7",
        ),
        (
            "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close, transfer-encoding\r\n\r\n7\r\nh\r\n\r\nok\r\n0\r\n\r\n",
            "transfer-encoding: chunked",
        ),
        (
            "GET / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n7\r\nh\r\n\r\nok\r\n0\r\n\r\n",
            "transfer-encoding: chunked",
        ),
    ] {
        let mut script = vec![Step::Head];
        if framing.starts_with("transfer") {
            // The chunks end in an empty line each, as a head does.
            script.extend([Step::Head, Step::Head]);
        }
        script.extend(ok().into_iter().skip(1));
        let application = Scripted::start(vec![script]).await;
        let gateway = Gateway::start(&upstream(&application.url(), "")).await;
        let answer = raw(gateway.address, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{request}: {answer}");
        let seen: String = application.heads().into_iter().map(|(_, text)| text).collect();
        assert_eq!(
            seen.to_lowercase().matches("content-length").count() + seen.matches("transfer-encoding").count(),
            1,
            "{seen}"
        );
        assert!(seen.contains(framing) && seen.contains("h\r\n\r\nok"), "{request}: {seen}");
    }
}

#[tokio::test]
async fn the_host_that_goes_on_is_a_host() {
    let head = forwarded("", "GET http://user:pass@app.example.org:81/x HTTP/1.1\r\nhost: other\r\n").await;
    assert!(head.starts_with("get /x http/1.1\r\n") && !head.contains("user:pass"), "{head}");
    assert!(head.contains("\r\nhost: app.example.org:81\r\n"), "{head}");
    assert!(head.contains("\r\nx-forwarded-host: app.example.org:81\r\n"), "{head}");
}

/// Whom the PROXY protocol is believed from is reloaded as the rest of the section is.
#[tokio::test]
async fn a_proxy_that_is_no_longer_trusted_is_no_longer_believed() {
    let config = |trusted: &str| {
        format!(
            "[server]\nproxy_protocol = \"optional\"\n[access]\nallow = [\"192.0.2.0/24\"]\ntrusted_proxies = [{trusted}]\n"
        )
    };
    let gateway = Gateway::start(&config("\"127.0.0.0/8\"")).await;
    let request = b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\nGET /media/media/a HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = raw(gateway.address, request).await;
    assert!(answer.contains("token_missing"), "{answer}");
    gateway.reload(&config(""));
    gateway.metric_becomes("mediagate_config_reloads_total", &["loaded"], 1.0).await;
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    socket.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // Closed, or reset since the request was not read.
    let read = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut answer).await;
    assert!(answer.is_empty(), "{read:?} {}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn an_empty_admin_token_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, empty) = (folder.path().join("mediagate.toml"), folder.path().join("token"));
    std::fs::write(&empty, "\n").unwrap();
    for line in [
        "token = \"\"".to_owned(),
        "token = \" \"".to_owned(),
        format!("token_file = \"{}\"", empty.display()),
    ] {
        std::fs::write(
            &path,
            format!(
                "[store]\nurl = \"sqlite::memory:\"\n[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n{line}\n"
            ),
        )
        .unwrap();
        let config = Config::load(&path).unwrap();
        let built = App::build(&config, Arc::new(Lifecycle::new()), clock).await;
        let error = built.map(drop).unwrap_err().to_string();
        assert!(error.contains("admin.token"), "{line}: {error}");
    }
}

#[test]
fn what_is_known_of_a_request_prints_no_query() {
    let target = http::Uri::from_static("/media/media/a?token=top-secret");
    let record = mediagate::gateway::observe::Record::new(
        http::HeaderValue::from_static("id"),
        http::Method::GET,
        target,
    );
    let text = format!("{record:?}");
    assert!(!text.contains("top-secret"), "{text}");
}

/// The form of the target and the words around it change nothing of what is guarded.
#[tokio::test]
async fn every_form_of_target_is_guarded_alike() {
    let application = Scripted::start(vec![ok()]).await;
    let gateway = Gateway::start(&upstream(&application.url(), "")).await;
    for (head, status, code) in [
        ("GET http://evil.example/media/media/a HTTP/1.1\r\nhost: x\r\n", 401, "token_missing"),
        (
            "GET http://evil.example/tasks/7/resolve?fileuri=s3://media/a HTTP/1.1\r\nhost: x\r\n",
            401,
            "token_missing",
        ),
        ("GET /media/media/a HTTP/1.0\r\n", 401, "token_missing"),
        ("GET /media/media/a?token=a&token=b HTTP/1.1\r\nhost: x\r\n", 401, "token_ambiguous"),
        (
            "GET /tasks/7/resolve?fileuri=s3://media/a&file%75ri=s3://media/b HTTP/1.1\r\nhost: x\r\n",
            400,
            "object_uri_invalid",
        ),
        ("GET /media/media/a%2f..%2fb HTTP/1.1\r\nhost: x\r\n", 400, "object_uri_invalid"),
        ("GET /media/media/a%c0%ae HTTP/1.1\r\nhost: x\r\n", 400, "object_uri_invalid"),
        ("GET /media/media/a%00 HTTP/1.1\r\nhost: x\r\n", 400, "object_uri_invalid"),
        ("CONNECT media:443 HTTP/1.1\r\nhost: x\r\n", 400, "request_invalid"),
        ("CONNECT http://app.example/page HTTP/1.1\r\nhost: x\r\n", 400, "request_invalid"),
        ("get /media/media/a HTTP/1.1\r\nhost: x\r\n", 405, "method_not_allowed"),
    ] {
        let answer = raw(gateway.address, format!("{head}connection: close\r\n\r\n").as_bytes()).await;
        let line = answer.lines().next().unwrap_or_default().to_owned();
        assert!(line.contains(&format!(" {status} ")) && answer.contains(code), "{head}: {answer}");
    }
    assert!(application.heads().is_empty(), "{:?}", application.heads());
}

/// The largest times a token may have are times like any other: nothing overflows.
#[tokio::test]
async fn the_end_of_time_is_no_panic() {
    let s3 = S3Server::start().await;
    s3.put("media", "a", b"abc");
    let gateway = Gateway::redirecting(&s3).await;
    let mut claims = claims();
    claims["exp"] = (1_u64 << 53).into();
    for (delivery, status) in [("redirect", 303), ("stream", 200)] {
        claims["delivery"] = delivery.into();
        let path = format!("/media/media/a?token={}", sign(&claims));
        for _ in 0..2 {
            assert_eq!(gateway.send("GET", &path, &[]).await.status, status, "{delivery}");
        }
    }
}

/// Two names are one for each of two readers: the proxy in front may have judged the other.
#[tokio::test]
async fn a_request_has_one_host() {
    let application = Scripted::start(vec![ok()]).await;
    let gateway = Gateway::start(&upstream(&application.url(), "")).await;
    let answer = raw(gateway.address, b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("request_invalid"), "{answer}");
    assert!(application.heads().is_empty(), "{:?}", application.heads());
}

/// A reload takes time. What is revoked meanwhile is seen by the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_revocation_during_a_reload_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (revoked, pipe) = (folder.path().join("revoked.jsonl"), folder.path().join("secret"));
    std::fs::write(&revoked, "").unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // The secret is read after the revocations, and from a pipe: whoever opens it for writing meets the reader.
    let (list, secret) = (revoked.clone(), pipe.clone());
    // The pipe is opened again only when its last reader is known to be gone, lest one reader get two secrets.
    let (read, was_read) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for reads in 1.. {
            let Ok(mut pipe) = std::fs::OpenOptions::new().write(true).open(&secret) else { return };
            if reads == 2 {
                std::fs::write(&list, "{\"jti\":\"token-1\"}\n").unwrap();
            }
            std::io::Write::write_all(&mut pipe, SECRET_ACCESS_KEY.as_bytes()).unwrap();
            drop(pipe);
            if was_read.recv().is_err() {
                return;
            }
        }
    });
    let config = storage("http://127.0.0.1:1", "delivery = \"redirect\"").replace(
        &format!("secret_access_key = \"{SECRET_ACCESS_KEY}\""),
        &format!("secret_access_key_file = \"{}\"", pipe.display()),
    );
    let config = format!("[access]\nrevocations_file = \"{}\"\n{config}", revoked.display());
    let gateway = Gateway::start(&config).await;
    read.send(()).unwrap();
    let mut mine = claims();
    mine["jti"] = "token-1".into();
    let path = format!("/media/media/a?token={}", sign(&mine));
    assert_eq!(gateway.send("GET", &path, &[]).await.status, 303);
    gateway.reload(&config);
    gateway.metric_becomes("mediagate_config_reloads_total", &["loaded"], 1.0).await;
    read.send(()).unwrap();
    gateway.metric_becomes("mediagate_config_reloads_total", &["loaded"], 2.0).await;
    assert_eq!(gateway.send("GET", &path, &[]).await.code(), "token_revoked");
    gateway.stop().await;
}
