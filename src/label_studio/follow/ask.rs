//! Asking Label Studio without hurry: one request at a time, and a pause where it asks for one.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use serde::Deserialize;

use crate::{
    egress::retry_after,
    label_studio::{Answer, Client, ClientError},
};

/// Asks as the service.
pub(super) struct Asker(pub(super) Arc<Client>);

impl Asker {
    /// Reads something that has to be there.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Asks, and asks again after the pause that Label Studio, or what stands before it, wants.
    pub(super) async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, ClientError> {
        let mut pauses = 0;
        loop {
            let answer = self.0.ask(method.clone(), path, body.clone()).await?;
            let is_busy =
                matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
            match retry_after(&answer.headers) {
                Some(pause) if is_busy && pauses < PAUSES => tokio::time::sleep(pause.min(LONGEST)).await,
                _ => return Ok(answer),
            }
            pauses += 1;
        }
    }

    /// Whether Label Studio itself says that there is no such thing. Whatever else it says is no answer to that.
    pub(super) async fn is_gone(&self, path: &str) -> Result<bool, ClientError> {
        #[derive(Deserialize)]
        struct Gone {
            detail: Option<String>,
        }
        let answer = self.get(path).await?;
        if answer.status.is_success() {
            return Ok(false);
        }
        let said: Option<Gone> = serde_json::from_slice(&answer.body).ok();
        if answer.status == StatusCode::NOT_FOUND && said.is_some_and(|said| said.detail.is_some()) {
            return Ok(true);
        }
        Err(ClientError::Unexpected { status: answer.status, wanted: "something or its absence" })
    }
}

/// When Label Studio answered, by its own clock.
pub(super) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?).ok()
}

/// How often a pause is made for one request.
const PAUSES: u32 = 8;
const LONGEST: Duration = Duration::from_mins(1);
