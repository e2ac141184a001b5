//! mediagate serves private S3 media to annotation frontends: the architecture.
//!
//! One crate, one binary. Modules are self-named (`gateway.rs` beside `gateway/`), and lower lines are used by
//! higher ones, never the reverse; `tests/it/architecture.rs` keeps the table.
//!
//! | module | what it is |
//! |---|---|
//! | [`cli`] | what an operator types |
//! | [`app`] | composition root: a configuration becomes listeners and tasks |
//! | [`config`] | layered sources into the structs that the modules own |
//! | [`label_studio`] | Label Studio behind the gateway: permissions, its task JSON, imports, webhooks |
//! | [`gateway`] | the hot path: admit, route, authorise, locate, deliver, respond |
//! | [`control`] | health, metrics, minting; its own port, thread and runtime |
//! | [`server`] | listeners, TLS, PROXY protocol, limits, timeouts, drain; knows no product noun |
//! | [`lifecycle`] | signals, soft and hard shutdown |
//! | [`telemetry`] | log lines, the metric registry |
//! | [`access`] | who may ask: client addresses, networks, tokens; pure, time is an argument |
//! | [`s3`] | signing, reading, credentials |
//! | [`egress`] | outgoing connections |
//! | [`sidecar`] | what is done with a bucket beside serving it: connect, examine, preview, sync |
//! | [`store`] | state in SQL over SQLite or PostgreSQL: storages, runs, links, tasks, revocations; secrets sealed |
//! | [`storage`] | the noun: what a person sets of a bucket, and what the last sync left |
//! | [`annotation`] | the noun: what an annotation application says of an annotation, to the byte |
//! | [`run`] | the noun: one execution of a sync or an export |
//! | [`task`] | the noun: what an item of a file says, and the objects that it mentions |
//! | [`object`] | what is asked for: buckets, keys, ranges, conditions |
//! | [`id`] | names that other systems gave us |
//!
//! # The way of a request
//!
//! [`server`] accepts a connection, reads a PROXY header where one is due, makes TLS, and hands every request with its
//! peer to [`gateway::Gateway::handle`]. There it goes down one page, once:
//!
//! 1. **admit**: the client's address, by the trusted proxies' word or the socket's, is in the networks;
//! 2. **route**: a path of ours names an object, everything else is forwarded;
//! 3. **authorise**: the token's signature and claims make a [`access::Grant`], which must cover object and task; without a
//!    token, [`gateway::permission`] has the application behind the gateway say what it permits, as a token;
//! 4. **locate**: the storage of the object's bucket with the longest prefix;
//! 5. **deliver**: a presigned URL from the cache, or a signed GET whose body is passed on as it is pulled;
//! 6. **respond**: the header policy, in one place.
//!
//! A connection stays on one of the threads that there are for each core ([`server::Workers`]), and its requests use the
//! connections to S3 of that thread. The body of an object is read from S3's socket by whoever polls it for the client
//! ([`egress::Fetcher`]): no task, channel or second buffer stands between.
//!
//! Each stage takes proof and returns proof; errors leave through one table, [`gateway::Error`]. Permits and the tally of
//! what was sent live inside the response body, so that they end with its last byte, or when the client leaves. Nothing
//! on this way writes to a database, spawns, or buffers a body.
//!
//! A token that names a task and no objects asks [`gateway::links`] what that task mentions, which asks the store once and
//! then remembers: the one place where a request may wait for the database. Where the application is asked for permission,
//! it is asked for this as well, since its tasks have other numbers than the store's.
//!
//! # The way of a sync
//!
//! Whoever wants a sync puts a [`run::Run`] into the store; a [`sidecar::Runner`] of any process claims it under a lease. Every
//! write of its work names the claim's number, so that a process which lost it writes nothing more, and is one transaction
//! with how far the work is, so that nothing is done twice or left out, whatever is killed whenever.
//!
//! The keys come from one of three sources, and what follows is the same for all:
//!
//! * **Listing**, the usual one: parts by ranges of keys, beside which the links of the same range are read, so that what is
//!   gone shows without anything being remembered ([`sidecar::sync`]).
//! * **S3 Inventory**, for tens of millions of objects: its files are the parts, its lines the pages. It is a day old and in no
//!   order, so that links are looked up by key and nothing is found missing.
//! * **Event messages** (SQS) would be a third, and are not built: a part without end whose pages are batches of messages, looked
//!   up by key as those of an inventory, and acknowledged behind the step that has them. They come more than once and in no
//!   order, which links by key and version bear, and some get lost, so that a scheduled listing stays.
//!
//! Tasks go to a [`sidecar::sync::TaskSink`]: the store's own, or one of another application.
//!
//! # In front of Label Studio
//!
//! [`gateway`] owns three narrow types that [`label_studio`] fills in: who is asked about a request without a token
//! ([`gateway::permission`]), what is replaced in forwarded answers ([`gateway::rewrite`]), and what is answered in the
//! application's place ([`gateway::takeover`]). What Label Studio permits is written down as a token of a key that the process
//! makes for itself, so that one code verifies, covers and audits all requests.
//!
//! # What changes while it runs
//!
//! A configuration makes one generation: networks, keys, storages, connections. It is replaced as a whole
//! ([`gateway::Gateway::replace`]); requests under way keep the one they began with. Credentials and key sets are refreshed
//! by tasks of their generation, ahead of need; the hot path reads what is there.

pub mod access;
pub mod annotation;
pub mod app;
pub mod cli;
pub mod config;
pub mod control;
#[cfg(feature = "demo")]
pub mod demo;
pub mod egress;
mod fingerprint;
pub mod gateway;
pub mod id;
pub mod label_studio;
pub mod lifecycle;
pub mod object;
pub mod run;
pub mod s3;
pub mod server;
pub mod sidecar;
pub mod storage;
pub mod store;
pub mod task;
pub mod telemetry;
