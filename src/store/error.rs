//! Why the store did not do what it was asked, and which of it passes by itself.

use std::{borrow::Cow, io, path::PathBuf};

use sqlx::error::{DatabaseError, ErrorKind};

use super::{key::KeySource, seal::KeyId, url::ParseUrlError};
use crate::id::{RunId, StorageId, StorageName, TaskNumber};

/// Why the store cannot be opened, or a call failed. No variant holds or shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none of ours.
    #[error("store.url: {0}; write sqlite://mediagate.db or postgres://user:password@host:5432/database")]
    Url(#[from] ParseUrlError),
    /// A setting and its file.
    #[error("store.{0} and store.{0}_file are both set; keep one")]
    SettingTwice(&'static str),
    /// A file that the section names.
    #[error("[store] names {}, which cannot be read", path.display())]
    FileUnreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A pool without connections.
    #[error("store.max_connections is 0; at least 1 is needed")]
    NoConnections,
    /// Not 32 bytes.
    #[error(
        "{0} does not hold a key: 32 bytes, as 64 hexadecimal digits or in base64; \
         `openssl rand -hex 32` makes one"
    )]
    KeyInvalid(KeySource),
    /// Several processes need the same key, so none of them can make it.
    #[error(
        "a store in PostgreSQL needs store.key_file (or store.key), the same for every gateway; \
         make one with `openssl rand -hex 32 > store.key`"
    )]
    KeyMissing,
    /// A new key would open nothing.
    #[error(
        "{} is missing, and this database has storages whose keys were sealed with it; restore it from a backup, \
         or name the key's new place in store.key_file",
        .0.display()
    )]
    KeyLost(PathBuf),
    /// The parent folder of a SQLite file.
    #[error("the folder {} of store.url does not exist; make it, or name another file", .0.display())]
    FolderMissing(PathBuf),
    /// A file of ours.
    #[error("cannot open or write {}; check its owner and permissions", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite serves one process.
    #[error(
        "{} is in use by another mediagate; stop that one, or set store.url to postgres://..., \
         which several can share",
        .0.display()
    )]
    Locked(PathBuf),
    /// A newer program was here.
    #[error(
        "the database has schema {database}, and this program knows schemas up to {program}; \
         run the newer mediagate, or restore the backup from before it"
    )]
    SchemaNewer {
        /// The newest migration that the database has.
        database: i64,
        /// The newest that the program has.
        program: i64,
    },
    /// A migration failed, or one that was applied is not the one we know.
    #[error("the schema of the database cannot be brought up to date")]
    Migration(#[source] Box<sqlx::migrate::MigrateError>),
    /// It does not answer now and may later: down, starting, busy, full.
    #[error("the database does not answer; see that it runs and that store.url names it")]
    Unavailable(#[source] sqlx::Error),
    /// It does not let us in, or not do what we must.
    #[error(
        "the database refuses; check user, password and database name in store.url, and that the user may make \
         tables"
    )]
    Refused(#[source] sqlx::Error),
    /// SQLite does not like its file.
    #[error(
        "SQLite cannot use the file of store.url; check that it is a SQLite database, and owner and permissions of it \
         and its folder"
    )]
    FileUnusable(#[source] sqlx::Error),
    /// Somebody else changed the same thing first.
    #[error("it was changed by somebody else in the meantime; read it again")]
    Conflict,
    /// It was deleted.
    #[error("there is no storage {0}")]
    StorageUnknown(StorageId),
    /// It is changed where it was made.
    #[error("storage {0} comes from the configuration file; change it there")]
    StorageFromFile(StorageName),
    /// Sealed with a key that this process does not have.
    #[error(
        "the keys of storage {storage} were sealed with the key {key}, which is not here; \
         name its file in store.key_file or store.previous_key_files"
    )]
    SealUnknownKey {
        /// Whose.
        storage: StorageName,
        /// The name of the key.
        key: KeyId,
    },
    /// Damaged, or moved here from another row.
    #[error("the sealed keys of storage {storage} are damaged or belong to another one; set them again")]
    SealBroken {
        /// Whose.
        storage: StorageName,
    },
    /// The cryptographic library had no randomness.
    #[error("the keys could not be sealed")]
    SealFailed,
    /// A row that nobody of ours wrote.
    #[error("column {column} of storage {storage} is not as mediagate writes it")]
    Malformed {
        /// The row.
        storage: StorageId,
        /// The column.
        column: &'static str,
    },
    /// There is no such run.
    #[error("there is no run {0}")]
    RunUnknown(RunId),
    /// The lease ran out and somebody else goes on, or the run has ended.
    #[error("the claim of the run was lost: another sidecar has it, or it has ended")]
    ClaimLost,
    /// A row that nobody of ours wrote.
    #[error("column {column} of run {run} is not as mediagate writes it")]
    RunMalformed {
        /// The row.
        run: RunId,
        /// The column.
        column: &'static str,
    },
    /// A row that nobody of ours wrote.
    #[error("column {column} of task {task} is not as mediagate writes it")]
    TaskMalformed {
        /// The row.
        task: TaskNumber,
        /// The column.
        column: &'static str,
    },
    /// A row that nobody of ours wrote.
    #[error("column {column} of annotation {id} is not as mediagate writes it")]
    AnnotationMalformed {
        /// The row.
        id: String,
        /// The column.
        column: &'static str,
    },
    /// A row that nobody of ours wrote.
    #[error("column {column} of row {row} of the outbox is not as mediagate writes it")]
    OutboxMalformed {
        /// The row.
        row: i64,
        /// The column.
        column: &'static str,
    },
    /// Anything else that the database says.
    #[error("the database reports an error")]
    Database(#[source] sqlx::Error),
}

impl Error {
    /// Whether the same call may succeed later, without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Whether an operator has to change the configuration.
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Url(_)
                | Self::SettingTwice(_)
                | Self::FileUnreadable { .. }
                | Self::NoConnections
                | Self::KeyInvalid(_)
                | Self::KeyMissing
                | Self::KeyLost(_)
                | Self::FolderMissing(_)
        )
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(reported) => match Condition::of(reported.as_ref()) {
                Condition::Busy => Self::Unavailable(error),
                Condition::Refused => Self::Refused(error),
                Condition::FileUnusable => Self::FileUnusable(error),
                Condition::Taken => Self::Conflict,
                Condition::Other => Self::Database(error),
            },
            _ => Self::Database(error),
        }
    }
}

/// What a database reports, as far as anybody acts on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Condition {
    Busy,
    Refused,
    FileUnusable,
    Taken,
    Other,
}

impl Condition {
    fn of(reported: &dyn DatabaseError) -> Self {
        if matches!(reported.kind(), ErrorKind::UniqueViolation | ErrorKind::ForeignKeyViolation) {
            return Self::Taken;
        }
        let code = reported.code().unwrap_or(Cow::Borrowed(""));
        // SQLSTATEs have five characters; SQLite's extended result codes are numbers of up to four digits.
        if code.len() == 5 { Self::of_sqlstate(&code) } else { Self::of_sqlite(&code) }
    }

    /// PostgreSQL, appendix "Error Codes".
    fn of_sqlstate(code: &str) -> Self {
        match code {
            "28000" | "28P01" | "3D000" | "42501" => Self::Refused,
            // Serialization, deadlock, lock timeout, cancelled, read-only (a standby after a failover).
            "40001" | "40P01" | "55P03" | "57014" | "25006" => Self::Busy,
            // Connection exceptions, insufficient resources, operator intervention, system errors.
            _ if ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class)) => Self::Busy,
            _ => Self::Other,
        }
    }

    /// SQLite, "Result and Error Codes"; the low byte is the primary code.
    fn of_sqlite(code: &str) -> Self {
        match code.parse::<i32>().map(|code| code & 0xff) {
            // SQLITE_BUSY, SQLITE_LOCKED, SQLITE_IOERR, SQLITE_FULL.
            Ok(5 | 6 | 10 | 13) => Self::Busy,
            // SQLITE_PERM, SQLITE_READONLY, SQLITE_CORRUPT, SQLITE_CANTOPEN, SQLITE_NOTADB.
            Ok(3 | 8 | 11 | 14 | 26) => Self::FileUnusable,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_by_what_to_do() {
        for (code, want) in [
            ("57P01", Condition::Busy),
            ("57P03", Condition::Busy),
            ("53300", Condition::Busy),
            ("08006", Condition::Busy),
            ("40P01", Condition::Busy),
            ("25006", Condition::Busy),
            ("28P01", Condition::Refused),
            ("3D000", Condition::Refused),
            ("42P01", Condition::Other),
            ("22021", Condition::Other),
        ] {
            assert_eq!(Condition::of_sqlstate(code), want, "{code}");
        }
        for (code, want) in [
            ("5", Condition::Busy),
            ("517", Condition::Busy),
            ("13", Condition::Busy),
            ("14", Condition::FileUnusable),
            ("1032", Condition::FileUnusable),
            ("1", Condition::Other),
        ] {
            assert_eq!(Condition::of_sqlite(code), want, "{code}");
        }
    }
}
