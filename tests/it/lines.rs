//! What is written of requests: one access line each, one audit line for each decision, and no secret in either.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::{
    gateway::{ADMIN, Gateway, SECRET, claims, sign, storage},
    s3::{S3Server, SECRET_ACCESS_KEY},
};

/// The log of this thread; the gateway of a test runs on it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The fields of the lines of one target. Every line must be JSON of its own, whatever was asked for.
    fn of(&self, target: &str) -> Vec<Value> {
        let lines = self.text();
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
        lines.filter(|line| line["target"] == target).collect()
    }

    /// Waits until a target has this many lines: a line is written after the last byte of its answer.
    async fn until(&self, target: &str, lines: usize) -> Vec<Value> {
        let written = async {
            while self.of(target).len() < lines {
                tokio::task::yield_now().await;
            }
        };
        let written = tokio::time::timeout(Duration::from_secs(5), written).await;
        assert!(written.is_ok(), "fewer than {lines} lines of {target} in {}", self.text());
        self.of(target)
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Everything that the gateway has to say, in the form that `serve` writes.
fn listen() -> (Log, DefaultGuard) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_env_filter("info,mediagate=trace")
        .finish();
    // With one subscriber alone, a line that another thread's test comes to first is asked for there, where nobody wants
    // it, and stays unwanted everywhere.
    let _is_second = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    (log, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn every_request_has_its_line_and_every_decision_one_more() {
    let (log, _guard) = listen();
    let s3 = S3Server::start().await;
    s3.put("media", "a\nlevel=error", b"abc");
    let gateway = Gateway::start(&storage(&s3.url(), "delivery = \"stream\"")).await;
    let mut claims = claims();
    claims["jti"] = "jti-that-stays-here".into();
    claims["task"] = 7.into();
    let token = sign(&claims);
    claims["objects"] = serde_json::json!(["s3://media/other"]);
    let narrow = sign(&claims);
    for (path, want) in [
        (format!("/media/media/a%0Alevel=error?token={token}"), 200),
        (format!("/media/media/a%0Alevel=error?token={narrow}"), 403),
        ("/media/media/a?token=rubbish".to_owned(), 401),
        ("/elsewhere?token=rubbish".to_owned(), 404),
    ] {
        assert_eq!(gateway.send("GET", &path, &[]).await.status, want, "{path}");
    }
    let access = log.until("mediagate::access", 4).await;
    let codes: Vec<_> = access.iter().map(|line| line["code"].as_str().unwrap_or("-")).collect();
    assert_eq!(codes, ["-", "object_not_granted", "token_malformed", "not_found"]);
    for (name, want) in [
        ("method", Value::from("GET")),
        ("route", "media".into()),
        ("path", "/media/media/a%0Alevel=error".into()),
        ("status", 200.into()),
        ("client", "127.0.0.1".into()),
        ("bytes", 3.into()),
        ("outcome", "complete".into()),
    ] {
        assert_eq!(access[0][name], want, "{name}");
    }
    let audit = log.until("mediagate::audit", 3).await;
    assert_eq!(audit.len(), 3, "{audit:?}");
    for (row, name, want) in [
        (0, "sub", Value::from("ann")),
        (0, "kid", "k1".into()),
        // The beginning of the SHA-256 of the jti above.
        (0, "jti_hash", "671e6c889d813309".into()),
        (0, "task", "7".into()),
        (0, "bucket", "media".into()),
        (0, "key", "a\nlevel=error".into()),
        (0, "client", "127.0.0.1".into()),
        (0, "delivery", "stream".into()),
        (0, "bytes", 3.into()),
        (0, "outcome", "complete".into()),
        (1, "sub", "ann".into()),
        (1, "key", "a\nlevel=error".into()),
        (1, "code", "object_not_granted".into()),
        (1, "outcome", "denied".into()),
        (2, "key", "a".into()),
        (2, "sub", Value::Null),
        (2, "code", "token_malformed".into()),
    ] {
        assert_eq!(audit[row][name], want, "{row} {name}");
    }
}

#[tokio::test]
async fn no_line_has_a_secret() {
    let (log, _guard) = listen();
    let s3 = S3Server::start().await;
    s3.put("media", "a", b"abc");
    let mut claims = claims();
    claims["jti"] = "jti-that-stays-here".into();
    let mut secrets = vec![SECRET.to_owned(), SECRET_ACCESS_KEY.to_owned(), "jti-that-stays-here".to_owned()];
    let gateway = Gateway::start(&storage(&s3.url(), "delivery = \"redirect\"")).await;
    let mut requests = 0;
    for delivery in ["redirect", "stream"] {
        claims["delivery"] = delivery.into();
        let token = sign(&claims);
        let (bearer, cookie) = (format!("Bearer {token}"), format!("mediagate_token={token}"));
        let query = format!("token={token}");
        for (path, header) in [
            ("/media/media/a".to_owned(), ("authorization", bearer.as_str())),
            ("/media/media/a".to_owned(), ("cookie", &cookie)),
            (format!("/media/media/a?{query}"), ("x", "x")),
            (format!("/media/media/absent?{query}"), ("x", "x")),
            (format!("/media/other/a?{query}"), ("x", "x")),
            (format!("/media/media/a?{query}&{query}"), ("x", "x")),
            (format!("/media/media/../a?{query}"), ("x", "x")),
            (format!("/elsewhere?{query}"), ("referer", &format!("http://x/?{query}"))),
        ] {
            let answer = gateway.send("GET", &path, &[header]).await;
            if let Some((_, signature)) = answer.header("location").split_once("X-Amz-Signature=") {
                secrets.push(signature.to_owned());
            }
            requests += 1;
        }
        secrets.extend(token.split('.').skip(1).map(str::to_owned));
    }
    log.until("mediagate::access", requests).await;
    let text = log.text();
    assert!(secrets.len() > 8, "the redirects were signed: {secrets:?}");
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} is in {text}");
    }
}

/// The program as it is run; a test that fails leaves none behind.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Lines are gathered before they are written; the end writes what waits, also of a request that it cuts.
#[test]
fn the_program_writes_every_line_before_it_ends() {
    const REQUESTS: usize = 50;
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{ADMIN}\"\n[store]\n\
         url = \"sqlite::memory:\"\n[[access.keys]]\nid = \"k1\"\nalgorithm = \"HS256\"\nsecret = \"{SECRET}\"\n\
         [upstream]\nurl = \"http://{}\"\n",
        upstream.local_addr().unwrap()
    );
    let file = folder.path().join("mediagate.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mediagate"));
    command.env_remove("RUST_LOG").arg("serve").arg("--config").arg(&file);
    let mut program = Program(command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let stop = ["-TERM".to_owned(), program.0.id().to_string()];
    let stop = || assert!(Command::new("kill").args(&stop).status().unwrap().success());
    let lines = BufReader::new(program.0.stderr.take().unwrap()).lines();
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let mut seen = Vec::new();
    let mut until = |message: &str| {
        while seen.last().is_none_or(|line: &Value| line["message"] != message) {
            seen.push(lines.next().expect(message));
        }
        seen.last().cloned().unwrap()
    };
    let public = until("serving")["public"].as_str().unwrap().to_owned();
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(&public).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        stream
    };
    let _in_flight = ask("/in-flight");
    let _unanswered = upstream.accept().unwrap();
    for _ in 0..REQUESTS {
        let mut answer = String::new();
        ask("/media/media/a").read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    stop();
    until("stopping: finishing what is in flight");
    stop();
    seen.extend(lines);
    assert!(program.0.wait().unwrap().success());
    for (path, want) in [("/media/media/a", REQUESTS), ("/in-flight", 1)] {
        let of_it = |line: &&Value| line["target"] == "mediagate::access" && line["path"] == path;
        assert_eq!(seen.iter().filter(of_it).count(), want, "{path} in {seen:?}");
    }
}
