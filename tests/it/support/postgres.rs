//! PostgreSQL for the tests: a cluster of their own on 127.0.0.1, and a fresh database for each.
//!
//! A shell stands between the tests and the server. It stops the server and removes its folder when its standard
//! input ends, which it does however this process ends.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// The password of the one role.
pub const PASSWORD: &str = "correct-horse-battery";

/// A server, until it is dropped.
pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    shell: Option<Child>,
}

/// The cluster that all tests share which leave it running.
pub fn shared() -> &'static Cluster {
    static SHARED: LazyLock<Cluster> = LazyLock::new(Cluster::new);
    &SHARED
}

impl Cluster {
    /// Makes a cluster and starts it.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let mut cluster = Self { programs: programs(), folder, port: 0, shell: None };
        cluster.init();
        // Another process may take the port between the asking and the taking.
        for _ in 0..5 {
            let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            cluster.port = free.local_addr().unwrap().port();
            drop(free);
            if cluster.try_start() {
                return cluster;
            }
        }
        panic!("PostgreSQL does not start: {}", cluster.log());
    }

    /// Starts it again where it was.
    pub fn start(&mut self) {
        assert!(self.try_start(), "PostgreSQL does not start again: {}", self.log());
    }

    /// Stops it; connections are cut.
    pub fn stop(&mut self) {
        self.end("keep");
    }

    /// Makes a database and returns its URL.
    pub async fn database(&self) -> String {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", MADE.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        self.url(&name)
    }

    /// Where it keeps its files.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn init(&self) {
        let password = self.folder.join("password");
        fs::write(&password, PASSWORD).unwrap();
        if let Some((user, group)) = other_user() {
            chown(&self.folder, Some(user), Some(group)).unwrap();
            chown(&password, Some(user), Some(group)).unwrap();
        }
        let mut initdb = self.command(&self.programs.join("initdb"));
        initdb.arg("--pgdata").arg(self.data()).arg("--pwfile").arg(password);
        initdb.args([
            "--username=postgres",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        let done = initdb.output().unwrap();
        assert!(done.status.success(), "initdb: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn try_start(&mut self) -> bool {
        let settings = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories='' -c fsync=off \
             -c full_page_writes=off -c max_connections=200",
            self.port
        );
        let mut shell = self.command(Path::new("/bin/sh"));
        shell.args(["-c", SHELL, "sh"]).arg(&self.programs).arg(&self.folder).arg(settings);
        // A group of its own: Ctrl-C is for the tests, and then the shell cleans up behind them.
        shell.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = shell.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut said).unwrap();
        self.shell = Some(shell);
        let ready = said == "ready\n";
        if !ready {
            self.end("keep");
        }
        ready
    }

    fn end(&mut self, word: &str) {
        if let Some(mut shell) = self.shell.take() {
            let mut stdin = shell.stdin.take().unwrap();
            writeln!(stdin, "{word}").unwrap();
            drop(stdin);
            shell.wait().unwrap();
        }
    }

    /// PostgreSQL refuses to run as root, so root runs it as the user that the package made.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).env("LC_ALL", "C");
        if let Some((user, group)) = other_user() {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        match self.shell {
            Some(_) => self.end("remove"),
            None => fs::remove_dir_all(&self.folder).unwrap(),
        }
    }
}

/// The newest version that is installed.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|version| version.unwrap().path().join("bin")).collect();
    folders.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        std::cmp::Reverse(version.and_then(|version| version.parse::<u32>().ok()))
    });
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let has_all = |folder: &PathBuf| ["initdb", "pg_ctl"].iter().all(|program| folder.join(program).exists());
    folders.into_iter().find(has_all).expect(
        "the tests need PostgreSQL's initdb and pg_ctl, in /usr/lib/postgresql/*/bin or on the path; \
         `tests/run` installs the package postgresql",
    )
}

/// The user and group `postgres`, if we are root.
fn other_user() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let fields: Vec<&str> =
        line.expect("root needs a user postgres to run PostgreSQL as").split(':').collect();
    Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
}

/// Programs, folder, settings.
const SHELL: &str = r#"
"$1/pg_ctl" -D "$2/data" -l "$2/log" -w -t 60 -o "$3" start > /dev/null && echo ready || echo failed
read -r word
if [ "$word" = keep ]; then
    "$1/pg_ctl" -D "$2/data" -m fast -w stop > /dev/null
else
    "$1/pg_ctl" -D "$2/data" -m immediate -w stop > /dev/null
    rm -rf "$2"
fi
"#;
