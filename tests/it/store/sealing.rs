//! What the database knows of secrets: nothing.

use std::path::PathBuf;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mediagate::store::{Error, Store};
use memchr::memmem;
use secrecy::ExposeSecret as _;

use super::{Database, SECRETS, key, new_storage, revealed};
use crate::support::{clock, postgres::shared};

#[tokio::test]
async fn a_sealed_value_differs_in_every_row_and_opens_in_no_other() {
    for database in Database::both().await {
        let store = database.open().await;
        let first = store.create_storage(&new_storage("1")).await.unwrap();
        let second = store.create_storage(&new_storage("1")).await.unwrap();
        let sealed = database.texts(if database.is_sqlite() { HEX_SQLITE } else { HEX_POSTGRES }).await;
        assert_eq!(sealed.len(), 2);
        assert_ne!(sealed[0].get(18..), sealed[1].get(18..));

        database.execute("UPDATE storages SET keys = (SELECT keys FROM storages ORDER BY id LIMIT 1)").await;
        assert_eq!(revealed(&store.storage(first.id).await.unwrap().unwrap().keys), SECRETS);
        let error = store.storage(second.id).await.unwrap_err();
        assert!(matches!(&error, Error::SealBroken { storage } if *storage == second.name()), "{error:?}");
        assert!(matches!(store.storages().await, Err(Error::SealBroken { .. })));
        assert!(store.delete_storage(second.id).await.unwrap());
        assert_eq!(store.storages().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_key_is_rotated() {
    for mut database in Database::both().await {
        let store = database.open().await;
        let old_id = store.key_id();
        let made = store.create_storage(&new_storage("1")).await.unwrap();
        store.create_storage(&new_storage("2")).await.unwrap();
        store.close().await;
        drop(store);

        // Only the new key: a sentence that names the storage and the setting, and nothing is lost.
        database.config.key = Some(key(2));
        let store = database.open().await;
        let error = store.storages().await.unwrap_err();
        assert!(matches!(error, Error::SealUnknownKey { key, .. } if key == old_id), "{error:?}");
        for part in [made.name().as_str(), &old_id.to_string(), "store.previous_key_files"] {
            assert!(error.to_string().contains(part), "{part} in {error}");
        }
        assert!(matches!(store.reseal().await, Err(Error::SealUnknownKey { .. })));
        store.close().await;
        drop(store);

        // Both: the old one opens, the new one seals.
        let old_file = database.write("old.key", &format!("{}\n", key(1).expose_secret()));
        database.config.previous_key_files = vec![old_file];
        let store = database.open().await;
        assert_ne!(store.key_id(), old_id);
        assert_eq!(revealed(&store.storage(made.id).await.unwrap().unwrap().keys), SECRETS);
        store.create_storage(&new_storage("3")).await.unwrap();
        let before = store.storages().await.unwrap();
        assert_eq!(store.reseal().await.unwrap(), 3);
        for (was, is) in before.iter().zip(store.storages().await.unwrap()) {
            assert_eq!(was.revision, is.revision, "a rotation is no edit");
        }
        store.close().await;
        drop(store);

        // The new one alone.
        database.config.previous_key_files.clear();
        let store = database.open().await;
        for storage in store.storages().await.unwrap() {
            assert_eq!(revealed(&storage.keys), SECRETS);
        }
        assert_eq!(store.reseal().await.unwrap(), 3);
    }
}

#[tokio::test]
async fn files_of_the_database_hold_no_secret() {
    for database in Database::both().await {
        let store = database.open().await;
        let made = store.create_storage(&new_storage("grep-me")).await.unwrap();
        let mut changed = made.clone();
        changed.settings.title = Some("changed".to_owned());
        store.update_storage(&changed).await.unwrap();
        let folders = if database.is_sqlite() {
            vec![database.folder.path().to_owned()]
        } else {
            database.execute("CHECKPOINT").await;
            let own =
                database.texts("SELECT oid::text FROM pg_database WHERE datname = current_database()").await;
            vec![shared().data().join("base").join(&own[0]), shared().data().join("pg_wal")]
        };
        let files = read_all(&folders);
        let holds = |text: &str| files.iter().any(|file| memmem::find(file, text.as_bytes()).is_some());
        assert!(holds("grep-me"), "the search finds what is there");
        for secret in SECRETS.into_iter().chain([key(1).expose_secret()]) {
            assert!(!holds(secret), "{secret}");
            // A chunk that starts at any of the three offsets within base64's groups.
            for offset in 0..3 {
                let encoded = STANDARD.encode(&secret.as_bytes()[offset..offset + 12]);
                assert!(!holds(&encoded), "{secret} in base64");
            }
        }
    }
}

#[tokio::test]
async fn keys_that_are_none_are_refused_with_their_place() {
    for mut database in Database::both().await {
        let mut refused = async |change: &dyn Fn(&mut Database), part: &str| {
            database.config.key = None;
            database.config.key_file = None;
            database.config.previous_key_files.clear();
            change(&mut database);
            let error = Store::open(&database.config, clock).await.unwrap_err();
            assert!(error.is_configuration() && !error.is_transient(), "{error:?}");
            assert!(error.to_string().contains(part), "{part} in {error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        };
        refused(&|database| database.config.key = Some("hunter2".into()), "store.key does not hold a key")
            .await;
        refused(
            &|database| database.config.key_file = Some(database.write("short.key", "hunter2")),
            "short.key does not hold a key",
        )
        .await;
        refused(
            &|database| {
                database.config.key = Some(key(1));
                database.config.previous_key_files = vec![database.write("previous.key", "hunter2")];
            },
            "previous.key does not hold a key",
        )
        .await;
        refused(
            &|database| database.config.key_file = Some(database.folder.path().join("no.key")),
            "no.key, which cannot be read",
        )
        .await;
        refused(
            &|database| {
                database.config.key = Some(key(1));
                database.config.key_file = Some(database.write("a.key", key(1).expose_secret()));
            },
            "store.key and store.key_file are both set",
        )
        .await;
    }
}

#[tokio::test]
async fn the_url_may_be_in_a_file() {
    for mut database in Database::both().await {
        let url = format!("{}\n", database.url());
        let file = database.write("url", &url);
        let config =
            mediagate::store::Config { url: None, url_file: Some(file.clone()), ..database.config.clone() };
        assert_eq!(config.files(), std::slice::from_ref(&file));
        assert!(Store::open(&config, clock).await.unwrap().is_reachable().await);
        database.config.url_file = Some(file);
        let error = Store::open(&database.config, clock).await.unwrap_err();
        assert!(matches!(error, Error::SettingTwice("url")), "{error:?}");
    }
}

/// The contents of all files below the folders, without the zeros that a log is filled up with. SQLite's lock and key
/// files are read like all others. A file that the server removes in the meantime holds nothing.
fn read_all(folders: &[PathBuf]) -> Vec<Vec<u8>> {
    let mut contents = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                contents.extend(read_all(&[path]));
            } else if let Ok(mut bytes) = std::fs::read(&path) {
                let filled = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                bytes.truncate(filled);
                contents.push(bytes);
            }
        }
    }
    contents
}

const HEX_SQLITE: &str = "SELECT hex(keys) FROM storages ORDER BY id";
const HEX_POSTGRES: &str = "SELECT encode(keys, 'hex') FROM storages ORDER BY id";
