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
