//! A server that does what it is told, byte by byte, and nothing that HTTP asks for.
//!
//! Each accepted connection plays the next script. hyper is not used here, since it would repair exactly the
//! faults that the tests are about.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::{AbortHandle, JoinSet},
};

/// What to do next on a connection. At the end of its script a connection is closed.
#[derive(Clone, Debug)]
pub enum Step {
    /// Read one request: its head to the empty line, and a body of known length.
    Head,
    /// Send these bytes.
    Send(Vec<u8>),
    /// Send zeros until the client leaves, and report how many it took.
    Flood,
    /// Stay silent until the client leaves.
    Hang,
    /// Be slow: let this much time pass.
    Pause(Duration),
    /// Wait for [`Scripted::go`].
    Wait,
    /// Break off with a TCP reset. What the client has not read by then is lost to it.
    Reset,
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// A request came on this connection, counted from 0.
    Head { connection: usize, head: String },
    /// The client left during [`Step::Hang`] or [`Step::Flood`], having taken this many bytes of it.
    ClientLeft { sent: usize },
}

/// A running server; dropping it closes every connection.
pub struct Scripted {
    address: SocketAddr,
    events: mpsc::Receiver<Event>,
    heads: Arc<Mutex<Vec<(usize, String)>>>,
    go: Arc<Semaphore>,
    accepting: AbortHandle,
}

impl Scripted {
    /// Starts a server whose n-th connection plays the n-th script; further ones are closed at once.
    pub async fn start(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, events) = mpsc::channel(1024);
        let heads = Arc::new(Mutex::new(Vec::new()));
        let go = Arc::new(Semaphore::new(0));
        let (log, gate) = (Arc::clone(&heads), Arc::clone(&go));
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            let mut scripts = scripts.into_iter();
            let mut number = 0;
            while let Ok((socket, _)) = listener.accept().await {
                let (sender, heads, go) = (sender.clone(), Arc::clone(&log), Arc::clone(&gate));
                let connection = Playing { number, socket, sender, heads, go };
                connections.spawn(connection.play(scripts.next().unwrap_or_default()));
                number += 1;
            }
        });
        Self { address, events, heads, go, accepting: accepting.abort_handle() }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets one [`Step::Wait`] pass.
    pub fn go(&self) {
        self.go.add_permits(1);
    }

    /// The next thing that happens.
    pub async fn next(&mut self) -> Event {
        self.events.recv().await.unwrap()
    }

    /// The request heads so far, each with the number of its connection.
    pub fn heads(&self) -> Vec<(usize, String)> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

struct Playing {
    number: usize,
    socket: TcpStream,
    sender: mpsc::Sender<Event>,
    heads: Arc<Mutex<Vec<(usize, String)>>>,
    go: Arc<Semaphore>,
}

impl Playing {
    async fn play(mut self, script: Vec<Step>) {
        for step in script {
            match step {
                Step::Head => {
                    let Some(head) = self.head().await else { return };
                    self.heads.lock().unwrap().push((self.number, head.clone()));
                    self.report(Event::Head { connection: self.number, head }).await;
                }
                Step::Send(bytes) => {
                    if self.socket.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Step::Flood => {
                    let sent = self.flood().await;
                    self.report(Event::ClientLeft { sent }).await;
                }
                Step::Hang => {
                    let mut ignored = [0; 1024];
                    while matches!(self.socket.read(&mut ignored).await, Ok(1..)) {}
                    self.report(Event::ClientLeft { sent: 0 }).await;
                }
                Step::Pause(time) => tokio::time::sleep(time).await,
                Step::Wait => self.go.acquire().await.unwrap().forget(),
                Step::Reset => {
                    self.socket.set_zero_linger().unwrap();
                    return;
                }
            }
        }
        // Closing with bytes unread would send a reset, which can overtake what was sent.
        if self.socket.shutdown().await.is_ok() {
            let mut ignored = [0; 1024];
            while matches!(self.socket.read(&mut ignored).await, Ok(1..)) {}
        }
    }

    async fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.socket.read_u8().await.ok()?);
        }
        let mut head = String::from_utf8(head).ok()?;
        let length = head.to_ascii_lowercase();
        let length =
            length.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.socket.read_exact(&mut body).await.ok()?;
        head.push_str(&String::from_utf8_lossy(&body));
        Some(head)
    }

    async fn flood(&mut self) -> usize {
        let zeros = vec![0; 16 * 1024];
        let mut sent = 0;
        while let Ok(count @ 1..) = self.socket.write(&zeros).await {
            sent += count;
        }
        sent
    }

    async fn report(&self, event: Event) {
        // Nobody has to listen.
        drop(self.sender.send(event).await);
    }
}

/// A response: its status line, its headers and its body, with nothing added.
pub fn response(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in headers {
        bytes.extend(format!("{name}: {value}\r\n").bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(body);
    bytes
}
