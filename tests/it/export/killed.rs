//! A process that is killed at random moments while S3 fails: what it acknowledged is in the bucket in the end.

use std::{
    fs::File,
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{ANNOTATIONS, BUCKET, TARGETS, annotation, ask, fields, objects, until, value};
use crate::support::{
    gateway::{ADMIN, SECRET, send},
    s3::{Fault, S3Server},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_annotations_survive_ten_kills() {
    survive(1_000, 10).await;
}

/// Takes minutes: `cargo test --release --test it -- --ignored a_hundred_thousand`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn a_hundred_thousand_annotations_survive_fifty_kills() {
    survive(100_000, 50).await;
}

/// The program as it is run.
struct Program {
    folder: TempDir,
    admin: SocketAddr,
    child: Option<Child>,
}

/// Two states of each annotation are sent, the newer first as often as last, and some are sent twice; whoever gets no
/// answer sends again.
#[expect(clippy::print_stdout, reason = "the figures are what the long one is run for")]
async fn survive(annotations: i64, kills: u64) {
    let s3 = S3Server::start().await;
    s3.bucket(BUCKET);
    let mut program = Program::new();
    program.start().await;
    let made = ask(program.admin, "POST", TARGETS, &fields(&s3, &json!({}))).await.unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    let begun = Instant::now();
    let (up, is_up) = watch::channel(true);
    let acknowledged = Arc::new(watch::Sender::new(0_u64));
    let mut senders = JoinSet::new();
    let count = u64::try_from(annotations).unwrap();
    for requests in requests(annotations) {
        senders.spawn(send_all(program.admin, requests, is_up.clone(), Arc::clone(&acknowledged)));
    }
    let mut progress = acknowledged.subscribe();
    for kill in 1..=kills {
        let at = kill * count * 2 / (kills + 1) + fastrand::u64(..=count / kills / 2);
        progress.wait_for(|acknowledged| *acknowledged >= at).await.unwrap();
        up.send_replace(false);
        program.kill();
        weather(&s3, kill, kills);
        program.start().await;
        up.send_replace(true);
    }
    while let Some(sent) = senders.join_next().await {
        sent.unwrap();
    }
    let sent = begun.elapsed();
    s3.recover();
    let limit = Duration::from_mins(1) + Duration::from_millis(10) * u32::try_from(annotations).unwrap();
    tokio::time::timeout(limit, written(program.admin)).await.expect("all is written in time");
    let objects = objects(&s3.bucket(BUCKET));
    assert_eq!(objects.len(), usize::try_from(annotations).unwrap());
    for id in 0..annotations {
        assert_eq!(value(&objects[&format!("out/{id}")]), format!("new-{id}"));
    }
    let puts = s3.seen().iter().filter(|seen| seen.method == http::Method::PUT).count();
    println!(
        "{annotations} annotations, {kills} kills: sent in {sent:?}, all in the bucket after {:?}, {puts} PUTs",
        begun.elapsed()
    );
}

/// What each sender sends: small batches, in an order of its own.
fn requests(annotations: i64) -> Vec<Vec<Value>> {
    const SENDERS: i64 = 8;
    let of_sender = |sender| {
        let mut states: Vec<Value> = (0..annotations)
            .filter(|id| id % SENDERS == sender)
            .flat_map(|id| [annotation(id, 1, &format!("old-{id}")), annotation(id, 2, &format!("new-{id}"))])
            .collect();
        fastrand::shuffle(&mut states);
        let mut requests: Vec<Value> = states.chunks(5).map(|batch| json!(batch)).collect();
        let again = requests.iter().step_by(20).cloned().collect::<Vec<_>>();
        requests.extend(again);
        requests
    };
    (0..SENDERS).map(of_sender).collect()
}

async fn send_all(
    admin: SocketAddr,
    requests: Vec<Value>,
    mut is_up: watch::Receiver<bool>,
    acknowledged: Arc<watch::Sender<u64>>,
) {
    for request in requests {
        loop {
            if is_up.wait_for(|up| *up).await.is_err() {
                return;
            }
            match ask(admin, "POST", ANNOTATIONS, &request).await {
                Ok(answer) if answer.status == 200 => break,
                Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.text()),
                Err(_) => tokio::task::yield_now().await,
            }
        }
        let count = request.as_array().unwrap().len() as u64;
        acknowledged.send_modify(|sum| *sum += count);
    }
}

/// A third of the time S3 is away, a third it cuts every other request, and then it is well again.
fn weather(s3: &S3Server, kill: u64, kills: u64) {
    match kill * 3 / (kills + 1) {
        0 => s3.fail(|_, _| Some(Fault::Answer(503, "SlowDown"))),
        1 => s3.fail(|_, _| fastrand::bool().then_some(Fault::Cut)),
        _ => s3.recover(),
    }
}

/// Waits until the figures say that nothing waits. Asked now and then only: the program has enough to do.
async fn written(admin: SocketAddr) {
    let mut ticks = tokio::time::interval(Duration::from_millis(500));
    loop {
        ticks.tick().await;
        let page = ask(admin, "GET", &format!("{ANNOTATIONS}?limit=1"), &Value::Null).await.unwrap();
        let page: Value = serde_json::from_slice(&page.body).unwrap();
        if page["items"].as_array().unwrap().is_empty() {
            return;
        }
    }
}

/// Two free ports below those that clients are given, one of which would take the program's place while it is down.
fn ports() -> [SocketAddr; 2] {
    let mut free =
        std::iter::repeat_with(|| SocketAddr::from(([127, 0, 0, 1], fastrand::u16(10_000..32_000))))
            .filter(|address| TcpListener::bind(address).is_ok());
    [free.next().unwrap(), free.next().unwrap()]
}

impl Program {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [public, admin] = ports();
        let config = format!(
            "[server]\nlisten = \"{public}\"\n[admin]\nlisten = \"{admin}\"\ntoken = \"{ADMIN}\"\n[store]\n\
             url = \"sqlite://{}\"\n[egress]\nallow = [\"127.0.0.0/8\"]\n[[access.keys]]\nid = \"k1\"\n\
             algorithm = \"HS256\"\nsecret = \"{SECRET}\"\n",
            folder.path().join("state.db").display()
        );
        std::fs::write(folder.path().join("mediagate.toml"), config).unwrap();
        Self { folder, admin, child: None }
    }

    async fn start(&mut self) {
        let log = File::options().append(true).create(true).open(self.folder.path().join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mediagate"));
        command.env_remove("RUST_LOG").arg("serve").arg("--config");
        command.arg(self.folder.path().join("mediagate.toml")).stdin(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let admin = self.admin;
        until("the program answers", async || {
            let is_open = tokio::net::TcpStream::connect(admin).await.is_ok();
            (is_open && send(admin, "GET", "/livez", &[]).await.status == 200).then_some(())
        })
        .await;
    }

    /// SIGKILL: nothing of it runs on, and nothing was said before.
    fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}
