//! How many connections at once, in all and from one client.
//!
//! A refused connection still gets an answer, so that a client can tell a full server from a broken one. It
//! costs a place too: there are few of those, and when they are taken a connection is closed without a word.

use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Config, Refusal};

/// Connections at once that are being told that there is no room.
const REFUSALS: usize = 64;

/// The counters of a listener.
#[derive(Debug)]
pub(super) struct Limits {
    places: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    per_client: usize,
    clients: Mutex<HashMap<IpAddr, usize>>,
}

/// The place of a connection, held for as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    refusal: Option<Refusal>,
    _permit: OwnedSemaphorePermit,
    _client: Option<ClientPermit>,
}

/// The right of a client to have one more connection; given back when dropped.
#[derive(Debug)]
struct ClientPermit {
    limits: Arc<Limits>,
    client: IpAddr,
}

impl Place {
    /// What the client is told instead of being served.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }
}

impl Limits {
    pub(super) fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(config.max_connections)),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            per_client: config.max_connections_per_client,
            clients: Mutex::default(),
        })
    }

    /// A place for a connection that was just accepted; `None` if it is to be closed at once.
    pub(super) fn enter(&self) -> Option<Place> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(permit) => Some(Place { refusal: None, _permit: permit, _client: None }),
            Err(_) => self.refuse(Refusal::Connections),
        }
    }

    /// The place of the connection now that its client is known; `None` if it is to be closed at once.
    pub(super) fn admit(self: &Arc<Self>, place: Place, client: IpAddr) -> Option<Place> {
        if place.refusal.is_some() {
            return Some(place);
        }
        match self.count(client) {
            Some(permit) => Some(Place { _client: Some(permit), ..place }),
            // A client that has too many must not take the places of the others while it is told so.
            None => self.refuse(Refusal::ClientConnections),
        }
    }

    fn refuse(&self, refusal: Refusal) -> Option<Place> {
        let permit = Arc::clone(&self.refusals).try_acquire_owned().ok()?;
        Some(Place { refusal: Some(refusal), _permit: permit, _client: None })
    }

    fn count(self: &Arc<Self>, client: IpAddr) -> Option<ClientPermit> {
        // An IPv4 client of a dual-stack socket is the same client.
        let client = client.to_canonical();
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let open = clients.entry(client).or_default();
        if self.per_client != 0 && *open >= self.per_client {
            return None;
        }
        *open += 1;
        Some(ClientPermit { limits: Arc::clone(self), client })
    }
}

impl Drop for ClientPermit {
    fn drop(&mut self) {
        let mut clients = self.limits.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut open) = clients.entry(self.client) {
            *open.get_mut() -= 1;
            if *open.get() == 0 {
                open.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(place: Option<&Place>) -> Option<Refusal> {
        place.unwrap().refusal()
    }

    #[test]
    fn a_client_gets_its_number_and_gets_it_back() {
        let limits = Limits::new(&Config { max_connections_per_client: 2, ..Config::default() });
        let enter = |client: &str| limits.admit(limits.enter().unwrap(), client.parse().unwrap());
        let first = enter("::ffff:192.0.2.1");
        let second = enter("192.0.2.1");
        assert_eq!(refusal(first.as_ref()), None);
        assert_eq!(refusal(enter("192.0.2.1").as_ref()), Some(Refusal::ClientConnections));
        assert_eq!(refusal(enter("192.0.2.2").as_ref()), None);
        drop(first);
        assert_eq!(refusal(enter("::ffff:192.0.2.1").as_ref()), None);
        drop(second);
        assert!(limits.clients.lock().unwrap().is_empty(), "a client that left is forgotten");
    }

    #[test]
    fn zero_is_no_limit() {
        let limits = Limits::new(&Config { max_connections_per_client: 0, ..Config::default() });
        let enter = || limits.admit(limits.enter().unwrap(), "192.0.2.1".parse().unwrap());
        let places: Vec<_> = (0..2000).map(|_| enter()).collect();
        assert!(places.iter().all(|place| refusal(place.as_ref()).is_none()));
    }

    #[test]
    fn the_place_after_the_last_is_a_refusal_and_refusals_end_too() {
        let limits = Limits::new(&Config { max_connections: 1, ..Config::default() });
        let taken = limits.enter();
        assert_eq!(refusal(taken.as_ref()), None);
        let refused: Vec<_> = (0..REFUSALS).map(|_| limits.enter()).collect();
        assert!(refused.iter().all(|place| refusal(place.as_ref()) == Some(Refusal::Connections)));
        assert!(limits.enter().is_none());
        drop(taken);
        assert_eq!(refusal(limits.enter().as_ref()), None);
    }

    #[test]
    fn a_client_over_its_limit_takes_nobodys_place() {
        let config = Config { max_connections: 2, max_connections_per_client: 1, ..Config::default() };
        let limits = Limits::new(&config);
        let enter = |client: &str| limits.admit(limits.enter().unwrap(), client.parse().unwrap());
        let _first = enter("192.0.2.1");
        let _refused = enter("192.0.2.1");
        assert_eq!(refusal(enter("192.0.2.2").as_ref()), None);
    }
}
