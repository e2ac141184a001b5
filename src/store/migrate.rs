//! The schema: migrations that are part of the program.

use sqlx::{
    PgPool, SqlSafeStr as _, SqlitePool,
    migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator},
};

use super::{Error, pool::Pool};

/// What was done to the schema; versions are the numbers of migrations, 0 stands for an empty database.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Migrated {
    /// The version that was found.
    pub from: i64,
    /// The version that it has now.
    pub to: i64,
}

/// Brings the schema up to date. Processes that start at once wait for each other: on PostgreSQL for an advisory
/// lock, on SQLite for the lock of the file.
pub(super) async fn run(pool: &Pool) -> Result<Migrated, Error> {
    match pool {
        Pool::Sqlite(pool) => on_sqlite(pool, &migrator(SQLITE)).await,
        Pool::Postgres(pool) => on_postgres(pool, &migrator(POSTGRES)).await,
    }
}

async fn on_sqlite(pool: &SqlitePool, migrator: &Migrator) -> Result<Migrated, Error> {
    let mut connection = pool.acquire().await?;
    let migrated = begin(&mut *connection, migrator).await?;
    migrator.run(&mut *connection).await?;
    Ok(migrated)
}

async fn on_postgres(pool: &PgPool, migrator: &Migrator) -> Result<Migrated, Error> {
    let mut connection = pool.acquire().await?;
    // With its settings below, and the lock should anything fail, this connection is not for others.
    connection.close_on_drop();
    // A process that hangs in the middle of a migration must not hang all the others.
    sqlx::query("SET lock_timeout = '60s'").execute(&mut *connection).await?;
    // Or it says at every start that a table is there already.
    sqlx::query("SET client_min_messages = warning").execute(&mut *connection).await?;
    let migrated = begin(&mut *connection, migrator).await?;
    migrator.run(&mut *connection).await?;
    connection.close().await?;
    Ok(migrated)
}

/// Takes the lock, which `Migrator::run` takes once more, so that nobody comes between looking and doing.
async fn begin(connection: &mut impl Migrate, migrator: &Migrator) -> Result<Migrated, Error> {
    connection.lock().await?;
    connection.ensure_migrations_table(&migrator.table_name).await?;
    let applied = connection.list_applied_migrations(&migrator.table_name).await?;
    let from = applied.iter().map(|migration| migration.version).max().unwrap_or_default();
    let to = migrator.iter().map(|migration| migration.version).max().unwrap_or_default();
    if from > to {
        Err(Error::SchemaNewer { database: from, program: to })
    } else {
        Ok(Migrated { from, to })
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) => error.into(),
            MigrateError::ExecuteMigration(error, version) => match Self::from(error) {
                Self::Database(error) => {
                    Self::Migration(Box::new(MigrateError::ExecuteMigration(error, version)))
                }
                sorted => sorted,
            },
            other => Self::Migration(Box::new(other)),
        }
    }
}

fn migrator(files: &[(&'static str, &'static str)]) -> Migrator {
    let migrations = files.iter().zip(1..).map(|(&(name, text), version)| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// In order; what was released is never edited, since databases remember its hash.
const SQLITE: &[(&str, &str)] = &[
    ("init", include_str!("migrations/sqlite/0001_init.sql")),
    ("sync", include_str!("migrations/sqlite/0002_sync.sql")),
    ("export", include_str!("migrations/sqlite/0003_export.sql")),
    ("deliveries", include_str!("migrations/sqlite/0004_deliveries.sql")),
    ("people", include_str!("migrations/sqlite/0005_people.sql")),
];
const POSTGRES: &[(&str, &str)] = &[
    ("init", include_str!("migrations/postgres/0001_init.sql")),
    ("sync", include_str!("migrations/postgres/0002_sync.sql")),
    ("export", include_str!("migrations/postgres/0003_export.sql")),
    ("deliveries", include_str!("migrations/postgres/0004_deliveries.sql")),
    ("people", include_str!("migrations/postgres/0005_people.sql")),
];
