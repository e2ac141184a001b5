//! Threads that serve connections, each with a runtime of its own.
//!
//! A connection stays on the thread that it was given to: what wakes it, what it wakes and the connection to S3 that it
//! uses are all there, so that nothing of a request goes from one core to another. A runtime that shares work among its
//! threads pays for that with every wake-up. A new connection goes to the thread that has the fewest, which the kernel's
//! own way (`SO_REUSEPORT`, by a hash of addresses) does not see to.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use tokio::{
    net::TcpStream,
    runtime::{Builder, Handle},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The threads; they end when this is dropped.
#[derive(Debug)]
pub struct Workers {
    lanes: Vec<Lane>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Lane {
    runtime: Handle,
    is_elsewhere: bool,
    open: Arc<AtomicUsize>,
}

/// A connection of a thread; ends when dropped.
#[derive(Debug)]
struct Open(Arc<AtomicUsize>);

impl Workers {
    /// Starts so many threads.
    pub fn start(count: usize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let lane = |number| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let handle = runtime.handle().clone();
            let stop = stop.clone();
            let body = move || runtime.block_on(stop.cancelled());
            thread::Builder::new().name(format!("worker-{number}")).spawn(body)?;
            io::Result::Ok(Lane { runtime: handle, is_elsewhere: true, open: Arc::default() })
        };
        Ok(Self { lanes: (0..count).map(lane).collect::<io::Result<_>>()?, stop })
    }

    /// None but the runtime of the caller.
    pub fn none() -> Self {
        let lane = Lane { runtime: Handle::current(), is_elsewhere: false, open: Arc::default() };
        Self { lanes: vec![lane], stop: CancellationToken::new() }
    }

    /// Has a connection served by the thread that has the fewest.
    pub(super) fn serve<F>(
        &self,
        socket: TcpStream,
        tasks: &TaskTracker,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(lane) = self.lanes.iter().min_by_key(|lane| lane.open.load(Relaxed)) else {
            return Err(io::Error::other("there is no thread"));
        };
        if !lane.is_elsewhere {
            tasks.spawn(serve(socket));
            return Ok(());
        }
        // A socket is woken by the runtime that it was made on.
        let socket = socket.into_std()?;
        lane.open.fetch_add(1, Relaxed);
        let open = Open(Arc::clone(&lane.open));
        let served = async move {
            match TcpStream::from_std(socket) {
                Ok(socket) => serve(socket).await,
                Err(error) => tracing::error!(%error, "a thread did not take a connection"),
            }
            drop(open);
        };
        tasks.spawn_on(served, &lane.runtime);
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::Ipv4Addr};

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        sync::mpsc,
    };

    use super::*;

    /// Four connections at once over two threads; then one more where one has ended.
    #[tokio::test]
    async fn a_connection_goes_to_the_thread_that_has_the_fewest_and_stays_there() {
        let (workers, tasks) = (Workers::start(2).unwrap(), TaskTracker::new());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (tell, mut told) = mpsc::channel(16);
        let name = || thread::current().name().unwrap_or_default().to_owned();
        let mut open = async || {
            let address = listener.local_addr().unwrap();
            let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
            let tell = tell.clone();
            let serve = move |mut socket: TcpStream| async move {
                tell.send(name()).await.unwrap();
                let _end = socket.read(&mut [0; 1]).await;
                tell.send(name()).await.unwrap();
            };
            workers.serve(accepted.unwrap().0, &tasks, serve).unwrap();
            (client.unwrap(), told.recv().await.unwrap())
        };
        let mut clients = Vec::new();
        let mut counts = BTreeMap::new();
        for _ in 0..4 {
            let (client, thread) = open().await;
            *counts.entry(thread.clone()).or_insert(0) += 1;
            clients.push((client, thread));
        }
        assert_eq!(
            counts.into_iter().collect::<Vec<_>>(),
            [("worker-0".to_owned(), 2), ("worker-1".to_owned(), 2)]
        );
        for (mut client, thread) in clients {
            client.write_all(b"x").await.unwrap();
            assert_eq!(told.recv().await.unwrap(), thread);
        }
        tasks.close();
        tasks.wait().await;
        assert!(workers.lanes.iter().all(|lane| lane.open.load(Relaxed) == 0));
    }
}
