//! One object: what it should be, and bringing the target to that.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{AnnotationSource, ExportMetrics, Exporter, layout, metrics::Outcome, pace};
use crate::{
    object::{ObjectKey, ParseObjectError},
    s3::{self, Connection, PutOptions},
    storage::{Names, Storage, Unit},
    store::{self, Delivered, Due, Store},
};

/// A target that is connected to.
pub(super) struct Target {
    pub(super) store: Store,
    pub(super) storage: Storage,
    connection: Connection,
    metrics: ExportMetrics,
    /// Where the people are known that the store does not know.
    pub(super) source: Option<Arc<dyn AnnotationSource>>,
    /// Ends the renewal of its credentials.
    _alive: DropGuard,
}

/// What came of an object, for whoever keeps it and whoever tells of it.
pub(super) struct Attempt {
    pub(super) delivered: Delivered,
    pub(super) outcome: Outcome,
    /// The object that was meant.
    pub(super) key: Option<String>,
    /// How many annotations it holds.
    pub(super) annotations: i64,
}

/// What an object should be.
struct Object {
    key: ObjectKey,
    /// Absent: it should not be there.
    body: Option<Bytes>,
    annotations: i64,
}

/// Why an object could not be brought up to date.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Store(#[from] store::Error),
    #[error("no key can be made of prefix, layout and ids: {0}")]
    Key(#[from] ParseObjectError),
    #[error("cannot {doing} s3://{bucket}/{key}: {error}{advice}")]
    S3 { doing: &'static str, bucket: String, key: String, error: s3::Error, advice: &'static str },
}

impl Target {
    /// Joins the parts; credentials are renewed for as long as it is there.
    pub(super) fn new(exporter: &Exporter, storage: Storage, connection: Connection) -> Self {
        let source = exporter.host.annotation_source();
        Self::joined(exporter.store.clone(), storage, connection, exporter.metrics.clone()).asking(source)
    }

    /// The same, of parts.
    pub(super) fn joined(
        store: Store,
        storage: Storage,
        connection: Connection,
        metrics: ExportMetrics,
    ) -> Self {
        let stop = CancellationToken::new();
        let (renewed, until) = (connection.clone(), stop.clone());
        tokio::spawn(async move { renewed.refresh_loop(until).await });
        Self { store, storage, connection, metrics, source: None, _alive: stop.drop_guard() }
    }

    /// The same, with where people are known.
    pub(super) fn asking(self, source: Option<Arc<dyn AnnotationSource>>) -> Self {
        Self { source, ..self }
    }

    /// Brings an object up to date; with `anyway` also where the target has it already.
    pub(super) async fn deliver(&self, due: &Due, anyway: bool) -> Attempt {
        if due.unit != self.storage.settings.layout.unit() {
            // It was to go under a layout that the storage no longer has.
            return self.attempt(Delivered::Moot, Outcome::Unchanged, None);
        }
        let object = match self.object(due).await {
            Ok(object) => object,
            Err(failure) => return self.failed(due, &failure, None),
        };
        let key = object.as_ref().map(|object| object.key.as_str().to_owned());
        let annotations = object.as_ref().map_or(0, |object| object.annotations);
        let attempt = match self.bring(due, object, anyway).await {
            Ok((delivered, outcome)) => self.attempt(delivered, outcome, key),
            Err(failure) => self.failed(due, &failure, key),
        };
        Attempt { annotations, ..attempt }
    }

    async fn bring(
        &self,
        due: &Due,
        object: Option<Object>,
        anyway: bool,
    ) -> Result<(Delivered, Outcome), Failure> {
        let Some(Object { key, body: Some(body), .. }) = object else {
            return self.remove(due).await;
        };
        let hash = self.hash(&key, &body);
        let done = Delivered::Done { object: Some((key.as_str().to_owned(), hash.clone())) };
        if !anyway && due.hash.as_ref() == Some(&hash) {
            return Ok((done, Outcome::Unchanged));
        }
        self.write(&key, body).await?;
        Ok((done, Outcome::Written))
    }

    async fn write(&self, key: &ObjectKey, body: Bytes) -> Result<(), Failure> {
        let settings = &self.storage.settings;
        let options = PutOptions {
            content_type: Some("application/json"),
            sse_kms_key_id: settings.sse_kms_key_id.clone(),
            sse_s3: settings.sse_s3,
        };
        let written = self.connection.put(key, body, &options).await;
        written.map_err(|error| self.s3("write", key, error))
    }

    /// Deletes what was written, where the storage allows it.
    async fn remove(&self, due: &Due) -> Result<(Delivered, Outcome), Failure> {
        let nothing = Delivered::Done { object: None };
        let keep = Delivered::Done { object: due.key.clone().zip(due.hash.clone()) };
        if due.key.is_none() && due.is_first() {
            return Ok((nothing, Outcome::Unchanged));
        }
        if self.storage.settings.can_delete_objects != Some(true) {
            return Ok((keep, Outcome::Kept));
        }
        for key in self.keys_of_gone(due).await? {
            if let Err(error) = self.connection.delete(&key).await {
                return Err(self.s3("delete", &key, error));
            }
        }
        Ok((nothing, Outcome::Deleted))
    }

    /// Where an object may be that should be gone: where it was written last, and where an attempt would have written it
    /// whose end we do not know.
    async fn keys_of_gone(&self, due: &Due) -> Result<BTreeSet<ObjectKey>, Failure> {
        let mut keys = BTreeSet::new();
        if let Some(written) = &due.key {
            keys.insert(ObjectKey::parse(written)?);
        }
        if let Some((project, task)) = self.store.names_of(due.unit, &due.item).await? {
            let annotation = if due.unit == Unit::Annotation { &*due.item } else { "" };
            let names = Names { project: &project, task: &task, annotation };
            keys.insert(layout::key(&self.storage.settings, names)?);
        }
        Ok(keys)
    }

    /// What an object should be now; `None` where nothing is left of it.
    async fn object(&self, due: &Due) -> Result<Option<Object>, Failure> {
        let settings = &self.storage.settings;
        Ok(match due.unit {
            Unit::Annotation => match self.store.annotation(&due.item).await? {
                Some(annotation) => {
                    let people = self.people(std::slice::from_ref(&annotation), due).await?;
                    Some(Object {
                        key: layout::annotation_key(settings, &annotation)?,
                        body: Some(layout::annotation_body(&annotation, &people).into()),
                        annotations: 1,
                    })
                }
                None => None,
            },
            Unit::Task => {
                let annotations = self.store.annotations_of(&due.item).await?;
                let takes =
                    |project: &str| settings.project.as_ref().is_none_or(|own| project == own.as_str());
                let own: Vec<_> = annotations.into_iter().filter(|one| takes(layout::project(one))).collect();
                let Some(first) = own.first() else { return Ok(None) };
                let people = self.people(&own, due).await?;
                Some(Object {
                    key: layout::task_key(settings, &due.item, layout::project(first))?,
                    body: layout::task_body(&own, &people).map(Bytes::from),
                    annotations: i64::try_from(own.len()).unwrap_or(i64::MAX),
                })
            }
        })
    }

    /// Stands for the bytes and for where and how they are kept.
    fn hash(&self, key: &ObjectKey, body: &[u8]) -> String {
        let settings = &self.storage.settings;
        let place = (self.connection.origin(), self.connection.bucket().as_str(), key.as_str());
        let place = serde_json::json!([place, settings.sse_kms_key_id, settings.sse_s3]).to_string();
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        context.update(place.as_bytes());
        context.update(body);
        URL_SAFE_NO_PAD.encode(context.finish())
    }

    fn attempt(&self, delivered: Delivered, outcome: Outcome, key: Option<String>) -> Attempt {
        self.metrics.ended(&self.storage.name(), outcome);
        Attempt { delivered, outcome, key, annotations: 0 }
    }

    fn failed(&self, due: &Due, failure: &Failure, key: Option<String>) -> Attempt {
        let (passes, word) = match failure {
            Failure::Store(error) => (error.is_transient(), "store"),
            Failure::Key(_) => (false, "key"),
            Failure::S3 { error, .. } => (pace::is_passing(error), pace::reason(error)),
        };
        self.metrics.failed(&self.storage.name(), word);
        let reason = failure.to_string();
        if passes {
            let wait = pace::wait(due.attempts, FIRST_WAIT, LONGEST_WAIT);
            return self.attempt(Delivered::Later { wait, reason }, Outcome::Retried, key);
        }
        tracing::error!(
            storage = %self.storage.name(),
            unit = due.unit.as_str(),
            item = due.item,
            reason,
            "an object was given up until the storage is edited or it is tried again by hand"
        );
        let revision = self.storage.revision;
        self.attempt(Delivered::Dead { reason, revision }, Outcome::Dead, key)
    }

    fn s3(&self, doing: &'static str, key: &ObjectKey, error: s3::Error) -> Failure {
        let advice = match (&error, doing) {
            (s3::Error::AccessDenied, "write") => {
                "; allow s3:PutObject on it, and the KMS key where there is one"
            }
            (s3::Error::AccessDenied, _) => "; allow s3:DeleteObject on it",
            (s3::Error::CredentialsRejected, _) => "; check the keys of the storage",
            (s3::Error::NoSuchBucket, _) => "; check bucket, endpoint and region of the storage",
            (s3::Error::MovedRegion { .. }, _) => "; set the region of the storage to the bucket's own",
            _ => "",
        };
        let bucket = self.connection.bucket().to_string();
        Failure::S3 { doing, bucket, key: key.as_str().to_owned(), error, advice }
    }
}

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(5);
