//! Tokens and subjects that are no longer honoured.

use std::time::SystemTime;

use super::{Error, Store, changes::Topic, from_micros, micros, on};

/// One entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Revocation {
    /// What is revoked.
    pub what: Revoked,
    /// When the last token that it could concern has expired; absent: never.
    pub expires_at: Option<SystemTime>,
}

/// A token, or tokens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Revoked {
    /// One token.
    Token {
        /// Its `jti` claim.
        jti: String,
    },
    /// All tokens of a subject of some age.
    Subject {
        /// Their `sub` claim.
        sub: String,
        /// Those issued at this moment or before.
        before: SystemTime,
    },
}

impl Store {
    /// Revokes. Of two entries for the same token or subject the later times count.
    pub async fn revoke(&self, revocation: &Revocation) -> Result<(), Error> {
        let (kind, name, issued_until) = match &revocation.what {
            Revoked::Token { jti } => ("token", jti, None),
            Revoked::Subject { sub, before } => ("subject", sub, Some(micros(*before))),
        };
        self.bounded(async {
            let mut tx = self.begin_change(Topic::Revocations).await?;
            on!(&mut tx, tx => {
                sqlx::query(REVOKE)
                    .bind(kind)
                    .bind(name)
                    .bind(issued_until)
                    .bind(revocation.expires_at.map(micros))
                    .bind(self.now())
                    .execute(&mut **tx)
                    .await
                    .map(drop)
            })?;
            self.commit_change(tx).await
        })
        .await
    }

    /// All entries that still matter at `now`.
    pub async fn revocations(&self, now: SystemTime) -> Result<Vec<Revocation>, Error> {
        let rows: Vec<(String, String, Option<i64>, Option<i64>)> = self
            .bounded(async {
                let rows = on!(&self.0.pool, pool => {
                    sqlx::query_as(IN_FORCE).bind(micros(now)).fetch_all(pool).await
                });
                Ok(rows?)
            })
            .await?;
        let revocations = rows.into_iter().map(|(kind, name, issued_until, expires_at)| Revocation {
            what: match issued_until {
                Some(before) if kind == "subject" => {
                    Revoked::Subject { sub: name, before: from_micros(before) }
                }
                _ => Revoked::Token { jti: name },
            },
            expires_at: expires_at.map(from_micros),
        });
        Ok(revocations.collect())
    }

    /// Drops the entries that no longer matter at `now` and returns how many they were.
    pub async fn drop_expired_revocations(&self, now: SystemTime) -> Result<u64, Error> {
        self.bounded(async {
            let affected = on!(&self.0.pool, pool => {
                let done = sqlx::query(DROP_EXPIRED).bind(micros(now)).execute(pool).await;
                done.map(|done| done.rows_affected())
            })?;
            Ok(affected)
        })
        .await
    }
}

const REVOKE: &str = "INSERT INTO revocations (kind, name, issued_until, expires_at, created_at) \
                      VALUES ($1, $2, $3, $4, $5) \
                      ON CONFLICT (kind, name) DO UPDATE SET \
                      issued_until = CASE WHEN excluded.issued_until > revocations.issued_until \
                          THEN excluded.issued_until ELSE revocations.issued_until END, \
                      expires_at = CASE WHEN revocations.expires_at IS NULL THEN NULL \
                          WHEN excluded.expires_at < revocations.expires_at THEN revocations.expires_at \
                          ELSE excluded.expires_at END";
const IN_FORCE: &str = "SELECT kind, name, issued_until, expires_at FROM revocations \
                        WHERE expires_at IS NULL OR expires_at > $1 ORDER BY kind, name";
const DROP_EXPIRED: &str = "DELETE FROM revocations WHERE expires_at <= $1";
