//! A bucket in memory behind a real S3 server (s3s, signatures checked), quick enough for a million keys, and one that can
//! be told to fail.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::SocketAddr,
    ops::Bound,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::rt::TokioIo;
use s3s::{
    S3, S3Request, S3Response, S3Result,
    auth::SimpleAuth,
    dto::{
        CommonPrefix, ETag, GetObjectInput, GetObjectOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
        StreamingBlob,
    },
    s3_error,
    service::S3ServiceBuilder,
};
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

use super::s3::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

/// A running server with one bucket, `media`; dropping it closes every connection.
pub struct MemoryBucket {
    address: SocketAddr,
    objects: Objects,
    /// Of a thousand requests, how many fail.
    faults: Arc<AtomicU32>,
    accepting: AbortHandle,
}

type Objects = Arc<Mutex<BTreeMap<String, Bytes>>>;

#[derive(Clone)]
struct Keys(Objects);

impl MemoryBucket {
    /// Starts with these keys, each with an object of its own.
    pub async fn start(keys: impl IntoIterator<Item = String>) -> Self {
        let objects: Objects =
            Arc::new(Mutex::new(keys.into_iter().map(|key| (key.clone(), Bytes::from(key))).collect()));
        let mut builder = S3ServiceBuilder::new(Keys(Arc::clone(&objects)));
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let faults = Arc::new(AtomicU32::new(0));
        let failing = Arc::clone(&faults);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (service, failing) = (service.clone(), Arc::clone(&failing));
                let service = service_fn(move |request: Request<Incoming>| {
                    let fault = Fault::drawn(failing.load(Ordering::Relaxed));
                    let answer = Service::call(&service, request);
                    async move { fault.befall(answer).await }
                });
                connections.spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        Self { address, objects, faults, accepting: accepting.abort_handle() }
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes an object.
    pub fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.objects.lock().unwrap().insert(key.to_owned(), bytes.into());
    }

    /// Removes an object.
    pub fn remove(&self, key: &str) {
        self.objects.lock().unwrap().remove(key);
    }

    /// An object as text.
    pub fn body(&self, key: &str) -> String {
        String::from_utf8(self.objects.lock().unwrap()[key].to_vec()).unwrap()
    }

    /// All keys, in order.
    pub fn keys(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    /// Lets this many of a thousand requests fail: with a 500, a broken connection, half a page, or late.
    pub fn fail(&self, of_a_thousand: u32) {
        self.faults.store(of_a_thousand, Ordering::Relaxed);
    }
}

impl Drop for MemoryBucket {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What happens to an answer.
#[derive(Clone, Copy)]
enum Fault {
    None,
    InternalError,
    Broken,
    Half,
    Late,
}

impl Fault {
    fn drawn(of_a_thousand: u32) -> Self {
        if fastrand::u32(0..1000) >= of_a_thousand {
            return Self::None;
        }
        [Self::InternalError, Self::Broken, Self::Half, Self::Late][fastrand::usize(0..4)]
    }

    async fn befall<E: std::fmt::Debug>(
        self,
        answer: impl Future<Output = Result<Response<s3s::Body>, E>>,
    ) -> Result<Response<Full<Bytes>>, std::io::Error> {
        let (mut parts, body) = answer.await.unwrap().into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        let body = match self {
            Self::None => body,
            Self::InternalError => {
                parts.status = http::StatusCode::INTERNAL_SERVER_ERROR;
                parts.headers.clear();
                Bytes::from_static(b"<Error><Code>InternalError</Code></Error>")
            }
            Self::Broken => return Err(std::io::ErrorKind::ConnectionReset.into()),
            Self::Half => {
                parts.headers.remove("content-length");
                body.slice(..body.len() / 2)
            }
            Self::Late => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                body
            }
        };
        Ok(Response::from_parts(parts, Full::new(body)))
    }
}

#[async_trait::async_trait]
impl S3 for Keys {
    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let objects = self.0.lock().unwrap();
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.continuation_token.or(input.start_after).unwrap_or_default();
        let limit = usize::try_from(input.max_keys.unwrap_or(1000)).unwrap();
        let from = if after >= prefix { Bound::Excluded(after) } else { Bound::Included(prefix.clone()) };
        let (mut contents, mut prefixes, mut next) = (Vec::new(), Vec::<String>::new(), None);
        let mut last = String::new();
        for (key, bytes) in objects.range((from.clone(), Bound::Unbounded)) {
            let Some(rest) = key.strip_prefix(&prefix) else { break };
            if input.delimiter.as_deref() == Some("/")
                && let Some((folder, _)) = rest.split_once('/')
            {
                let folder = format!("{prefix}{folder}/");
                let is_seen = prefixes.last() == Some(&folder)
                    || matches!(&from, Bound::Excluded(after) if after.starts_with(&folder));
                if is_seen {
                    continue;
                }
                if contents.len() + prefixes.len() == limit {
                    next = Some(last.clone());
                    break;
                }
                // Behind everything in the folder.
                last = format!("{folder}\u{10ffff}");
                prefixes.push(folder);
                continue;
            }
            if contents.len() + prefixes.len() == limit {
                next = Some(last.clone());
                break;
            }
            last.clone_from(key);
            contents.push(Object {
                key: Some(key.clone()),
                size: Some(i64::try_from(bytes.len()).unwrap()),
                e_tag: Some(etag(bytes)),
                ..Object::default()
            });
        }
        let count = i32::try_from(contents.len() + prefixes.len()).unwrap();
        let output = ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            max_keys: input.max_keys,
            key_count: Some(count),
            is_truncated: Some(next.is_some()),
            next_continuation_token: next,
            contents: Some(contents),
            common_prefixes: Some(
                prefixes.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) }).collect(),
            ),
            ..ListObjectsV2Output::default()
        };
        Ok(S3Response::new(output))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let found = self.0.lock().unwrap().get(&request.input.key).cloned();
        let bytes = found.ok_or_else(|| s3_error!(NoSuchKey))?;
        let etag = etag(&bytes);
        let total = u64::try_from(bytes.len()).unwrap();
        let (part, content_range) = match request.input.range {
            None => (bytes, None),
            Some(range) => {
                let range = range.check(total)?;
                let header = format!("bytes {}-{}/{total}", range.start, range.end - 1);
                let (start, end) =
                    (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
                (bytes.slice(start..end), Some(header))
            }
        };
        let is_part = content_range.is_some();
        let output = GetObjectOutput {
            content_length: Some(i64::try_from(part.len()).unwrap()),
            content_range,
            e_tag: Some(etag),
            body: Some(StreamingBlob::wrap(futures_util::stream::once(std::future::ready(Ok::<
                _,
                Infallible,
            >(
                part
            ))))),
            ..GetObjectOutput::default()
        };
        let mut response = S3Response::new(output);
        if is_part {
            response.status = Some(http::StatusCode::PARTIAL_CONTENT);
        }
        Ok(response)
    }
}

fn etag(bytes: &Bytes) -> ETag {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    ETag::Strong(hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat())
}
