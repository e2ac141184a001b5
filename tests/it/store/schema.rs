//! Two dialects, one schema; and schemas that are not ours.

use mediagate::store::{Error, Migrated, Store};

use super::Database;
use crate::support::clock;

/// The newest migration.
const SCHEMA: i64 = 5;

#[tokio::test]
async fn both_dialects_end_in_the_same_schema() {
    let [sqlite, postgres] = Database::both().await;
    sqlite.open().await.close().await;
    postgres.open().await.close().await;
    let in_sqlite = sqlite
        .texts(
            "SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1",
        )
        .await;
    let in_postgres = postgres
        .texts(
            "SELECT table_name || '.' || column_name FROM information_schema.columns \
             WHERE table_schema = current_schema() ORDER BY (table_name || '.' || column_name) COLLATE \"C\"",
        )
        .await;
    assert_eq!(in_sqlite, in_postgres);
    for column in ["storages.keys", "revocations.expires_at", "admin_tokens.sha256", "changes.version"] {
        assert!(in_sqlite.iter().any(|found| found == column), "{column} in {in_sqlite:?}");
    }
    let indexes =
        "SELECT name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite_%' ORDER BY 1";
    let in_postgres = "SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema() AND indexname LIKE '%_by_%' \
         ORDER BY 1";
    assert_eq!(sqlite.texts(indexes).await, postgres.texts(in_postgres).await);
}

#[tokio::test]
async fn opening_says_what_it_did_to_the_schema() {
    for database in Database::both().await {
        let store = database.open().await;
        assert_eq!(store.migrated(), Migrated { from: 0, to: SCHEMA });
        store.close().await;
        drop(store);
        assert_eq!(database.open().await.migrated(), Migrated { from: SCHEMA, to: SCHEMA });
    }
}

#[tokio::test]
async fn an_older_program_refuses_a_newer_schema() {
    for database in Database::both().await {
        let store = database.open().await;
        store.close().await;
        drop(store);
        database
            .execute(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (77, 'of the future', TRUE, '', 0)",
            )
            .await;
        let error = Store::open(&database.config, clock).await.unwrap_err();
        assert!(matches!(error, Error::SchemaNewer { database: 77, program: SCHEMA }), "{error:?}");
        assert!(error.to_string().contains("run the newer mediagate"), "{error}");
        database.execute("DELETE FROM _sqlx_migrations WHERE version = 77").await;
        database.open().await;
    }
}

#[tokio::test]
async fn a_schema_that_was_edited_is_refused() {
    for database in Database::both().await {
        let store = database.open().await;
        store.close().await;
        drop(store);
        database.execute("UPDATE _sqlx_migrations SET checksum = ''").await;
        let error = Store::open(&database.config, clock).await.unwrap_err();
        assert!(matches!(error, Error::Migration(_)), "{error:?}");
    }
}

#[tokio::test]
async fn rows_of_others_are_named() {
    for database in Database::both().await {
        let store = database.open().await;
        let made = store.create_storage(&super::new_storage("1")).await.unwrap();
        database.execute("UPDATE storages SET settings = '['").await;
        let error = store.storages().await.unwrap_err();
        assert!(
            matches!(error, Error::Malformed { storage, column: "settings" } if storage == made.id),
            "{error:?}"
        );
        assert!(store.delete_storage(made.id).await.unwrap(), "it can still be deleted");
    }
}
