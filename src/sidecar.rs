//! The sidecar: what is done with a storage beside serving its objects.
//!
//! Today it connects, examines and previews; sync and export stand on the same connections.

mod connect;
mod examine;
mod finding;
mod inventory;
mod items;
mod preview;

use std::{sync::Arc, time::SystemTime};

use tokio::time::Instant;

pub use self::{
    connect::{ConnectError, Connector, connection_config},
    examine::{Check, EXAMINATION_LIMIT, Finding, Probe, Report, Use, examine, examine_within},
    inventory::{
        CsvColumns, CsvFault, Entries, InventoryError, InventoryFile, Manifest, ManifestFault, read_lines,
    },
    items::{Items, Limits, ObjectFault, Piece, Read, ReadError, Source, Splitter},
    preview::{PREVIEW_LIMIT, Preview, PreviewError, PreviewFile, PreviewRequest, preview},
};
use crate::{s3, storage::Storage};

/// Works on storages that a person made or is about to make. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sidecar {
    connector: Connector,
    /// The origins of pages that read media, for CORS.
    origins: Arc<[String]>,
    clock: fn() -> SystemTime,
}

impl Sidecar {
    /// Joins the parts. `origins` are those of `[cors]`; `*` is left out.
    pub fn new(connector: Connector, origins: Vec<String>, clock: fn() -> SystemTime) -> Self {
        Self { connector, origins: origins.into(), clock }
    }

    /// Tests the connection of a storage: everything that serving, syncing or exporting will ask of it. Takes at most
    /// [`EXAMINATION_LIMIT`], and a little to clean up.
    pub async fn examine(&self, storage: &Storage) -> Result<Report, ConnectError> {
        let connection = self.connector.connect(storage).await?;
        let Storage { direction, settings, .. } = storage;
        let usage = Use { direction: *direction, settings, origins: &self.origins };
        Ok(Box::pin(examine(&connection, usage, self.clock)).await)
    }

    /// Lists what a sync would take, up to a limit and for at most [`PREVIEW_LIMIT`].
    pub async fn preview(
        &self,
        storage: &Storage,
        request: &PreviewRequest,
    ) -> Result<Preview, PreviewError> {
        let deadline = Instant::now() + PREVIEW_LIMIT;
        let connection = self.connector.connect(storage).await?;
        preview(&connection, &storage.settings, request, deadline).await
    }

    /// Connects to a storage.
    pub async fn connect(&self, storage: &Storage) -> Result<s3::Connection, ConnectError> {
        self.connector.connect(storage).await
    }
}
