//! Renewal, with a provider and a clock that the tests play.

use std::{cell::Cell, collections::VecDeque, sync::Mutex, time::UNIX_EPOCH};

use aws_credential_types::provider::{error::CredentialsError, future};
use prometheus::Registry;
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::{
    egress::{self, Egress},
    id::StorageName,
    s3::{S3Metrics, Timeouts},
};

thread_local! {
    /// Seconds since the epoch; each test has a thread of its own.
    static NOW: Cell<u64> = const { Cell::new(0) };
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn clock() -> SystemTime {
    at(NOW.get())
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
    (Credentials::new(provider, "eu-west-1", clock), questions)
}

fn metrics() -> StorageMetrics {
    S3Metrics::register(&Registry::new()).unwrap().of(&StorageName::parse("media").unwrap())
}

fn means() -> Means {
    Means {
        egress: Arc::new(Egress::build(&egress::Config::default()).unwrap()),
        timeouts: Timeouts::default(),
        metrics: Arc::new(metrics()),
        clock,
    }
}

async fn refresh_at(credentials: &Credentials, now: u64) -> Result<(), CredentialsFailure> {
    NOW.set(now);
    credentials.refresh(&metrics()).await
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
    refresh_at(&credentials, 10).await.unwrap();
    let first = credentials.signer(at(10)).unwrap().0;
    assert_eq!(id(&credentials, 99).as_deref(), Some("A"));
    assert_eq!(id(&credentials, 100), None);
    refresh_at(&credentials, 50).await.unwrap();
    assert!(Arc::ptr_eq(&first, &credentials.signer(at(50)).unwrap().0), "the same ones change nothing");
    refresh_at(&credentials, 60).await.unwrap();
    assert_eq!(id(&credentials, 150).as_deref(), Some("B"));
    assert!(refresh_at(&credentials, 70).await.is_err());
    assert_eq!(id(&credentials, 150).as_deref(), Some("B"), "a failure takes nothing away");
}

#[tokio::test]
async fn credentials_that_have_ended_are_not_taken() {
    let (credentials, _questions) = credentials([aws("A", Some(100))]);
    assert_eq!(refresh_at(&credentials, 100).await, Err(CredentialsFailure::Expired));
    assert_eq!(credentials.failure().await, Some(CredentialsFailure::Expired));
    assert_eq!(id(&credentials, 0), None);
}

#[tokio::test]
async fn how_long_to_wait() {
    let (credentials, _questions) = credentials([aws("A", Some(3600)), aws("B", None)]);
    let wait = |now, failures| credentials.wait(at(now), failures).map(|wait| wait.as_secs());
    assert_eq!([0, 1, 2, 9].map(|failures| wait(0, failures)), [Some(1), Some(2), Some(4), Some(32)]);
    refresh_at(&credentials, 0).await.unwrap();
    assert_eq!(wait(0, 0), Some(2880));
    assert_eq!(wait(2880, 0), Some(60), "due, but nothing newer was there");
    assert_eq!(wait(3580, 0), Some(5));
    assert_eq!(wait(3600, 0), Some(1));
    assert_eq!(wait(2880, 3), Some(8));
    refresh_at(&credentials, 0).await.unwrap();
    assert_eq!(wait(0, 0), None, "these have no end");
}

#[tokio::test]
async fn the_loop_renews_until_it_is_stopped() {
    // Due at 2 s of 4 s, and from then on every second.
    let (credentials, mut questions) = credentials([aws("A", Some(4)), aws("B", Some(8))]);
    assert_eq!(refresh_at(&credentials, 0).await, Ok(()));
    questions.recv().await.unwrap();
    NOW.set(3);
    let (stop, metrics) = (CancellationToken::new(), metrics());
    let stopper = async {
        questions.recv().await.unwrap();
        stop.cancel();
    };
    tokio::join!(credentials.refresh_loop(&metrics, stop.clone()), stopper);
    assert_eq!(id(&credentials, 5).as_deref(), Some("B"));
}

/// Answers when it is let.
#[derive(Debug)]
struct Slow(Arc<Semaphore>, mpsc::Sender<()>);

impl aws_credential_types::provider::ProvideCredentials for Slow {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.1.try_send(()).unwrap();
            self.0.acquire().await.unwrap().forget();
            Ok(aws("A", Some(100)))
        })
    }
}

#[tokio::test]
async fn callers_at_one_time_ask_once() {
    let (asked, mut questions) = mpsc::channel(16);
    let go = Arc::new(Semaphore::new(0));
    let provider = Provider::Asked(SharedCredentialsProvider::new(Slow(Arc::clone(&go), asked)));
    let credentials = Arc::new(Credentials::new(provider, "eu-west-1", clock));
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let credentials = Arc::clone(&credentials);
            tokio::spawn(async move { credentials.refresh(&metrics()).await })
        })
        .collect();
    questions.recv().await.unwrap();
    // All others have come by now: they wait for the lock, or will find the round over.
    tokio::task::yield_now().await;
    go.add_permits(1);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), Ok(()));
    }
    assert!(questions.try_recv().is_err(), "asked once");
    go.add_permits(1);
    assert_eq!(credentials.refresh(&metrics()).await, Ok(()));
    assert!(questions.try_recv().is_ok(), "a later caller asks again");
}

#[tokio::test]
async fn why_credentials_did_not_come() {
    let refused = |error: Error| CredentialsError::provider_error(error);
    for (error, want) in [
        (refused(Error::AccessDenied), CredentialsFailure::Denied),
        (refused(Error::CredentialsRejected), CredentialsFailure::Denied),
        (refused(Error::Throttled { retry_after: None }), CredentialsFailure::Throttled),
        (refused(Error::FirstByteTimeout), CredentialsFailure::Silent),
        (refused(Error::AnswerMalformed), CredentialsFailure::Malformed),
        (refused(Error::NoSuchKey), CredentialsFailure::Failed),
        (CredentialsError::not_loaded_no_source(), CredentialsFailure::Absent),
        (CredentialsError::provider_timed_out(PATIENCE), CredentialsFailure::Silent),
        (CredentialsError::invalid_configuration("x"), CredentialsFailure::Malformed),
        (CredentialsError::unhandled("x"), CredentialsFailure::Failed),
    ] {
        let text = format!("{error:?}");
        assert_eq!(RefreshError::from(error).failure(), want, "{text}");
    }
    let words: std::collections::BTreeSet<_> =
        CredentialsFailure::ALL.iter().map(|failure| failure.as_str()).collect();
    assert_eq!(words.len(), CredentialsFailure::ALL.len());
    for (at, failure) in CredentialsFailure::ALL.iter().enumerate() {
        assert_eq!(*failure as usize, at, "the counters are found by it");
    }
}

#[tokio::test]
async fn fixed_credentials_need_no_loop() {
    let fixed = |id: &str| CredentialsConfig::Static {
        access_key_id: id.to_owned(),
        secret_access_key: "s".into(),
        session_token: None,
    };
    let credentials = Credentials::build(&fixed("A"), "eu-west-1", &means()).await.unwrap();
    assert!(id(&credentials, 4_000_000_000).is_some());
    credentials.refresh_loop(&metrics(), CancellationToken::new()).await;
    let malformed = Credentials::build(&fixed("A\n"), "eu-west-1", &means()).await;
    assert!(matches!(malformed, Err(Error::CredentialsMalformed)));
}
