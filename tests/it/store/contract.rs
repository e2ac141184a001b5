//! What holds on both databases.

use std::time::{Duration, UNIX_EPOCH};

use mediagate::{
    id::{ProjectId, StorageId, StorageName},
    run::{Job, Trigger},
    storage::{Direction, Keys, Kind, Origin, Settings},
    store::{Error, FileStorage, NewStorage, Revocation, Revoked, Store},
};

use super::{Database, SECRETS, keys, new_storage, revealed, settings};
use crate::support::clock;

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    suite(Database::sqlite().open().await).await;
}

#[tokio::test]
async fn sqlite_in_memory_keeps_the_contract() {
    let mut database = Database::sqlite();
    database.config.url = Some("sqlite::memory:".into());
    suite(database.open().await).await;
}

#[tokio::test]
async fn postgres_keeps_the_contract() {
    suite(Database::postgres().await.open().await).await;
}

async fn suite(store: Store) {
    assert!(store.is_reachable().await);
    storages_are_kept(&store).await;
    numbers_are_not_used_again(&store).await;
    two_writers_notice_each_other(&store).await;
    only_settings_and_keys_are_updated(&store).await;
    super::runs::suite(&store).await;
    super::deliveries::suite(&store).await;
    super::outbox::suite(&store).await;
    super::follow::suite(&store).await;
    lists_are_filtered(&store).await;
    files_are_reconciled(&store).await;
    revocations_are_kept_while_they_matter(&store).await;
    the_first_admin_token_stays(&store).await;
    versions_tell_of_changes(&store).await;
    watchers_hear_of_changes(&store).await;
    writers_at_once_do_not_disturb_each_other(&store).await;
    store.close().await;
    assert!(!store.is_reachable().await);
    let error = store.storages().await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

async fn storages_are_kept(store: &Store) {
    assert!(store.storages().await.unwrap().is_empty());
    let before = clock();
    let made = store.create_storage(&new_storage("1")).await.unwrap();
    let read = store.storage(made.id).await.unwrap().unwrap();
    for storage in [&made, &read] {
        assert_eq!((storage.direction, storage.kind), (Direction::Import, Kind::S3));
        assert_eq!(storage.origin, Origin::Api);
        assert_eq!(storage.settings, settings("1"));
        assert_eq!(revealed(&storage.keys), SECRETS);
        assert_eq!(storage.revision, 1);
        assert_eq!(storage.created_at, made.created_at);
    }
    let age = made.created_at.duration_since(before - Duration::from_micros(1)).unwrap();
    assert!(age < Duration::from_mins(1), "{age:?}");
    let bare = NewStorage { keys: Keys::default(), kind: Kind::S3s, ..new_storage("1") };
    let bare = store.create_storage(&bare).await.unwrap();
    assert!(bare.keys.is_empty());
    assert_eq!(bare.name().as_str(), format!("s3s-{}", bare.id));
    assert_eq!(ids(&store.storages().await.unwrap()), [made.id, bare.id]);
    assert!(store.delete_storage(bare.id).await.unwrap());
    assert!(!store.delete_storage(bare.id).await.unwrap());
    assert!(store.storage(bare.id).await.unwrap().is_none());
    assert!(store.storage(StorageId(-1)).await.unwrap().is_none());
}

async fn numbers_are_not_used_again(store: &Store) {
    let mut last = StorageId(0);
    for _ in 0..3 {
        let made = store.create_storage(&new_storage("1")).await.unwrap();
        assert!(made.id > last, "{} after {last}", made.id);
        last = made.id;
        assert!(store.delete_storage(made.id).await.unwrap());
    }
}

async fn two_writers_notice_each_other(store: &Store) {
    let read = store.create_storage(&new_storage("1")).await.unwrap();
    let mut first = read.clone();
    first.settings.title = Some("first".to_owned());
    first.keys.session_token = None;
    let updated = store.update_storage(&first).await.unwrap();
    assert_eq!((updated.revision, updated.created_at), (2, read.created_at));
    assert_eq!(updated.settings, first.settings);
    assert_eq!(revealed(&updated.keys), SECRETS[..2]);

    let version = store.version().await.unwrap();
    let mut second = read.clone();
    second.settings.title = Some("second".to_owned());
    let error = store.update_storage(&second).await.unwrap_err();
    assert!(matches!(error, Error::Conflict) && !error.is_transient(), "{error:?}");
    assert_eq!(store.version().await.unwrap(), version, "a refused change is none");
    assert_eq!(store.storage(read.id).await.unwrap().unwrap().settings, first.settings);

    assert!(store.delete_storage(read.id).await.unwrap());
    let error = store.update_storage(&updated).await.unwrap_err();
    assert!(matches!(error, Error::StorageUnknown(id) if id == read.id), "{error:?}");
}

async fn only_settings_and_keys_are_updated(store: &Store) {
    let read = store.create_storage(&new_storage("1")).await.unwrap();
    let mut changed = read.clone();
    changed.direction = Direction::Export;
    changed.kind = Kind::S3s;
    changed.created_at = UNIX_EPOCH;
    changed.settings = settings("2");
    let updated = store.update_storage(&changed).await.unwrap();
    assert_eq!((updated.direction, updated.kind), (read.direction, read.kind));
    assert_eq!(updated.created_at, read.created_at);
    assert_eq!(updated.settings, settings("2"));
    assert!(store.delete_storage(read.id).await.unwrap());
}

async fn lists_are_filtered(store: &Store) {
    let of = async |direction, kind, project: Option<&str>| {
        let project = project.map(|project| ProjectId::parse(project).unwrap());
        ids(&store.storages_of(direction, kind, project.as_ref()).await.unwrap())
    };
    let mut made = Vec::new();
    for (direction, kind, project) in [
        (Direction::Import, Kind::S3, "71"),
        (Direction::Import, Kind::S3s, "71"),
        (Direction::Export, Kind::S3, "71"),
        (Direction::Import, Kind::S3, "72"),
    ] {
        let new = NewStorage { direction, kind, ..new_storage(project) };
        made.push(store.create_storage(&new).await.unwrap().id);
    }
    let everywhere = FileStorage { settings: Settings::default(), ..file_storage("everywhere") };
    let filed = store.reconcile_file_storages(&[everywhere]).await.unwrap()[0].id;
    assert_eq!(of(Direction::Import, Some(Kind::S3), Some("71")).await, [made[0], filed]);
    assert_eq!(of(Direction::Import, None, Some("71")).await, [made[0], made[1], filed]);
    assert_eq!(of(Direction::Import, Some(Kind::S3), Some("72")).await, [made[3], filed]);
    assert_eq!(of(Direction::Import, Some(Kind::S3), Some("73")).await, [filed]);
    assert_eq!(of(Direction::Export, None, Some("71")).await, [made[2]]);
    assert!(of(Direction::Export, Some(Kind::S3s), None).await.is_empty());
    let all = of(Direction::Import, None, None).await;
    assert!([made[0], made[1], made[3], filed].iter().all(|id| all.contains(id)), "{all:?}");
    store.reconcile_file_storages(&[]).await.unwrap();
    for id in made {
        assert!(store.delete_storage(id).await.unwrap());
    }
}

async fn files_are_reconciled(store: &Store) {
    let names = |storages: &[mediagate::storage::Storage]| -> Vec<String> {
        storages.iter().map(|storage| storage.name().as_str().to_owned()).collect()
    };
    let before = store.storages().await.unwrap().len();
    let list = [file_storage("b"), file_storage("a")];
    let first = store.reconcile_file_storages(&list).await.unwrap();
    assert_eq!(names(&first), ["b", "a"], "in the order of the file");
    assert_eq!(first[0].origin, Origin::File(StorageName::parse("b").unwrap()));
    assert!(first[0].keys.is_empty());
    let run = store.enqueue_run(first[0].id, Job::Sync, Trigger::Api).await.unwrap().run;

    let version = store.version().await.unwrap();
    let again = store.reconcile_file_storages(&list).await.unwrap();
    assert_eq!(ids(&again), ids(&first));
    assert_eq!(store.version().await.unwrap(), version, "nothing differs, nothing is written");

    let changed = FileStorage { settings: settings("9"), ..file_storage("a") };
    let fewer = store.reconcile_file_storages(std::slice::from_ref(&changed)).await.unwrap();
    assert_eq!(ids(&fewer), [first[1].id]);
    assert_eq!((&fewer[0].settings, fewer[0].revision), (&settings("9"), 2));
    assert!(store.storage(first[0].id).await.unwrap().is_none(), "what the file has no longer is hidden");
    assert_eq!(store.storages().await.unwrap().len(), before + 1);

    let back = store.reconcile_file_storages(&[file_storage("b"), changed]).await.unwrap();
    assert_eq!(ids(&back), ids(&first), "and comes back as it was");
    assert_eq!(store.sync_state(back[0].id).await.unwrap().last_sync_job, Some(run.id.to_string()));
    store.cancel_run(run.id).await.unwrap();

    assert!(!store.delete_storage(first[0].id).await.unwrap(), "it is deleted in the file");
    let error = store.update_storage(&back[0]).await.unwrap_err();
    assert!(matches!(&error, Error::StorageFromFile(name) if name.as_str() == "b"), "{error:?}");
    assert!(error.to_string().contains("configuration file"), "{error}");
    assert!(store.reconcile_file_storages(&[]).await.unwrap().is_empty());
}

async fn revocations_are_kept_while_they_matter(store: &Store) {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let token = |jti: &str, expires_at: Option<u64>| Revocation {
        what: Revoked::Token { jti: jti.to_owned() },
        expires_at: expires_at.map(at),
    };
    let subject = |before, expires_at: Option<u64>| Revocation {
        what: Revoked::Subject { sub: "ann".to_owned(), before: at(before) },
        expires_at: expires_at.map(at),
    };
    let version = store.version().await.unwrap();
    for revocation in [
        token("t1", Some(100)),
        token("t1", Some(50)),
        token("t2", None),
        token("t2", Some(70)),
        subject(20, Some(90)),
        subject(10, Some(110)),
    ] {
        store.revoke(&revocation).await.unwrap();
    }
    assert_eq!(store.version().await.unwrap(), version + 6);
    let all = [subject(20, Some(110)), token("t1", Some(100)), token("t2", None)];
    assert_eq!(store.revocations(at(99)).await.unwrap(), all);
    assert_eq!(store.drop_expired_revocations(at(99)).await.unwrap(), 0);
    assert_eq!(store.revocations(at(100)).await.unwrap(), [all[0].clone(), all[2].clone()]);
    assert_eq!(store.drop_expired_revocations(at(110)).await.unwrap(), 2);
    assert_eq!(store.revocations(at(0)).await.unwrap(), [all[2].clone()]);
}

async fn the_first_admin_token_stays(store: &Store) {
    assert_eq!(store.admin_token_hash().await.unwrap(), None);
    assert_eq!(store.keep_admin_token_hash([1; 32]).await.unwrap(), [1; 32]);
    assert_eq!(store.keep_admin_token_hash([2; 32]).await.unwrap(), [1; 32]);
    assert_eq!(store.admin_token_hash().await.unwrap(), Some([1; 32]));
}

async fn versions_tell_of_changes(store: &Store) {
    let mut version = store.version().await.unwrap();
    let mut moved = async |what: &str| {
        let now = store.version().await.unwrap();
        assert!(now > version, "{what}: {now} after {version}");
        version = now;
    };
    let made = store.create_storage(&new_storage("1")).await.unwrap();
    moved("create").await;
    store.update_storage(&made).await.unwrap();
    moved("update").await;
    store.reconcile_file_storages(&[file_storage("a")]).await.unwrap();
    moved("reconcile").await;
    store.delete_storage(made.id).await.unwrap();
    moved("delete").await;
    store.reconcile_file_storages(&[]).await.unwrap();
    moved("absent").await;
}

async fn watchers_hear_of_changes(store: &Store) {
    let version = store.version().await.unwrap();
    let mut changes = store.watch(version);
    let new = new_storage("1");
    let (seen, made) = tokio::join!(changes.changed(), store.create_storage(&new));
    assert_eq!(seen, version + 1);
    store.delete_storage(made.unwrap().id).await.unwrap();
    assert_eq!(changes.changed().await, version + 2, "also when it came between two waits");
    assert_eq!(store.watch(version).changed().await, version + 2, "also when it came before the watch");
}

async fn writers_at_once_do_not_disturb_each_other(store: &Store) {
    let before = store.version().await.unwrap();
    let writers = (0..12).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let made = store.create_storage(&new_storage(&writer.to_string())).await.unwrap();
            let updated = store.update_storage(&made).await.unwrap();
            store.storages().await.unwrap();
            assert!(store.delete_storage(updated.id).await.unwrap());
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(store.version().await.unwrap(), before + 36);
}

fn file_storage(name: &str) -> FileStorage {
    FileStorage {
        name: StorageName::parse(name).unwrap(),
        direction: Direction::Import,
        kind: Kind::S3,
        settings: settings("1"),
    }
}

fn ids(storages: &[mediagate::storage::Storage]) -> Vec<StorageId> {
    storages.iter().map(|storage| storage.id).collect()
}

#[tokio::test]
async fn secrets_do_not_print() {
    for database in Database::both().await {
        let store = database.open().await;
        let made = store.create_storage(&new_storage("1")).await.unwrap();
        let watch = store.watch(0);
        let printed = format!("{:?} {store:?} {watch:?} {made:?} {:?}", database.config, new_storage("1"));
        for secret in revealed(&keys()).into_iter().chain(["01010101", "correct-horse"]) {
            assert!(!printed.contains(secret), "{secret} in {printed}");
        }
    }
}
