//! A server in the place of Label Studio, made of axum routes that a test gives.

use std::net::SocketAddr;

use axum::Router;
use tokio::{net::TcpListener, task::AbortHandle};

/// A running server; dropping it ends it.
pub struct FakeLabelStudio {
    address: SocketAddr,
    serving: AbortHandle,
}

impl FakeLabelStudio {
    /// Serves these routes on a free port.
    pub async fn start(routes: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, serving: serving.abort_handle() }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The sections of a configuration that has it behind the gateway; `more` are lines of `[label_studio]`.
    pub fn config(&self, more: &str) -> String {
        format!("[upstream]\nkind = \"label-studio\"\nurl = \"{}\"\n\n[label_studio]\n{more}\n\n", self.url())
    }
}

impl Drop for FakeLabelStudio {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
