//! Renewal, with a provider and a clock that the tests play.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::UNIX_EPOCH,
};

use aws_credential_types::provider::future;
use prometheus::Registry;
use tokio::sync::mpsc;

use super::*;
use crate::{id::StorageName, s3::S3Metrics};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn aws(id: &str, end: Option<u64>) -> AwsCredentials {
    AwsCredentials::new(id, "secret", None, end.map(at), "test")
}

/// Gives one answer after the other, then none, and says when it was asked.
#[derive(Debug)]
struct Fake {
    answers: Mutex<VecDeque<AwsCredentials>>,
    asked: mpsc::Sender<()>,
}

impl aws_credential_types::provider::ProvideCredentials for Fake {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        self.asked.try_send(()).unwrap();
        let answer = self.answers.lock().unwrap().pop_front();
        future::ProvideCredentials::ready(answer.ok_or_else(CredentialsError::not_loaded_no_source))
    }
}

fn credentials(answers: impl IntoIterator<Item = AwsCredentials>) -> (Credentials, mpsc::Receiver<()>) {
    let (asked, questions) = mpsc::channel(16);
    let fake = Fake { answers: Mutex::new(answers.into_iter().collect()), asked };
    let provider = Provider::Asked(SharedCredentialsProvider::new(fake));
    (Credentials { region: "eu-west-1".into(), provider, current: ArcSwapOption::empty() }, questions)
}

fn metrics() -> StorageMetrics {
    S3Metrics::register(&Registry::new()).unwrap().of(&StorageName::parse("media").unwrap())
}

fn id(credentials: &Credentials, now: u64) -> Option<String> {
    let (signer, _) = credentials.signer(at(now)).ok()?;
    Some(signer.credentials().access_key_id().to_owned())
}

#[test]
fn when_to_renew() {
    for (since, end, want) in [
        (0, 3600, 2880),
        (0, 21_600, 17_280),
        (0, 900, 600),
        (0, 600, 300),
        (0, 60, 30),
        (100, 100, 100),
        (100, 50, 50),
    ] {
        assert_eq!(due(at(since), at(end)), at(want), "{since} to {end}");
    }
}

#[tokio::test]
async fn credentials_serve_until_they_end() {
    let (credentials, _questions) =
        credentials([aws("A", Some(100)), aws("A", Some(100)), aws("B", Some(200))]);
    assert_eq!(id(&credentials, 10), None);
    credentials.refresh(|| at(10)).await.unwrap();
    let first = credentials.signer(at(10)).unwrap().0;
    assert_eq!(id(&credentials, 99).as_deref(), Some("A"));
    assert_eq!(id(&credentials, 100), None);
    credentials.refresh(|| at(50)).await.unwrap();
    assert!(Arc::ptr_eq(&first, &credentials.signer(at(50)).unwrap().0), "the same ones change nothing");
    credentials.refresh(|| at(60)).await.unwrap();
    assert_eq!(id(&credentials, 150).as_deref(), Some("B"));
    assert!(credentials.refresh(|| at(70)).await.is_err());
    assert_eq!(id(&credentials, 150).as_deref(), Some("B"), "a failure takes nothing away");
}

#[tokio::test]
async fn credentials_that_have_ended_are_not_taken() {
    let (credentials, _questions) = credentials([aws("A", Some(100))]);
    assert!(matches!(credentials.refresh(|| at(100)).await, Err(RefreshError::Ended)));
    assert_eq!(id(&credentials, 0), None);
}

#[tokio::test]
async fn how_long_to_wait() {
    let (credentials, _questions) = credentials([aws("A", Some(3600)), aws("B", None)]);
    let wait = |now, failures| credentials.wait(at(now), failures).map(|wait| wait.as_secs());
    assert_eq!([0, 1, 2, 9].map(|failures| wait(0, failures)), [Some(1), Some(2), Some(4), Some(32)]);
    credentials.refresh(|| at(0)).await.unwrap();
    assert_eq!(wait(0, 0), Some(2880));
    assert_eq!(wait(2880, 0), Some(60), "due, but nothing newer was there");
    assert_eq!(wait(3580, 0), Some(5));
    assert_eq!(wait(3600, 0), Some(1));
    assert_eq!(wait(2880, 3), Some(8));
    credentials.refresh(|| at(0)).await.unwrap();
    assert_eq!(wait(0, 0), None, "these have no end");
}

#[tokio::test]
async fn the_loop_renews_until_it_is_stopped() {
    static NOW: AtomicU64 = AtomicU64::new(0);
    let clock = || at(NOW.load(Ordering::Relaxed));
    // Due at 2 s of 4 s, and from then on every second.
    let (credentials, mut questions) = credentials([aws("A", Some(4)), aws("B", Some(8))]);
    let metrics = metrics();
    assert!(credentials.refresh_once(clock, &metrics).await);
    questions.recv().await.unwrap();
    NOW.store(3, Ordering::Relaxed);
    let stop = CancellationToken::new();
    let stopper = async {
        questions.recv().await.unwrap();
        stop.cancel();
    };
    tokio::join!(credentials.refresh_loop(clock, &metrics, stop.clone()), stopper);
    assert_eq!(id(&credentials, 5).as_deref(), Some("B"));
}

#[tokio::test]
async fn fixed_credentials_need_no_loop() {
    let config = CredentialsConfig::Static {
        access_key_id: "A".to_owned(),
        secret_access_key: "s".into(),
        session_token: None,
    };
    let credentials = Credentials::build(&config, "eu-west-1", at(0)).await.unwrap();
    assert!(id(&credentials, 4_000_000_000).is_some());
    credentials.refresh_loop(|| at(0), &metrics(), CancellationToken::new()).await;
    let config = CredentialsConfig::Static {
        access_key_id: "A\n".to_owned(),
        secret_access_key: "s".into(),
        session_token: None,
    };
    assert!(matches!(
        Credentials::build(&config, "eu-west-1", at(0)).await,
        Err(Error::CredentialsMalformed)
    ));
}
