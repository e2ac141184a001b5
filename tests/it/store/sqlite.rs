//! A SQLite file: one process, private files, a key beside it.

use std::{
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use mediagate::store::{Config, Error, Store};
use secrecy::ExposeSecret as _;

use super::{Database, SECRETS, key, new_storage, revealed};
use crate::support::clock;

#[tokio::test]
async fn a_second_process_is_refused() {
    let database = Database::sqlite();
    let store = database.open().await;
    let refused = migrate(&database);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    for part in [
        &*database.path().canonicalize().unwrap().to_string_lossy(),
        "in use by another mediagate",
        "postgres://",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    store.create_storage(&new_storage("1")).await.unwrap();
    store.close().await;
    drop(store);
    let done = migrate(&database);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(String::from_utf8(done.stdout).unwrap(), "the schema is up to date at version 5\n");
}

#[tokio::test]
async fn the_same_process_opens_it_once_too() {
    let database = Database::sqlite();
    let store = database.open().await;
    let clone = store.clone();
    drop(store);
    assert!(matches!(Store::open(&database.config, clock).await, Err(Error::Locked(_))));
    // By another name as well.
    let link = database.folder.path().join("link.db");
    symlink(database.path(), &link).unwrap();
    let config =
        Config { url: Some(format!("sqlite://{}", link.display()).into()), ..database.config.clone() };
    assert!(matches!(Store::open(&config, clock).await, Err(Error::Locked(_))));
    drop(clone);
    assert!(Store::open(&config, clock).await.unwrap().is_reachable().await);
}

#[test]
fn migrate_makes_a_database_and_tells_of_the_key_once() {
    let database = Database::sqlite();
    let first = migrate(&database);
    assert_eq!(String::from_utf8(first.stdout).unwrap(), "the schema went from version 0 to 5\n");
    let said = String::from_utf8(first.stderr).unwrap();
    let key_path = beside(&database.path(), ".key");
    assert_eq!(said.matches(&*key_path.to_string_lossy()).count(), 1, "{said}");
    let made = std::fs::read_to_string(&key_path).unwrap();
    assert_eq!(made.trim().len(), 64);
    assert!(!said.contains(made.trim()));
    let second = migrate(&database);
    assert!(second.status.success());
    assert_eq!(String::from_utf8(second.stderr).unwrap(), "");
    assert_eq!(std::fs::read_to_string(&key_path).unwrap(), made);
}

#[tokio::test]
async fn rotate_key_seals_anew() {
    let mut database = Database::sqlite();
    let store = database.open().await;
    store.create_storage(&new_storage("1")).await.unwrap();
    store.close().await;
    drop(store);
    let old = database.folder.path().join("old.key");
    std::fs::rename(beside(&database.path(), ".key"), &old).unwrap();
    let new = database.write("new.key", key(9).expose_secret());
    let settings =
        format!("key_file = \"{}\"\nprevious_key_files = [\"{}\"]\n", new.display(), old.display());
    let done = run(&database, "rotate-key", &settings);
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(said.starts_with("sealed the keys of 1 storages with the key "), "{said}");
    database.config.key_file = Some(new);
    let storages = database.open().await.storages().await.unwrap();
    assert_eq!(revealed(&storages[0].keys), SECRETS);
}

#[tokio::test]
async fn its_files_are_private() {
    let database = Database::sqlite();
    let store = database.open().await;
    store.create_storage(&new_storage("1")).await.unwrap();
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(database.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        seen.push(entry.file_name().into_string().unwrap());
    }
    seen.sort();
    assert_eq!(seen, ["state.db", "state.db-shm", "state.db-wal", "state.db.key", "state.db.lock"]);
}

#[tokio::test]
async fn what_was_kept_is_there_after_the_next_start() {
    let database = Database::sqlite();
    let made = database.open().await.create_storage(&new_storage("1")).await.unwrap();
    // Not closed, only dropped, as when the process is killed.
    let read = database.open().await.storage(made.id).await.unwrap().unwrap();
    assert_eq!(revealed(&read.keys), SECRETS);
    assert_eq!(read.created_at, made.created_at);
}

#[tokio::test]
async fn a_lost_key_file_is_not_made_anew() {
    let mut database = Database::sqlite();
    let store = database.open().await;
    store.create_storage(&new_storage("1")).await.unwrap();
    store.close().await;
    drop(store);
    let (lost, kept) = (beside(&database.path(), ".key"), database.folder.path().join("kept.key"));
    std::fs::rename(&lost, &kept).unwrap();
    let error = Store::open(&database.config, clock).await.unwrap_err();
    assert!(matches!(&error, Error::KeyLost(path) if *path == lost), "{error:?}");
    assert!(error.is_configuration() && error.to_string().contains("restore it from a backup"), "{error}");
    assert!(!lost.exists());
    database.config.previous_key_files = vec![kept];
    let store = database.open().await;
    assert!(lost.exists(), "beside the old key a new one may be made");
    assert_eq!(store.reseal().await.unwrap(), 1);
}

#[tokio::test]
async fn places_that_cannot_be_are_named() {
    let database = Database::sqlite();
    let folder = database.folder.path();
    let text = database.write("text.db", &"not a database ".repeat(100));
    std::fs::create_dir(folder.join("folder.db")).unwrap();
    for (url, want) in [
        (format!("sqlite://{}", text.display()), "check that it is a SQLite database"),
        (format!("sqlite://{}/no/state.db", folder.display()), "/no of store.url does not exist"),
        (format!("sqlite://{}/folder.db", folder.display()), "cannot open or write"),
        ("sqlite://".to_owned(), "store.url: behind sqlite:// stands the path"),
        ("redis://h".to_owned(), "write sqlite://mediagate.db or postgres://"),
    ] {
        let config = Config { url: Some(url.clone().into()), ..Config::default() };
        let error = Store::open(&config, clock).await.unwrap_err();
        assert!(error.to_string().contains(want), "{url}: {error}");
    }
    let config = Config { max_connections: 0, ..database.config.clone() };
    let error = Store::open(&config, clock).await.unwrap_err();
    assert!(error.to_string().contains("store.max_connections is 0"), "{error}");
}

#[tokio::test]
async fn readers_do_not_wait_for_writers() {
    let database = Database::sqlite();
    let store = database.open().await;
    assert_eq!(database.texts("SELECT journal_mode FROM pragma_journal_mode").await, ["wal"]);
    drop(store);
}

fn migrate(database: &Database) -> Output {
    run(database, "migrate", "")
}

fn run(database: &Database, command: &str, settings: &str) -> Output {
    let text = format!("[log]\nformat = \"text\"\n[store]\nurl = \"{}\"\n{settings}", database.url());
    let config = database.write("mediagate.toml", &text);
    let mut program = Command::new(env!("CARGO_BIN_EXE_mediagate"));
    program.env_remove("RUST_LOG").arg(command).arg("--config").arg(config).output().unwrap()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// SQLite ends a transaction by itself when the disk is full, which the driver does not see: what came after it on that
/// connection was acknowledged, and never committed.
#[tokio::test]
async fn what_is_accepted_after_a_full_disk_is_kept() {
    let mut database = Database::sqlite();
    database.config.max_connections = 1;
    let store = database.open().await;
    database
        .execute(
            "CREATE TRIGGER full BEFORE INSERT ON annotations WHEN NEW.id = 'full' \
             BEGIN SELECT RAISE(ROLLBACK, 'as a full disk does'); END; \
             CREATE TRIGGER refused BEFORE INSERT ON annotations WHEN NEW.id = 'refused' \
             BEGIN SELECT RAISE(ABORT, 'as a rule does'); END",
        )
        .await;
    for (id, is_kept) in [
        ("a", true),
        ("full", false),
        ("b", true),
        ("full", false),
        ("refused", false),
        ("c", true),
        ("d", true),
    ] {
        let accepted = store.accept(&[super::outbox::put(id, "1", 10, "x")]).await;
        assert_eq!(accepted.is_ok(), is_kept, "{id}: {accepted:?}");
    }
    store.close().await;
    drop(store);
    let kept = database.texts("SELECT id FROM annotations ORDER BY id").await;
    assert_eq!(kept, ["a", "b", "c", "d"]);
}
