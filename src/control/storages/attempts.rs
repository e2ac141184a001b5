//! Creations whose answer may have been lost, so that a repetition does not make a second storage.
//!
//! Label Studio's client repeats a POST by itself when the connection breaks or the answer is 500 and above, and has no
//! key to say so with. An attempt is remembered from before it is written until it is answered; where the same one
//! comes again in between or after, the storage that it made is looked for first. What is remembered is of this
//! process: a repetition that reaches another one makes a second storage, as it would in Label Studio.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use secrecy::ExposeSecret;

use crate::{
    control::sha256,
    storage::Storage,
    store::{self, Store},
};

/// How long a client may go on repeating: the SDK does twice, within seconds, of requests that take up to a minute.
const PATIENCE: Duration = Duration::from_mins(3);
/// The most that are remembered; the oldest goes.
const MOST: usize = 64;

/// The attempts that were not answered; clones share them.
#[derive(Clone, Default)]
pub(super) struct Attempts(Arc<Mutex<VecDeque<(Fingerprint, SystemTime)>>>);

/// Stands for everything that a body sets, secrets too; it does not tell them.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) struct Fingerprint([u8; 32]);

impl Attempts {
    /// Remembers an attempt that is about to be made.
    pub(super) fn begin(&self, storage: &Storage, now: SystemTime) -> Fingerprint {
        let fingerprint = Fingerprint::of(storage);
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() == MOST {
            attempts.pop_front();
        }
        attempts.push_back((fingerprint, now));
        fingerprint
    }

    /// Forgets it: whoever asks the same again means another one.
    pub(super) fn answered(&self, fingerprint: &Fingerprint) {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.retain(|(attempt, _)| attempt != fingerprint);
    }

    /// The storage that an equal attempt made whose answer was lost, and which is answered now.
    pub(super) async fn made_before(
        &self,
        storage: &Storage,
        store: &Store,
    ) -> Result<Option<Storage>, store::Error> {
        let fingerprint = Fingerprint::of(storage);
        let Some(since) = self.unanswered(&fingerprint, storage.created_at) else { return Ok(None) };
        let project = storage.settings.project.as_ref();
        let kept = store.storages_of(storage.direction, Some(storage.kind), project).await?;
        // The store counts whole microseconds.
        let is_it = |kept: &Storage| {
            kept.created_at + Duration::from_micros(1) > since && Fingerprint::of(kept) == fingerprint
        };
        let made = kept.into_iter().rfind(is_it);
        if made.is_some() {
            self.answered(&fingerprint);
        }
        Ok(made)
    }

    /// When the first equal attempt began that was not answered.
    fn unanswered(&self, fingerprint: &Fingerprint, now: SystemTime) -> Option<SystemTime> {
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.retain(|(_, began)| *began + PATIENCE >= now);
        attempts.iter().find(|(attempt, _)| attempt == fingerprint).map(|(_, began)| *began)
    }
}

impl Fingerprint {
    fn of(storage: &Storage) -> Self {
        let keys = &storage.keys;
        let secrets = [&keys.access_key_id, &keys.secret_access_key, &keys.session_token];
        let secrets = secrets.map(|secret| secret.as_ref().map(ExposeSecret::expose_secret));
        let all = (storage.direction, storage.kind, &storage.settings, secrets);
        // Plain data, which JSON can always say.
        Self(sha256(&serde_json::to_vec(&all).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::{ProjectId, StorageId},
        storage::{Direction, Keys, Kind, Origin, Settings},
        store::{Config, NewStorage},
    };

    const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;

    fn wanted(secret: &str) -> Storage {
        let settings = Settings { project: ProjectId::parse("1").ok(), ..Settings::default() };
        let keys = Keys {
            access_key_id: Some("A".into()),
            secret_access_key: Some(secret.into()),
            session_token: None,
        };
        Storage {
            id: StorageId(0),
            direction: Direction::Import,
            kind: Kind::S3,
            origin: Origin::Api,
            settings,
            keys,
            created_at: EPOCH,
            revision: 0,
        }
    }

    async fn store() -> Store {
        let url = Some("sqlite::memory:".into());
        Store::open(&Config { url, ..Config::default() }, || EPOCH).await.unwrap()
    }

    async fn made(store: &Store, storage: &Storage) -> StorageId {
        let Storage { direction, kind, settings, keys, .. } = storage.clone();
        store.create_storage(&NewStorage { direction, kind, settings, keys }).await.unwrap().id
    }

    #[tokio::test]
    async fn a_repetition_finds_what_was_made_once() {
        let (attempts, store) = (Attempts::default(), store().await);
        let storage = wanted("B");
        attempts.begin(&storage, EPOCH);
        let id = made(&store, &storage).await;
        let other = attempts.made_before(&wanted("C"), &store).await.unwrap();
        assert!(other.is_none(), "another key is another storage");
        let again = attempts.made_before(&storage, &store).await.unwrap();
        assert_eq!(again.map(|found| found.id), Some(id));
        let third = attempts.made_before(&storage, &store).await.unwrap();
        assert!(third.is_none(), "it was answered, so that another one is meant");
    }

    #[tokio::test]
    async fn what_was_answered_or_never_made_is_not_found() {
        let (attempts, store) = (Attempts::default(), store().await);
        let storage = wanted("B");
        attempts.begin(&storage, EPOCH);
        assert!(attempts.made_before(&storage, &store).await.unwrap().is_none());
        made(&store, &storage).await;
        attempts.answered(&Fingerprint::of(&storage));
        assert!(attempts.made_before(&storage, &store).await.unwrap().is_none());
    }

    #[test]
    fn attempts_are_forgotten_in_time_and_in_number() {
        let attempts = Attempts::default();
        let first = attempts.begin(&wanted("B"), EPOCH);
        assert!(attempts.unanswered(&first, EPOCH + PATIENCE).is_some());
        assert!(attempts.unanswered(&first, EPOCH + PATIENCE * 2).is_none());
        let first = attempts.begin(&wanted("B"), EPOCH);
        for number in 0..MOST {
            assert!(attempts.unanswered(&first, EPOCH).is_some());
            attempts.begin(&wanted(&number.to_string()), EPOCH);
        }
        assert!(attempts.unanswered(&first, EPOCH).is_none());
    }
}
