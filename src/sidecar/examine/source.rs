//! What a source will be used for: list, read, and let browsers read.

use super::{
    Examination, Probe,
    choice::{Choice, choose},
    target::PROBE_NAME,
};
use crate::{
    object::{ByteRange, ObjectKey},
    s3::{self, Connection, GetOptions, ListPage, ListRequest},
    sidecar::finding::{self, Failure},
    storage::DeliveryKind,
};

impl Examination<'_> {
    pub(super) async fn source(&mut self) {
        let mut page = self.list().await;
        if page.is_none() && self.follow().await {
            page = self.list().await;
        }
        let Some(page) = page else { return };
        let prefix = self.usage.settings.normal_prefix();
        let place = format!("s3://{}/{prefix}", self.connection.bucket());
        match choose(&page, self.usage.settings, &place) {
            Choice::Object(key, note) => {
                self.report.notes.extend(note);
                let connection = self.connection.clone();
                if self.attempt(Probe::Get, first_byte(&connection, &key)).await.is_some() {
                    self.for_browsers(&key, true).await;
                }
            }
            Choice::Nothing(note) => {
                self.note(note);
                self.for_browsers_without_object(&prefix).await;
            }
            Choice::Fault(finding) => {
                self.refuse(Probe::List, finding);
                self.for_browsers_without_object(&prefix).await;
            }
        }
    }

    async fn list(&mut self) -> Option<ListPage> {
        let settings = self.usage.settings;
        let prefix = settings.normal_prefix();
        let request = ListRequest {
            prefix: &prefix,
            // Objects in folders are served whatever a sync does.
            recursive: settings.recursive || !settings.synchronizable,
            page_size: 1000,
            continuation: None,
            start_after: None,
        };
        let connection = self.connection.clone();
        self.attempt(Probe::List, connection.list(&request)).await
    }

    async fn for_browsers_without_object(&mut self, prefix: &str) {
        if let Ok(key) = ObjectKey::parse(&format!("{prefix}{PROBE_NAME}")) {
            self.for_browsers(&key, false).await;
        }
    }

    async fn for_browsers(&mut self, key: &ObjectKey, exists: bool) {
        if self.usage.settings.delivery() == DeliveryKind::Stream {
            return;
        }
        let (connection, now) = (self.connection.clone(), (self.clock)());
        let signed = async {
            match connection.probe_presigned(key, now).await {
                // The signature was good for a key that is not there.
                Err(s3::Error::NoSuchKey) if !exists => Ok(()),
                other => other,
            }
        };
        if self.attempt(Probe::Presigned, signed).await.is_none() {
            return;
        }
        for origin in self.usage.origins {
            let asked = self.attempt(Probe::Cors, connection.preflight(key, origin)).await;
            if asked.is_some_and(|preflight| !preflight.allows_get(origin)) {
                self.refuse(Probe::Cors, finding::cors(&connection, origin));
            }
        }
    }
}

/// The first byte is enough; the rest of the body is not waited for.
async fn first_byte(connection: &Connection, key: &ObjectKey) -> Result<(), Failure> {
    let range = ByteRange::FromTo { first: 0, last: 0 };
    let options = GetOptions { range: Some(range), if_match: None };
    match connection.get(key, options).await {
        // An empty object has no first byte; that it said so is enough.
        Ok(_) | Err(s3::Error::RangeNotSatisfiable { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
