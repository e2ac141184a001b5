//! Asks Label Studio, as somebody or as the service.
//!
//! A personal access token is a refresh token: it is shown to one path alone, for access tokens that live five minutes. A
//! legacy token is sent as it is. Answers are read whole, up to a limit; redirects are not followed, since the one that
//! Label Studio gives to a request without a login leads to its login page.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{Config, ConfigError};
use crate::{
    access,
    egress::{Egress, HttpClient},
    gateway::forward,
};

/// Label Studio, as this process asks it. Its connections are driven by the runtime that asks first, so each thread has a
/// client of its own.
pub struct Client {
    /// `http://host:port`.
    origin: String,
    /// The script name, such as `/ls`, or nothing.
    prefix: String,
    http: HttpClient<Full<Bytes>>,
    timeout: Duration,
    service: Option<Service>,
    clock: fn() -> SystemTime,
}

/// What a request of somebody proves who they are with; nothing of it is printed.
#[derive(Clone, Default)]
pub struct Credentials(HeaderMap);

/// What Label Studio answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, or it broke off.
    #[error("Label Studio cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Silence.
    #[error("Label Studio did not answer in time")]
    Timeout,
    /// Longer than is read.
    #[error("Label Studio's answer is longer than {} MiB", MAX_ANSWER / 1024 / 1024)]
    TooLong,
    /// What should have been asked is no request.
    #[error("Label Studio cannot be asked for this path")]
    Request(#[from] http::Error),
    /// There is nobody to ask as.
    #[error(
        "label_studio.token_file is not set, and Label Studio has to be asked for this with a token of its own"
    )]
    TokenMissing,
    /// Label Studio does not take the token.
    #[error(
        "Label Studio refuses the token of label_studio.token_file ({0}); take a new one from its Account & Settings"
    )]
    TokenRefused(StatusCode),
    /// Something else than what its API promises.
    #[error("Label Studio answered {status} where {wanted} was expected")]
    Unexpected {
        /// What it answered.
        status: StatusCode,
        /// What was expected.
        wanted: &'static str,
    },
}

/// The token of the configuration.
struct Service {
    token: SecretString,
    /// Whether it has to be traded for access tokens.
    is_refresh: bool,
    access: Mutex<Option<Access>>,
}

struct Access {
    header: HeaderValue,
    expires_at: SystemTime,
}

impl Client {
    /// Reads the token; asks nothing yet.
    pub fn build(
        upstream: &forward::Config,
        config: &Config,
        egress: &Egress,
        clock: fn() -> SystemTime,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let (scheme, authority) = forward::server_of(upstream)?;
        let service = config.service_token()?.map(|token| Service {
            is_refresh: token.expose_secret().split('.').count() == 3,
            token,
            access: Mutex::default(),
        });
        Ok(Self {
            origin: format!("{scheme}://{authority}"),
            prefix: upstream.prefix.to_string(),
            http: egress.forwarding_client(),
            timeout: config.timeout,
            service,
            clock,
        })
    }

    /// Whether there is a token to ask as the service with.
    pub fn has_token(&self) -> bool {
        self.service.is_some()
    }

    /// Where Label Studio's paths begin, such as `/ls`, or nothing.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Asks as whoever sent these credentials. `path` begins with `/` and lies below the script name.
    pub async fn get_as(&self, path: &str, credentials: &Credentials) -> Result<Answer, ClientError> {
        let mut request = self.request(Method::GET, path, Bytes::new())?;
        request.headers_mut().extend(credentials.0.clone());
        self.send(request).await
    }

    /// Asks as the service; a body is JSON.
    pub async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, ClientError> {
        let service = self.service.as_ref().ok_or(ClientError::TokenMissing)?;
        let mut is_second = false;
        loop {
            let authorization = self.authorization(service).await?;
            let mut request = self.request(method.clone(), path, body.clone())?;
            if !body.is_empty() {
                request
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
            let answer = self.send(request).await?;
            if answer.status != StatusCode::UNAUTHORIZED {
                return Ok(answer);
            }
            // An access token may have been ended before its time.
            if is_second || !service.is_refresh {
                return Err(ClientError::TokenRefused(answer.status));
            }
            is_second = true;
            *service.access.lock().await = None;
        }
    }

    /// The header that proves the service. One asks for a new access token, and the others wait for it.
    async fn authorization(&self, service: &Service) -> Result<HeaderValue, ClientError> {
        let invalid = |_| ClientError::TokenRefused(StatusCode::UNAUTHORIZED);
        let token = service.token.expose_secret();
        if !service.is_refresh {
            return HeaderValue::try_from(format!("Token {token}")).map_err(invalid).map(sensitive);
        }
        let mut access = service.access.lock().await;
        if let Some(access) = access.as_ref().filter(|access| (self.clock)() < access.expires_at) {
            return Ok(access.header.clone());
        }
        let body = serde_json::json!({ "refresh": token }).to_string();
        let mut request = self.request(Method::POST, "/api/token/refresh/", body.into())?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = self.send(request).await?;
        if !answer.status.is_success() {
            return Err(match answer.status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
                    ClientError::TokenRefused(answer.status)
                }
                status => ClientError::Unexpected { status, wanted: "an access token" },
            });
        }
        let fresh: Refreshed = answer.json("an access token")?;
        let header =
            HeaderValue::try_from(format!("Bearer {}", fresh.access)).map_err(invalid).map(sensitive)?;
        *access = Some(Access { header: header.clone(), expires_at: (self.clock)() + ACCESS_TOKEN_LIFE });
        Ok(header)
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, ClientError> {
        let uri: Uri = format!("{}{}{path}", self.origin, self.prefix).parse().map_err(http::Error::from)?;
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::ACCEPT, "application/json")
            .body(Full::new(body))?;
        Ok(request)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let exchange = async {
            let unreachable = |error| ClientError::Unreachable(Box::new(error));
            let (parts, body) = self.http.request(request).await.map_err(unreachable)?.into_parts();
            let read = Limited::new(body, MAX_ANSWER).collect().await;
            let body = read.map_err(|error| {
                if error.is::<http_body_util::LengthLimitError>() {
                    ClientError::TooLong
                } else {
                    ClientError::Unreachable(error)
                }
            })?;
            Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes() })
        };
        tokio::time::timeout(self.timeout, exchange).await.map_err(|_| ClientError::Timeout)?
    }
}

impl Credentials {
    /// Those of a request: its cookies without the gateway's, `Authorization` and `X-Api-Key`. Whether an
    /// `Authorization` is the gateway's own is for the caller to judge before.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut own = HeaderMap::new();
        for name in [header::AUTHORIZATION, X_API_KEY] {
            for value in headers.get_all(&name) {
                own.append(name.clone(), sensitive(value.clone()));
            }
        }
        if let Some(cookies) = access::cookies_without_ours(headers) {
            own.insert(header::COOKIE, sensitive(cookies));
        }
        Self(own)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells one caller from another without keeping what they sent: a SHA-256 of all of it.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for name in [header::AUTHORIZATION, X_API_KEY, header::COOKIE] {
            for value in self.0.get_all(&name) {
                context.update(name.as_str().as_bytes());
                context.update(&value.len().to_be_bytes());
                context.update(value.as_bytes());
            }
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

impl Answer {
    /// Reads the body of an answer that was a success.
    pub fn json<'a, T: Deserialize<'a>>(&'a self, wanted: &'static str) -> Result<T, ClientError> {
        let unexpected = ClientError::Unexpected { status: self.status, wanted };
        if !self.status.is_success() {
            return Err(unexpected);
        }
        serde_json::from_slice(&self.body).map_err(|_| unexpected)
    }
}

impl ClientError {
    /// Whether Label Studio has certainly not heard of what it was asked.
    pub fn is_unsent(&self) -> bool {
        match self {
            Self::Unreachable(error) => error
                .downcast_ref::<hyper_util::client::legacy::Error>()
                .is_some_and(hyper_util::client::legacy::Error::is_connect),
            Self::Timeout | Self::TooLong => false,
            // Nothing is sent without a token that it takes.
            Self::Request(_) | Self::TokenMissing | Self::TokenRefused(_) | Self::Unexpected { .. } => true,
        }
    }

    /// Whether the same may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout => true,
            Self::Unexpected { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::TooLong | Self::Request(_) | Self::TokenMissing | Self::TokenRefused(_) => false,
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

#[derive(Deserialize)]
struct Refreshed {
    access: String,
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

/// Label Studio's access tokens live five minutes.
const ACCESS_TOKEN_LIFE: Duration = Duration::from_mins(4);
/// The longest answer that is read.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Where Label Studio takes a token, too.
pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
