//! The thread of the control side: its runtime, and the store's connections on it.
//!
//! A starved data path cannot silence what runs here, and a slow database cannot starve the data path. The thread is
//! there before the listeners serve, since the store is opened on it.

use std::{thread, time::SystemTime};

use http::Request;
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::Error;
use crate::{
    control::Control,
    lifecycle::Shutdown,
    server::{self, Listener, Workers},
    store::{self, Store},
};

/// A thread with an open store that waits to serve.
#[derive(Debug)]
pub(super) struct ControlThread {
    thread: thread::JoinHandle<()>,
    start: oneshot::Sender<Serve>,
}

/// What to serve.
#[derive(Debug)]
pub(super) struct Serve {
    pub(super) listener: Listener,
    pub(super) control: Control,
    pub(super) shutdown: Shutdown,
    pub(super) metrics: server::ServerMetrics,
}

impl ControlThread {
    /// Starts the thread and opens the store on it.
    pub(super) async fn start(
        config: store::Config,
        clock: fn() -> SystemTime,
    ) -> Result<(Self, Store), Error> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        let (opened, store) = oneshot::channel();
        let (start, started) = oneshot::channel::<Serve>();
        let body = move || {
            runtime.block_on(async {
                let store = Store::open(&config, clock).await;
                // Whoever asked may have gone; then nothing is served either.
                drop(opened.send(store));
                if let Ok(serve) = started.await {
                    serve.run().await;
                }
            });
        };
        let thread = thread::Builder::new().name("control".to_owned()).spawn(body).map_err(Error::Thread)?;
        let store = store.await.map_err(|_| Error::ThreadEnded)??;
        Ok((Self { thread, start }, store))
    }

    /// Serves, and gives the thread to be waited for.
    pub(super) fn serve(self, serve: Serve) -> Result<thread::JoinHandle<()>, Error> {
        self.start.send(serve).map_err(|_| Error::ThreadEnded)?;
        Ok(self.thread)
    }
}

impl Serve {
    async fn run(self) {
        let Self { listener, control, shutdown, metrics } = self;
        let router = hyper_util::service::TowerToHyperService::new(control.router());
        let service = move |request: Request<Incoming>, _: server::Peer| {
            let answer = hyper::service::Service::call(&router, request);
            async move {
                let Ok(response) = answer.await;
                response
            }
        };
        server::serve(listener, |_| false, service, shutdown, metrics, &Workers::none()).await;
    }
}
