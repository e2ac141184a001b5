//! What a target will be used for: write, read back, and delete where it may.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use super::{CLEAN_UP, Examination, Probe};
use crate::{
    object::ObjectKey,
    s3::{self, Connection, GetOptions, PutOptions},
    sidecar::finding::{self, Failure},
};

/// The name of what is written. One that is deleted again has a random end, so that two examinations do not meet; one
/// that stays has none, so that they do not pile up.
pub(super) const PROBE_NAME: &str = ".mediagate-probe";

impl Examination<'_> {
    pub(super) async fn target(&mut self) {
        let may_delete = self.usage.settings.can_delete_objects == Some(true);
        let Some(key) = probe_key(&self.usage.settings.normal_prefix(), may_delete) else {
            return self.fail(Probe::Put, finding::prefix_unusable());
        };
        let body = Bytes::from(format!("mediagate {:032x}\n", fastrand::u128(..)));
        let mut written = self.put(&key, &body, may_delete).await;
        if written.is_none() && self.follow().await {
            written = self.put(&key, &body, may_delete).await;
        }
        let Some(leftover) = written else { return };
        let connection = self.connection.clone();
        self.attempt(Probe::ReadBack, read_back(&connection, &key, &body)).await;
        if may_delete {
            self.delete(leftover).await;
        } else {
            let bucket = connection.bucket();
            self.note(format!(
                "the probe object s3://{bucket}/{key} stays, since deleting is off; the next test writes the same one"
            ));
        }
    }

    async fn put(&mut self, key: &ObjectKey, body: &Bytes, may_delete: bool) -> Option<Leftover> {
        let options = PutOptions {
            content_type: Some("text/plain"),
            sse_kms_key_id: self.usage.settings.sse_kms_key_id.clone(),
            sse_s3: self.usage.settings.sse_s3,
        };
        let connection = self.connection.clone();
        let mut leftover =
            Leftover { connection: connection.clone(), key: key.clone(), is_armed: may_delete };
        // The SDK's futures are large.
        let put = Box::pin(async {
            let written = connection.put(key, body.clone(), &options).await;
            leftover.is_armed &= written.as_ref().err().is_none_or(may_have_written);
            written
        });
        self.attempt(Probe::Put, put).await.map(|()| leftover)
    }

    /// Deletes the probe object, also when the time for the rest is over.
    async fn delete(&mut self, mut leftover: Leftover) {
        self.deadline = self.deadline.max(Instant::now() + CLEAN_UP);
        self.is_over = false;
        let deleted = self.attempt(Probe::Delete, leftover.connection.delete(&leftover.key)).await;
        leftover.is_armed = false;
        if deleted.is_none() {
            let (bucket, key) = (leftover.connection.bucket(), &leftover.key);
            self.note(format!("the probe object s3://{bucket}/{key} is left behind; delete it"));
        }
    }
}

/// A probe object that may be there and may be deleted. When nobody waits any more, because the time was over or the
/// client has gone, it is deleted all the same.
struct Leftover {
    connection: Connection,
    key: ObjectKey,
    is_armed: bool,
}

impl Drop for Leftover {
    fn drop(&mut self) {
        // Without a runtime the process is ending.
        let Some(runtime) = Handle::try_current().ok().filter(|_| self.is_armed) else { return };
        let (connection, key) = (self.connection.clone(), self.key.clone());
        runtime.spawn(async move {
            if !matches!(timeout(CLEAN_UP, connection.delete(&key)).await, Ok(Ok(()))) {
                tracing::warn!(storage = %connection.name(), "a probe object may be left behind");
            }
        });
    }
}

/// Whether the object may be there although writing it failed.
fn may_have_written(error: &s3::Error) -> bool {
    error.is_transient() || matches!(error, s3::Error::AnswerMalformed)
}

fn probe_key(prefix: &str, may_delete: bool) -> Option<ObjectKey> {
    let end = if may_delete { format!("-{:016x}", fastrand::u64(..)) } else { String::new() };
    ObjectKey::parse(&format!("{prefix}{PROBE_NAME}{end}")).ok()
}

async fn read_back(connection: &Connection, key: &ObjectKey, written: &Bytes) -> Result<(), Failure> {
    let object = connection.get(key, GetOptions::default()).await?;
    // Checked first, so that no more is read than was written.
    if object.meta.size != written.len() as u64 {
        return Err(Failure::Differs);
    }
    let read = object.body.collect().await?.to_bytes();
    if read == *written { Ok(()) } else { Err(Failure::Differs) }
}
