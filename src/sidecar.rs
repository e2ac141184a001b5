//! The sidecar: what is done with a storage beside serving its objects.
//!
//! It connects, examines and previews, and it works on runs: a [`Runner`] claims what waits in the store, and a
//! [`sync`] goes from a bucket into tasks.

mod config;
mod connect;
mod examine;
mod export;
mod finding;
mod inventory;
mod items;
mod metrics;
mod preview;
mod runner;
pub mod sync;

use std::{sync::Arc, time::SystemTime};

use tokio::time::Instant;

pub use self::{
    config::Config,
    connect::{ConnectError, Connector, connection_config},
    examine::{Check, EXAMINATION_LIMIT, Finding, Probe, Report, Use, examine, examine_within},
    export::{AnnotationSource, Export, ExportMetrics, Exporter},
    inventory::{
        CsvColumns, CsvFault, Entries, InventoryError, InventoryFile, Manifest, ManifestFault, read_lines,
    },
    items::{Items, Limits, ObjectFault, Piece, Read, ReadError, Source, Splitter},
    metrics::RunMetrics,
    preview::{PREVIEW_LIMIT, Preview, PreviewError, PreviewFile, PreviewRequest, preview},
    runner::{Host, Runner},
};
use crate::{
    s3,
    storage::{Origin, Storage},
};

/// Connects to storages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sidecar {
    doors: Doors,
    /// The origins of pages that read media, for CORS.
    origins: Arc<[String]>,
    clock: fn() -> SystemTime,
}

/// The ways out.
#[derive(Clone, Debug)]
pub struct Doors {
    /// For storages that came through the API: endpoints in private networks are refused.
    pub guarded: Connector,
    /// For those that the operator wrote into the configuration file.
    pub operator: Connector,
}

impl Sidecar {
    /// Joins the parts. `origins` are those of `[cors]`; `*` is left out.
    pub fn new(doors: Doors, origins: Vec<String>, clock: fn() -> SystemTime) -> Self {
        Self { doors, origins: origins.into(), clock }
    }

    /// Tests the connection of a storage: everything that serving, syncing or exporting will ask of it. Takes at most
    /// [`EXAMINATION_LIMIT`], and a little to clean up.
    pub async fn examine(&self, storage: &Storage) -> Result<Report, ConnectError> {
        let connection = self.connect(storage).await?;
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
        let connection = self.connect(storage).await?;
        preview(&connection, &storage.settings, request, deadline).await
    }

    /// Connects to a storage.
    pub async fn connect(&self, storage: &Storage) -> Result<s3::Connection, ConnectError> {
        let connector = match storage.origin {
            Origin::Api => &self.doors.guarded,
            Origin::File(_) => &self.doors.operator,
        };
        connector.connect(storage).await
    }
}
