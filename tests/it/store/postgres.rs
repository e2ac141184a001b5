//! PostgreSQL: several processes, and its outages.

use std::time::Duration;

use mediagate::store::{Config, Error, Store};
use sqlx::postgres::PgListener;
use tokio::time::{Instant, timeout};

use super::{Database, SECRETS, key, new_storage, revealed};
use crate::support::{clock, postgres::Cluster};

/// What DESIGN promises; a test that waits so long has failed.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

#[tokio::test]
async fn two_processes_see_each_other() {
    let database = Database::postgres().await;
    let (here, there) = (database.open().await, database.open().await);
    let version = there.version().await.unwrap();
    let mut changes = there.watch(version);
    let made = here.create_storage(&new_storage("1")).await.unwrap();
    let seen = timeout(SEEN_WITHIN, changes.changed()).await.unwrap();
    assert_eq!(seen, version + 1);
    let read = there.storage(made.id).await.unwrap().unwrap();
    assert_eq!(revealed(&read.keys), SECRETS);
    let (seen, deleted) = tokio::join!(timeout(SEEN_WITHIN, changes.changed()), here.delete_storage(made.id));
    assert!(deleted.unwrap());
    assert_eq!(seen.unwrap(), version + 2);
    assert!(there.storage(made.id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_change_without_a_notification_is_seen_too() {
    let database = Database::postgres().await;
    let store = database.open().await;
    let mut changes = store.watch(store.version().await.unwrap());
    let raise = database.execute("UPDATE changes SET version = version + 1 WHERE topic = 'storages'");
    let (seen, ()) = tokio::join!(timeout(SEEN_WITHIN, changes.changed()), raise);
    assert_eq!(seen.unwrap(), 1);
}

#[tokio::test]
async fn changes_are_notified_and_listened_for() {
    let database = Database::postgres().await;
    let store = database.open().await;
    let mut listener = PgListener::connect(database.url()).await.unwrap();
    listener.listen("mediagate.changes").await.unwrap();
    let mut changes = store.watch(store.version().await.unwrap());
    let (seen, made) = tokio::join!(changes.changed(), async {
        listening(&database).await;
        store.create_storage(&new_storage("1")).await.unwrap()
    });
    assert_eq!(seen, 1);
    let notification = timeout(Duration::from_secs(10), listener.recv()).await.unwrap().unwrap();
    assert_eq!(notification.channel(), "mediagate.changes");
    assert_eq!(notification.payload(), "");
    assert!(store.delete_storage(made.id).await.unwrap());
}

#[tokio::test]
async fn many_processes_start_at_once() {
    let database = Database::postgres().await;
    let open = || async { Store::open(&database.config, clock).await.unwrap() };
    let stores = tokio::join!(open(), open(), open(), open());
    let stores = [stores.0, stores.1, stores.2, stores.3];
    let began_empty = stores.iter().filter(|store| store.migrated().from == 0).count();
    assert_eq!(began_empty, 1, "one of them made the schema");
    // Each offers an admin token and all agree on one; each has the same file and all agree on its storages.
    let mut hashes = Vec::new();
    for (number, store) in (0..).zip(&stores) {
        hashes.push(store.keep_admin_token_hash([number; 32]).await.unwrap());
    }
    assert!(hashes.iter().all(|hash| *hash == [0; 32]), "{hashes:?}");
    let file = [mediagate::store::FileStorage {
        name: mediagate::id::StorageName::parse("media").unwrap(),
        direction: mediagate::storage::Direction::Import,
        kind: mediagate::storage::Kind::S3,
        settings: super::settings("1"),
    }];
    let reconcile = |store: Store| {
        let file = file.clone();
        tokio::spawn(async move { store.reconcile_file_storages(&file).await.unwrap()[0].id })
    };
    let tasks: Vec<_> = stores.iter().cloned().map(reconcile).collect();
    let mut ids = Vec::new();
    for task in tasks {
        ids.push(task.await.unwrap());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(stores[0].version().await.unwrap(), 1, "one of them wrote");
}

#[tokio::test]
async fn a_server_that_goes_and_comes_back_is_waited_out() {
    let mut cluster = Cluster::new();
    let mut database = Database::sqlite();
    let acquire_timeout = Duration::from_secs(1);
    database.config.url = Some(cluster.database().await.into());
    database.config.key = Some(key(1));
    database.config.acquire_timeout = acquire_timeout;
    let config = database.config.clone();
    let store = database.open().await;
    let made = store.create_storage(&new_storage("1")).await.unwrap();
    let version = store.version().await.unwrap();
    let mut changes = store.watch(version);
    tokio::select! {
        version = changes.changed() => panic!("nothing changed, but the version is {version}"),
        () = listening(&database) => {}
    }

    cluster.stop();
    let asked = Instant::now();
    let error = store.storages().await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)) && error.is_transient(), "{error:?}");
    assert!(asked.elapsed() < acquire_timeout * 2, "{:?}", asked.elapsed());
    assert!(store.create_storage(&new_storage("1")).await.unwrap_err().is_transient());
    assert!(!store.is_reachable().await);
    let error = Store::open(&config, clock).await.unwrap_err();
    assert!(error.is_transient() && !error.is_configuration(), "{error:?}");
    assert!(timeout(acquire_timeout * 2, changes.changed()).await.is_err(), "it waits the outage out");

    cluster.start();
    assert!(store.is_reachable().await);
    let read = store.storage(made.id).await.unwrap().unwrap();
    assert_eq!(revealed(&read.keys), SECRETS);
    let other = Store::open(&config, clock).await.unwrap();
    let (seen, deleted) =
        tokio::join!(timeout(SEEN_WITHIN, changes.changed()), other.delete_storage(made.id));
    assert!(deleted.unwrap());
    assert_eq!(seen.unwrap(), version + 1);
}

#[tokio::test]
async fn refusals_say_what_to_check_and_no_password() {
    let database = Database::postgres().await;
    let url = database.url().to_owned();
    for (url, want) in [
        (url.replace("battery", "hunter2"), "check user, password and database name in store.url"),
        (format!("{url}_absent"), "check user, password and database name in store.url"),
        (format!("{url}?sslmod=require"), "it has a parameter that is not known"),
        (format!("{url}?sslmode=require"), "the database does not answer"),
    ] {
        let config = Config { url: Some(url.clone().into()), ..database.config.clone() };
        let error = Store::open(&config, clock).await.unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
        for secret in ["hunter2", "correct-horse"] {
            assert!(!format!("{error:?} {error}").contains(secret), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_shared_store_needs_a_key_to_share() {
    let mut database = Database::postgres().await;
    database.config.key = None;
    let error = Store::open(&database.config, clock).await.unwrap_err();
    assert!(matches!(error, Error::KeyMissing) && error.is_configuration(), "{error:?}");
    assert!(error.to_string().contains("openssl rand -hex 32 > store.key"), "{error}");
}

/// Waits until the server says that a store listens.
async fn listening(database: &Database) {
    let queries = "SELECT query FROM pg_stat_activity WHERE datname = current_database() \
                   AND application_name = 'mediagate' AND query = 'LISTEN \"mediagate.changes\"'";
    while database.texts(queries).await.is_empty() {
        tokio::task::yield_now().await;
    }
}
