//! The embedded S3 server: s3s checks signatures and parses requests, s3s-fs keeps objects in a directory.
//!
//! What s3s-fs leaves out and a browser or the gateway relies on is added here: the conditional requests of
//! RFC 9110 section 13, `If-Range`, suffix ranges longer than the object, `Accept-Ranges`, header overrides on
//! HEAD, 404 for a directory, and answers to the cross-origin requests of a page (CORS).

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use s3s::{
    S3, S3Error, S3Request, S3Response, S3Result,
    auth::SimpleAuth,
    dto::{
        CreateBucketInput, DeleteObjectInput, DeleteObjectOutput, GetBucketLocationInput,
        GetBucketLocationOutput, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
        HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, PutObjectInput,
        PutObjectOutput, Range, StreamingBlob, TimestampFormat,
    },
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use secrecy::{ExposeSecret as _, SecretString};
use tracing::{instrument::WithSubscriber as _, subscriber::NoSubscriber};

use super::{
    Demo, Error,
    sample::{FOREIGN, SAMPLES},
};
use crate::object::{Conditions, ETag, IfRange, Verdict};

/// The one pair of keys that the server knows.
#[derive(Debug)]
pub(super) struct Credentials {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: SecretString,
}

/// The objects, kept as files.
#[derive(Debug)]
struct Files {
    files: FileSystem,
    root: PathBuf,
}

/// Fills both buckets under `root` and makes the service that answers for them.
pub(super) async fn router(root: &Path, credentials: &Credentials) -> Result<Router, Error> {
    let files = FileSystem::new(root).map_err(Error::StorageNotOpened)?;
    let files = Files { files, root: root.to_owned() };
    for bucket in [Demo::STREAM_BUCKET, Demo::REDIRECT_BUCKET] {
        files.fill(bucket).await.map_err(Error::SampleNotStored)?;
    }
    let mut service = S3ServiceBuilder::new(files);
    let secret = credentials.secret_access_key.expose_secret();
    service.set_auth(SimpleAuth::from_single(credentials.access_key_id.as_str(), secret));
    Ok(Router::new().fallback(answer).with_state(service.build()))
}

/// Answers one request, and lets the page of any origin read the answer: what protects an object is its signature.
async fn answer(State(s3): State<S3Service>, mut request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        return (StatusCode::NO_CONTENT, CORS, PREFLIGHT).into_response();
    }
    ignore_unknown_range(request.headers_mut());
    // s3s logs whole requests, and a presigned URL is a credential.
    let answer = s3.call(request.map(s3s::Body::http_body_unsync)).with_subscriber(NoSubscriber::default());
    match answer.await {
        Ok(answer) if answer.status() == StatusCode::NOT_MODIFIED => {
            // A browser would take the type of the error document for the object's.
            let mut headers = answer.headers().clone();
            headers.remove(header::CONTENT_TYPE);
            (StatusCode::NOT_MODIFIED, CORS, headers).into_response()
        }
        Ok(answer) => (CORS, answer.map(Body::new)).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, CORS).into_response(),
    }
}

const CORS: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    (
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        "accept-ranges, content-length, content-range, content-type, etag, last-modified",
    ),
    (HeaderName::from_static("timing-allow-origin"), "*"),
];

const PREFLIGHT: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        "range, if-match, if-none-match, if-modified-since, if-unmodified-since, if-range",
    ),
    (header::ACCESS_CONTROL_MAX_AGE, "600"),
];

/// Several ranges, other units and nonsense get the whole object, as from Amazon S3; s3s would answer 400.
fn ignore_unknown_range(headers: &mut HeaderMap) {
    let known = |value: &HeaderValue| value.to_str().is_ok_and(|range| Range::parse(range).is_ok());
    if !headers.get(header::RANGE).is_none_or(known) {
        headers.remove(header::RANGE);
    }
}

impl Files {
    async fn fill(&self, bucket: &str) -> S3Result<()> {
        let input = CreateBucketInput { bucket: bucket.to_owned(), ..CreateBucketInput::default() };
        self.files.create_bucket(internal(input)).await?;
        for sample in SAMPLES.iter().chain([&FOREIGN]) {
            let input = PutObjectInput {
                bucket: bucket.to_owned(),
                key: sample.key.to_owned(),
                content_type: Some(sample.media_type.to_owned()),
                body: Some(StreamingBlob::from(s3s::Body::from(sample.object()))),
                ..PutObjectInput::default()
            };
            self.files.put_object(internal(input)).await?;
        }
        Ok(())
    }

    async fn meta(&self, bucket: &str, key: &str) -> S3Result<HeadObjectOutput> {
        // s3s-fs would take a directory, which is a prefix to S3, for an object.
        if self.root.join(bucket).join(key).is_dir() {
            return Err(s3_error!(NoSuchKey));
        }
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        let input = HeadObjectInput { bucket, key, ..HeadObjectInput::default() };
        Ok(self.files.head_object(internal(input)).await?.output)
    }
}

#[async_trait::async_trait]
impl S3 for Files {
    async fn get_object(
        &self,
        mut request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let meta = self.meta(&request.input.bucket, &request.input.key).await?;
        check_conditions(&request.headers, &meta)?;
        request.input.range = match request.input.range {
            Some(range) if if_range_holds(&request.headers, &meta) => Some(within(range, &meta)?),
            _ => None,
        };
        let mut answer = self.files.get_object(request).await?;
        answer.output.accept_ranges = Some("bytes".to_owned());
        Ok(answer)
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let mut meta = self.meta(&request.input.bucket, &request.input.key).await?;
        check_conditions(&request.headers, &meta)?;
        meta.accept_ranges = Some("bytes".to_owned());
        meta.content_type = request.input.response_content_type.or(meta.content_type);
        meta.content_disposition = request.input.response_content_disposition.or(meta.content_disposition);
        Ok(S3Response::new(meta))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.files.head_bucket(request).await
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.files.get_bucket_location(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.files.list_objects_v2(request).await
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        self.files.put_object(request).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.files.delete_object(request).await
    }
}

/// A call that comes from no client.
fn internal<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: Method::default(),
        uri: Uri::default(),
        headers: HeaderMap::new(),
        extensions: Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

/// Judges the preconditions, which s3s parses and s3s-fs ignores.
fn check_conditions(headers: &HeaderMap, meta: &HeadObjectOutput) -> S3Result<()> {
    match Conditions::parse(headers).evaluate(etag(meta).as_ref(), last_modified(meta)) {
        Verdict::Proceed => Ok(()),
        Verdict::PreconditionFailed => Err(s3_error!(PreconditionFailed)),
        Verdict::NotModified => Err(not_modified(meta)),
    }
}

/// With the headers that RFC 9110 section 15.4.5 asks for.
fn not_modified(meta: &HeadObjectOutput) -> S3Error {
    let etag = etag(meta).and_then(|etag| HeaderValue::try_from(etag.as_str()).ok());
    let date = last_modified(meta).and_then(|date| HeaderValue::try_from(httpdate::fmt_http_date(date)).ok());
    let headers = [(header::ETAG, etag), (header::LAST_MODIFIED, date)];
    let mut error = s3_error!(NotModified);
    error.set_headers(headers.into_iter().filter_map(|(name, value)| Some((name, value?))).collect());
    error
}

fn if_range_holds(headers: &HeaderMap, meta: &HeadObjectOutput) -> bool {
    IfRange::parse(headers).is_none_or(|condition| condition.holds(etag(meta).as_ref(), last_modified(meta)))
}

fn etag(meta: &HeadObjectOutput) -> Option<ETag> {
    ETag::parse(meta.e_tag.as_ref()?.to_http_header().ok()?.to_str().ok()?)
}

/// In whole seconds, as the header says it.
fn last_modified(meta: &HeadObjectOutput) -> Option<SystemTime> {
    let mut text = Vec::new();
    meta.last_modified.as_ref()?.format(TimestampFormat::HttpDate, &mut text).ok()?;
    httpdate::parse_http_date(str::from_utf8(&text).ok()?).ok()
}

/// The range with both ends inside the object; s3s-fs fails on a suffix that is longer than it.
fn within(range: Range, meta: &HeadObjectOutput) -> S3Result<Range> {
    let size = meta.content_length.and_then(|size| u64::try_from(size).ok()).unwrap_or(0);
    range.check(size).map_or_else(
        |_| Err(unsatisfiable(size)),
        |range| Ok(Range::Int { first: range.start, last: Some(range.end - 1) }),
    )
}

fn unsatisfiable(size: u64) -> S3Error {
    let mut error = s3_error!(InvalidRange);
    let content_range = HeaderValue::try_from(format!("bytes */{size}"));
    error.set_headers(content_range.map(|value| (header::CONTENT_RANGE, value)).into_iter().collect());
    error
}
