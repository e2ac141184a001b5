//! How much the data path carries at once: requests, streams, streams of one client.
//!
//! A permit lives inside the response body, since a limit that ends at the response head limits nothing for
//! streams. Memory has one budget for the process: a stream costs what the two connections that carry it may
//! hold in buffers, so the budget is a number of streams.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytesize::ByteSize;
use serde::Deserialize;

use super::Error;
use crate::access::ClientIp;

/// `[limits]`: what the data path carries at once.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Requests whose response has not ended, forwarded ones included.
    pub in_flight: usize,
    /// Streams of one client address; 0 means no limit. Many people may share one address.
    pub streams_per_client: usize,
    /// What all streams together may hold in buffers.
    pub memory: ByteSize,
}

/// Counters shared by all requests of the process.
#[derive(Debug)]
pub struct Limits {
    in_flight: AtomicUsize,
    streams: AtomicUsize,
    max_in_flight: usize,
    max_streams: usize,
    max_streams_per_client: usize,
    clients: ClientCounts,
}

/// A request in flight; ends when dropped.
#[derive(Debug)]
pub struct RequestPermit(Arc<Limits>);

/// A stream of one client; ends when dropped.
#[derive(Debug)]
pub struct StreamPermit {
    limits: Arc<Limits>,
    client: IpAddr,
}

/// Sharded, so that two requests seldom meet at one lock; a lock is held for one map operation.
#[derive(Debug)]
struct ClientCounts {
    hasher: RandomState,
    shards: [Mutex<HashMap<IpAddr, usize>>; SHARDS],
}

const SHARDS: usize = 16;

impl Default for Config {
    fn default() -> Self {
        Self { in_flight: 20_000, streams_per_client: 256, memory: ByteSize::mib(256) }
    }
}

impl Limits {
    /// Makes counters for a process in which one stream may hold `stream_cost` bytes in buffers.
    pub fn new(config: &Config, stream_cost: u64) -> Self {
        let max_streams = usize::try_from(config.memory.as_u64() / stream_cost.max(1)).unwrap_or(usize::MAX);
        Self {
            in_flight: AtomicUsize::new(0),
            streams: AtomicUsize::new(0),
            max_in_flight: config.in_flight,
            max_streams: max_streams.max(1),
            max_streams_per_client: config.streams_per_client,
            clients: ClientCounts { hasher: RandomState::new(), shards: Default::default() },
        }
    }

    /// Counts a request in.
    pub fn enter(self: &Arc<Self>) -> Result<RequestPermit, Error> {
        if take(&self.in_flight, self.max_in_flight) {
            Ok(RequestPermit(Arc::clone(self)))
        } else {
            Err(Error::InFlightExhausted)
        }
    }

    /// Counts a stream of this client in.
    pub fn stream(self: &Arc<Self>, client: ClientIp) -> Result<StreamPermit, Error> {
        if !take(&self.streams, self.max_streams) {
            return Err(Error::StreamsExhausted);
        }
        let client = client.ip();
        if self.max_streams_per_client > 0 && !self.clients.take(client, self.max_streams_per_client) {
            self.streams.fetch_sub(1, Ordering::Relaxed);
            return Err(Error::ClientStreamsExhausted);
        }
        Ok(StreamPermit { limits: Arc::clone(self), client })
    }

    /// Requests in flight now.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Streams in flight now.
    pub fn streams(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    /// The most streams that the memory budget carries.
    pub fn max_streams(&self) -> usize {
        self.max_streams
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.limits.streams.fetch_sub(1, Ordering::Relaxed);
        if self.limits.max_streams_per_client > 0 {
            self.limits.clients.give_back(self.client);
        }
    }
}

impl ClientCounts {
    fn shard(&self, client: IpAddr) -> &Mutex<HashMap<IpAddr, usize>> {
        let hash = self.hasher.hash_one(client);
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or_default()]
    }

    fn take(&self, client: IpAddr, most: usize) -> bool {
        let mut counts = self.shard(client).lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(client).or_default();
        if *count >= most {
            return false;
        }
        *count += 1;
        true
    }

    fn give_back(&self, client: IpAddr) {
        let mut counts = self.shard(client).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&client);
            }
        }
    }
}

fn take(counter: &AtomicUsize, most: usize) -> bool {
    counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < most).then_some(now + 1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{ForwardedHeader, TrustedProxies, client_ip};

    fn client(text: &str) -> ClientIp {
        let trusted = TrustedProxies::new(&[], ForwardedHeader::default());
        client_ip(text.parse().unwrap(), &http::HeaderMap::new(), &trusted).unwrap()
    }

    #[test]
    fn permits_come_back_when_dropped() {
        let config = Config { in_flight: 1, streams_per_client: 2, memory: ByteSize::b(300) };
        let limits = Arc::new(Limits::new(&config, 100));
        let request = limits.enter().unwrap();
        assert!(matches!(limits.enter(), Err(Error::InFlightExhausted)));
        drop(request);
        assert!(limits.enter().is_ok());

        let (one, other) = (client("192.0.2.1"), client("2001:db8::1"));
        let first = limits.stream(one).unwrap();
        let second = limits.stream(one).unwrap();
        assert!(matches!(limits.stream(one), Err(Error::ClientStreamsExhausted)));
        let third = limits.stream(other).unwrap();
        assert!(matches!(limits.stream(other), Err(Error::StreamsExhausted)));
        drop((first, second, third));
        assert_eq!(limits.streams(), 0);
        assert!(limits.clients.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }
}
