//! Label Studio behind the gateway: everything that knows it.
//!
//! The data path, the control side and the sidecar own narrow types, such as a source of permissions or a sink of tasks;
//! what stands here fills them in for an unmodified Label Studio, and `app` joins the two. Label Studio is asked over HTTP
//! by one [`Client`], either as whoever sent a request, with nothing but the credentials of that request, or as the
//! service, with the token of the configuration. The two never mix.

mod account;
mod client;
mod config;
mod follow;
mod permission;
mod sink;
mod storages;
mod task_json;

pub use self::{
    client::{Answer, Client, ClientError, Credentials},
    config::{Config, ConfigError, Scope},
    follow::{FollowMetrics, Follower, InForce},
    permission::Permissions,
    sink::Sink,
    storages::StoragesDoor,
    task_json::{TaskJson, UrlTokens},
};

/// The number that an id is, in the one spelling that it has: Label Studio would take others for it, and the gateway keeps
/// them apart.
fn number<N: std::str::FromStr + ToString>(id: &str) -> Option<N> {
    id.parse().ok().filter(|number: &N| number.to_string() == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        for (id, want) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("07", None),
            ("+7", None),
            ("-7", None),
            (" 7", None),
            ("7/", None),
            ("7?x=1", None),
            ("../projects/1", None),
            ("٧", None),
            ("", None),
        ] {
            assert_eq!(number::<u64>(id), want, "{id:?}");
        }
    }
}
