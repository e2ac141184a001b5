//! From the text of `store.url` to a place.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use sqlx::postgres::PgConnectOptions;

/// Where state is kept. It does not print: the options hold a password and would show it.
pub(super) enum Place {
    /// In this process, as long as it runs.
    Memory,
    /// In a SQLite file.
    File(PathBuf),
    /// In PostgreSQL.
    Postgres(Box<PgConnectOptions>),
}

/// Why a text is no place. It is not quoted: it may hold a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseUrlError {
    /// Some other database, or none.
    #[error("it begins neither with sqlite:// nor with postgres://")]
    SchemeUnknown,
    /// No path, or parameters behind it.
    #[error("behind sqlite:// stands the path of a file, without parameters; write ? as %3F")]
    PathInvalid,
    /// Not a URL, or a parameter with a value that it cannot have.
    #[error(
        "it is not of the form postgres://user:password@host:5432/database, or a character in it needs %XX"
    )]
    PostgresInvalid,
    /// A typing error must not turn TLS off.
    #[error(
        "it has a parameter that is not known; known are sslmode, sslrootcert, sslcert, sslkey, host, hostaddr, \
         port, dbname, user, password, application_name, options and statement-cache-capacity"
    )]
    ParameterUnknown,
}

impl Place {
    /// Parses a URL.
    pub(super) fn parse(url: &str) -> Result<Self, ParseUrlError> {
        if let Some(rest) = url.strip_prefix("sqlite:") {
            return Self::parse_path(rest.strip_prefix("//").unwrap_or(rest));
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(ParseUrlError::SchemeUnknown);
        }
        if !parameters(url).all(|name| POSTGRES_PARAMETERS.contains(&name) || name.starts_with("options[")) {
            return Err(ParseUrlError::ParameterUnknown);
        }
        let options: PgConnectOptions = url.parse().map_err(|_| ParseUrlError::PostgresInvalid)?;
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("mediagate"),
        };
        Ok(Self::Postgres(Box::new(options)))
    }

    fn parse_path(path: &str) -> Result<Self, ParseUrlError> {
        if path == ":memory:" {
            return Ok(Self::Memory);
        }
        let decoded = percent_decode_str(path).decode_utf8().map_err(|_| ParseUrlError::PathInvalid)?;
        if decoded.is_empty() || path.contains('?') || decoded.contains('\0') {
            return Err(ParseUrlError::PathInvalid);
        }
        Ok(Self::File(PathBuf::from(decoded.as_ref())))
    }
}

/// The names of a URL's parameters, as they are written.
fn parameters(url: &str) -> impl Iterator<Item = &str> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
}

/// What sqlx 0.9 reads; of others it logs name and value and goes on.
const POSTGRES_PARAMETERS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_place_or_an_error_that_does_not_quote_it() {
        for (url, want) in [
            ("sqlite://mediagate.db", Ok("mediagate.db")),
            ("sqlite:///var/lib/mediagate/state.db", Ok("/var/lib/mediagate/state.db")),
            ("sqlite:state.db", Ok("state.db")),
            ("sqlite://a%3Fb%20c.db", Ok("a?b c.db")),
            ("sqlite::memory:", Ok("memory")),
            ("sqlite://:memory:", Ok("memory")),
            ("postgres://ann:pass@db.example.org/media", Ok("db.example.org:5432/media as ann")),
            ("postgresql://ann@[::1]:5433/media?sslmode=verify-full", Ok("[::1]:5433/media as ann")),
            ("sqlite://", Err(ParseUrlError::PathInvalid)),
            ("sqlite://a.db?mode=ro", Err(ParseUrlError::PathInvalid)),
            ("sqlite://a%00.db", Err(ParseUrlError::PathInvalid)),
            ("", Err(ParseUrlError::SchemeUnknown)),
            ("mediagate.db", Err(ParseUrlError::SchemeUnknown)),
            ("mysql://u:hunter2@h/d", Err(ParseUrlError::SchemeUnknown)),
            ("postgres://u:hunter2@h/d?sslmod=require", Err(ParseUrlError::ParameterUnknown)),
            ("postgres://u:hunter2@h/d?sslmode=hunter2", Err(ParseUrlError::PostgresInvalid)),
            ("postgres://u:hunter2/x@h/d", Err(ParseUrlError::PostgresInvalid)),
        ] {
            let got = Place::parse(url);
            if let Err(error) = &got {
                assert!(!error.to_string().contains("hunter2"), "{error}");
            }
            let got = got.map(|place| match place {
                Place::Memory => "memory".to_owned(),
                Place::File(path) => path.display().to_string(),
                Place::Postgres(options) => {
                    let database = options.get_database().unwrap_or("none");
                    let (host, port) = (options.get_host(), options.get_port());
                    format!("{host}:{port}/{database} as {}", options.get_username())
                }
            });
            assert_eq!(got.as_deref(), want.as_ref().copied(), "{url}");
        }
    }
}
