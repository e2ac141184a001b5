//! The store: one contract for both databases, and what only one of them has.

mod contract;
mod deliveries;
mod follow;
mod given_up;
mod outbox;
mod postgres;
mod runs;
mod schema;
mod sealing;
mod sqlite;

use std::path::PathBuf;

use mediagate::{
    id::ProjectId,
    object::Bucket,
    storage::{Direction, Keys, Kind, Settings},
    store::{Config, NewStorage, Store},
};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::Connection as _;
use tempfile::TempDir;

use crate::support::{clock, postgres::shared};

/// A database of one test.
struct Database {
    config: Config,
    folder: TempDir,
}

impl Database {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("state.db").display());
        Self { config: Config { url: Some(url.into()), ..Config::default() }, folder }
    }

    async fn postgres() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = shared().database().await;
        Self { config: Config { url: Some(url.into()), key: Some(key(1)), ..Config::default() }, folder }
    }

    async fn both() -> [Self; 2] {
        let mut sqlite = Self::sqlite();
        sqlite.config.key = Some(key(1));
        [sqlite, Self::postgres().await]
    }

    async fn open(&self) -> Store {
        Store::open(&self.config, clock).await.unwrap()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    fn url(&self) -> &str {
        self.config.url.as_ref().unwrap().expose_secret()
    }

    fn is_sqlite(&self) -> bool {
        self.url().starts_with("sqlite:")
    }

    /// Runs a statement behind the store's back.
    async fn execute(&self, sql: &'static str) {
        if self.is_sqlite() {
            let mut connection = sqlx::SqliteConnection::connect(self.url()).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        } else {
            let mut connection = sqlx::PgConnection::connect(self.url()).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
    }

    /// What a query of one column of text finds.
    async fn texts(&self, sql: &'static str) -> Vec<String> {
        let rows: Vec<(String,)> = if self.is_sqlite() {
            let mut connection = sqlx::SqliteConnection::connect(self.url()).await.unwrap();
            sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
        } else {
            let mut connection = sqlx::PgConnection::connect(self.url()).await.unwrap();
            sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
        };
        rows.into_iter().map(|(text,)| text).collect()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// A sealing key, one for each byte.
fn key(byte: u8) -> SecretString {
    format!("{byte:02x}").repeat(32).into()
}

/// Keys that a test can look for.
fn keys() -> Keys {
    Keys {
        access_key_id: Some(SECRETS[0].into()),
        secret_access_key: Some(SECRETS[1].into()),
        session_token: Some(SECRETS[2].into()),
    }
}

fn revealed(keys: &Keys) -> Vec<&str> {
    let all = [&keys.access_key_id, &keys.secret_access_key, &keys.session_token];
    all.into_iter().flatten().map(SecretString::expose_secret).collect()
}

fn settings(project: &str) -> Settings {
    Settings {
        project: Some(ProjectId::parse(project).unwrap()),
        bucket: Some(Bucket::parse("media").unwrap()),
        ..Settings::default()
    }
}

fn new_storage(project: &str) -> NewStorage {
    NewStorage { direction: Direction::Import, kind: Kind::S3, settings: settings(project), keys: keys() }
}

const SECRETS: [&str; 3] = ["AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG", "FwoGZXIvYXdzEBYaDKsession"];
