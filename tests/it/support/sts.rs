//! A token service in this process: it grants a role to whoever tells the external id, and keys of our S3 server to a
//! web identity; or it plays a script first.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::{
    net::TcpListener,
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};

use super::{
    clock,
    s3::{ACCESS_KEY_ID, SECRET_ACCESS_KEY},
};

/// What the role's owner asks to be told.
pub const EXTERNAL_ID: &str = "ticket-17";
/// The role.
pub const ROLE: &str = "arn:aws:iam::123456789012:role/reader";

/// An answer that does not depend on the request.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// The role for so long, with these keys.
    Grant(&'static str, Duration),
    /// A refusal: status and code.
    Refuse(u16, &'static str),
    /// No answer at all.
    Silence,
}

/// A running service; dropping it closes every connection.
pub struct Sts {
    address: SocketAddr,
    questions: mpsc::Receiver<BTreeMap<String, String>>,
    accepting: AbortHandle,
}

impl Sts {
    /// Starts with a script; at its end the service judges requests and grants for an hour.
    pub async fn start(script: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, questions) = mpsc::channel(64);
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (sender, script) = (sender.clone(), Arc::clone(&script));
                let service = service_fn(move |request| serve(request, sender.clone(), Arc::clone(&script)));
                let http = hyper::server::conn::http1::Builder::new();
                connections.spawn(http.serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { address, questions, accepting: accepting.abort_handle() }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The form of the next request.
    pub async fn next(&mut self) -> BTreeMap<String, String> {
        self.questions.recv().await.unwrap()
    }

    /// How many requests came that nobody has looked at.
    pub fn waiting(&self) -> usize {
        self.questions.len()
    }
}

impl Drop for Sts {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(
    request: Request<Incoming>,
    sender: mpsc::Sender<BTreeMap<String, String>>,
    script: Arc<Mutex<VecDeque<Answer>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let form = form(std::str::from_utf8(&body).unwrap());
    let scripted = script.lock().unwrap().pop_front();
    let answer = scripted.unwrap_or_else(|| judge(&form));
    let action = form["Action"].clone();
    sender.send(form).await.unwrap();
    Ok(match answer {
        Answer::Grant(id, left) => xml(200, grant(&action, id, left)),
        Answer::Refuse(status, code) => {
            let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error>");
            xml(status, format!("<ErrorResponse>{error}</ErrorResponse>"))
        }
        Answer::Silence => std::future::pending().await,
    })
}

/// As a trust policy with `sts:ExternalId` does.
fn judge(form: &BTreeMap<String, String>) -> Answer {
    let is_known = form.get("ExternalId").is_some_and(|id| id == EXTERNAL_ID) && form["RoleArn"] == ROLE;
    let is_web = form["Action"] == "AssumeRoleWithWebIdentity";
    match (is_known, is_web) {
        (true, _) => Answer::Grant("ASIAROLE", Duration::from_hours(1)),
        (_, true) => Answer::Grant(ACCESS_KEY_ID, Duration::from_hours(1)),
        _ => Answer::Refuse(403, "AccessDenied"),
    }
}

fn form(text: &str) -> BTreeMap<String, String> {
    let decoded =
        |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8().unwrap().into_owned();
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn grant(action: &str, access_key_id: &str, left: Duration) -> String {
    let end = humantime::format_rfc3339_seconds(clock() + left);
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>\
         <AssumedRoleUser><AssumedRoleId>R:m</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/r/m</Arn>\
         </AssumedRoleUser><Credentials><AccessKeyId>{access_key_id}</AccessKeyId>\
         <SecretAccessKey>{SECRET_ACCESS_KEY}</SecretAccessKey><SessionToken>role/token=</SessionToken>\
         <Expiration>{end}</Expiration></Credentials></{action}Result></{action}Response>"
    )
}

fn xml(status: u16, text: String) -> Response<Full<Bytes>> {
    let answer = Response::builder().status(status).header("content-type", "text/xml");
    answer.body(Full::new(text.into())).unwrap()
}
