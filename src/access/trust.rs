//! What tokens are judged by at a moment: the keys and the revocations.
//!
//! Readers take one snapshot and judge a token by it alone. Every change makes a new snapshot with a higher
//! generation, so that nothing that was verified under an older one is taken for verified now.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, Guard};
use aws_lc_rs::digest::{SHA256, digest};

use super::{
    config::{BuildError, Config, JwksConfig, read},
    error::Error,
    internal::InternalKey,
    jwks::{self, JwksSource},
    key::Key,
    revocation::Revocations,
};

/// One snapshot.
#[derive(Debug)]
pub(super) struct Trust {
    pub(super) generation: u64,
    pub(super) keys: KeyRing,
    pub(super) revocations: Revocations,
}

/// Keys by their id.
#[derive(Debug)]
pub(super) struct KeyRing {
    by_id: HashMap<Box<str>, Arc<Key>>,
}

/// The current snapshot and what the next one will be made of.
#[derive(Debug)]
pub(super) struct TrustStore {
    current: ArcSwap<Trust>,
    fixed: Vec<Arc<Key>>,
    sets: Mutex<Vec<KeySet>>,
}

/// One `[[access.jwks]]` with the keys it last had.
#[derive(Debug)]
struct KeySet {
    config: JwksConfig,
    keys: Vec<Arc<Key>>,
    /// Of the text that the keys are from: most fetches bring nothing new.
    digest: Vec<u8>,
    fetched_at: Option<SystemTime>,
}

impl KeyRing {
    /// Earlier keys win: what a set brings cannot take the place of a configured key or of an earlier set's.
    fn new<'a>(keys: impl Iterator<Item = &'a Arc<Key>>) -> Self {
        let mut by_id = HashMap::new();
        for key in keys {
            by_id.entry(key.id.clone()).or_insert_with(|| Arc::clone(key));
        }
        Self { by_id }
    }

    /// The key that a token names; one that names none means the only key there is, the internal one left aside.
    pub(super) fn find(&self, id: Option<&str>) -> Result<&Arc<Key>, Error> {
        if let Some(id) = id {
            return self.by_id.get(id).ok_or(Error::KeyUnknown);
        }
        let mut named = self.by_id.values().filter(|key| !key.is_internal);
        match (named.next(), named.next()) {
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => Err(Error::KeyIdMissing),
            (None, _) => Err(Error::KeyUnknown),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

impl TrustStore {
    /// Reads all files of the configuration; sets with a URL are empty until they are fetched.
    pub(super) fn build(
        config: &Config,
        internal: Option<&InternalKey>,
        now: SystemTime,
    ) -> Result<Self, BuildError> {
        let internal = internal.map(|key| Ok(key.verifying()));
        let fixed = internal.into_iter().chain(config.keys.iter().map(Key::load));
        let fixed = fixed.map(|key| key.map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        let mut ids = std::collections::HashSet::new();
        if let Some(twice) = fixed.iter().find(|key| !ids.insert(&*key.id)) {
            return Err(BuildError::KeyIdTwice(twice.id.to_string()));
        }
        let sets = config.jwks.iter().enumerate();
        let sets = sets.map(|(index, set)| KeySet::build(index, set, now)).collect::<Result<Vec<_>, _>>()?;
        let revocations = match &config.revocations_file {
            Some(path) => Revocations::load(path, now)?,
            None => Revocations::default(),
        };
        let trust = Trust { generation: 0, keys: ring(&fixed, &sets), revocations };
        Ok(Self { current: ArcSwap::from_pointee(trust), fixed, sets: Mutex::new(sets) })
    }

    pub(super) fn current(&self) -> Guard<Arc<Trust>> {
        self.current.load()
    }

    /// The sets that have a URL.
    pub(super) fn sources(&self) -> Vec<JwksSource> {
        let sets = self.lock();
        let source = |(index, set): (usize, &KeySet)| {
            let url = set.config.url.clone()?;
            Some(JwksSource { index, url, refresh: set.config.refresh })
        };
        sets.iter().enumerate().filter_map(source).collect()
    }

    /// Puts the keys of a fetched set in force, all or none; returns their number.
    pub(super) fn replace_set(&self, index: usize, text: &str, now: SystemTime) -> Result<usize, BuildError> {
        let mut sets = self.lock();
        let set = sets.get_mut(index).ok_or(BuildError::JwksUnknown(index))?;
        let digest = digest(&SHA256, text.as_bytes()).as_ref().to_vec();
        let changed = set.digest != digest;
        if changed {
            set.keys = jwks::parse(index, text, &set.config.algorithms)?;
            set.digest = digest;
        }
        set.fetched_at = Some(now);
        let count = set.keys.len();
        if changed {
            self.publish(&sets, None);
        }
        Ok(count)
    }

    /// Takes over the sets of a store made before from the same URLs, so that nobody waits for them to be fetched.
    pub(super) fn inherit(&self, before: &Self) {
        // One lock at a time: two stores that inherit from each other must not wait for each other.
        let known: Vec<KeySet> = before.lock().iter().filter_map(KeySet::fetched).collect();
        let mut sets = self.lock();
        for set in sets.iter_mut().filter(|set| set.config.url.is_some() && set.fetched_at.is_none()) {
            let same = |known: &&KeySet| {
                known.config.url == set.config.url && known.config.algorithms == set.config.algorithms
            };
            if let Some(known) = known.iter().find(same) {
                set.keys.clone_from(&known.keys);
                set.digest.clone_from(&known.digest);
                set.fetched_at = known.fetched_at;
            }
        }
        self.publish(&sets, None);
    }

    /// Changes the revocations; `change` says whether it did.
    pub(super) fn revoke(&self, change: impl FnOnce(&mut Revocations) -> bool) {
        let sets = self.lock();
        let mut revocations = self.current.load().revocations.clone();
        if change(&mut revocations) {
            self.publish(&sets, Some(revocations));
        }
    }

    /// How old each set is; `None` for one that was never fetched.
    pub(super) fn ages(&self, now: SystemTime) -> Vec<Option<Duration>> {
        let age = |set: &KeySet| Some(now.duration_since(set.fetched_at?).unwrap_or_default());
        self.lock().iter().map(age).collect()
    }

    /// The lock on the sets orders all changes; the snapshot they make is read without it.
    fn lock(&self) -> MutexGuard<'_, Vec<KeySet>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only under the lock.
    fn publish(&self, sets: &[KeySet], revocations: Option<Revocations>) {
        let before = self.current.load();
        self.current.store(Arc::new(Trust {
            generation: before.generation + 1,
            keys: ring(&self.fixed, sets),
            revocations: revocations.unwrap_or_else(|| before.revocations.clone()),
        }));
    }
}

impl KeySet {
    fn build(index: usize, config: &JwksConfig, now: SystemTime) -> Result<Self, BuildError> {
        jwks::check(index, config)?;
        let mut set = Self { config: config.clone(), keys: Vec::new(), digest: Vec::new(), fetched_at: None };
        if let Some(path) = &config.file {
            set.keys = jwks::parse(index, &read(path)?, &config.algorithms)?;
            set.fetched_at = Some(now);
        }
        Ok(set)
    }

    /// A copy, if it came from a URL and was fetched.
    fn fetched(&self) -> Option<Self> {
        let Self { config, keys, digest, fetched_at } = self;
        let (_, fetched_at) = (config.url.as_ref()?, Some((*fetched_at)?));
        Some(Self { config: config.clone(), keys: keys.clone(), digest: digest.clone(), fetched_at })
    }
}

fn ring(fixed: &[Arc<Key>], sets: &[KeySet]) -> KeyRing {
    KeyRing::new(fixed.iter().chain(sets.iter().flat_map(|set| &set.keys)))
}
