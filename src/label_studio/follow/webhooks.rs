//! The webhooks of Label Studio that are ours: one of each project that has a target.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Asker;
use crate::{
    control::HOOK_SECRET_HEADER,
    label_studio::{Answer, ClientError},
};

/// The webhook as it should be, but for its project.
pub(super) struct Ours<'a> {
    pub(super) url: &'a str,
    pub(super) secret: &'a SecretString,
}

/// How many projects have their webhook, and how many lack it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) kept: usize,
    pub(super) missing: usize,
    /// Why, of one that is missing.
    pub(super) refusal: Option<Refusal>,
}

/// Why Label Studio does not want a webhook.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "Label Studio refuses webhooks to addresses in private networks; start it with SSRF_PROTECTION_ENABLED=false or \
         USE_DEFAULT_BANNED_SUBNETS=false, or set label_studio.webhook_url to a public address"
    )]
    PrivateAddress,
    #[error("Label Studio cannot resolve the host of label_studio.webhook_url; set a name that it knows")]
    HostUnknown,
    #[error(
        "Label Studio does not let the user of label_studio.token_file make webhooks; use an administrator's token"
    )]
    Forbidden,
    #[error("Label Studio does not take the webhook ({0}); check label_studio.webhook_url")]
    Invalid(StatusCode),
}

/// A webhook as Label Studio tells it; no one prints it, since its headers hold secrets.
#[derive(Deserialize)]
struct Hook {
    id: i64,
    project: Option<i64>,
    url: String,
    send_payload: bool,
    send_for_all_actions: bool,
    headers: Option<Map<String, Value>>,
    is_active: bool,
    actions: BTreeSet<String>,
}

impl Ours<'_> {
    /// Makes what is absent, mends what differs, and takes away what is ours and nobody needs.
    pub(super) async fn keep(&self, asker: &Asker, projects: &BTreeSet<i64>) -> Result<Tally, ClientError> {
        let mut hooks: Vec<Hook> = asker.get("/api/webhooks/").await?.json("a list of webhooks")?;
        hooks.retain(|hook| self.has_made(hook));
        let mut counts = Tally::default();
        for project in projects {
            let mut own = hooks.extract_if(.., |hook| hook.project == Some(*project));
            let refusal = match own.next() {
                Some(hook) if self.is_right(&hook) => None,
                Some(hook) => {
                    self.send(asker, Method::PATCH, &format!("/api/webhooks/{}/", hook.id), *project).await?
                }
                None => self.send(asker, Method::POST, "/api/webhooks/", *project).await?,
            };
            // Two gateways may have made one each.
            let doubles: Vec<i64> = own.map(|hook| hook.id).collect();
            for double in doubles {
                remove(asker, double).await?;
            }
            match refusal {
                None => counts.kept += 1,
                Some(_) => counts.missing += 1,
            }
            counts.refusal = counts.refusal.or(refusal);
        }
        // Of the whole organization is none that was made here.
        for hook in hooks.iter().filter(|hook| hook.project.is_some() && hook.url == self.url) {
            remove(asker, hook.id).await?;
        }
        Ok(counts)
    }

    /// Whether a webhook was made here: it leads here, or did and has the secret.
    fn has_made(&self, hook: &Hook) -> bool {
        hook.url == self.url || hook.secret() == Some(self.secret.expose_secret())
    }

    fn is_right(&self, hook: &Hook) -> bool {
        let headers = hook.headers.as_ref().map_or(0, Map::len);
        hook.url == self.url
            && hook.secret() == Some(self.secret.expose_secret())
            && headers == 1
            && hook.send_payload
            && !hook.send_for_all_actions
            && hook.is_active
            && hook.actions.iter().map(String::as_str).eq(ACTIONS)
    }

    async fn send(
        &self,
        asker: &Asker,
        method: Method,
        path: &str,
        project: i64,
    ) -> Result<Option<Refusal>, ClientError> {
        let body = json!({
            "project": project,
            "url": self.url,
            "headers": { HOOK_SECRET_HEADER: self.secret.expose_secret() },
            "send_payload": true,
            "send_for_all_actions": false,
            "is_active": true,
            "actions": ACTIONS,
        });
        refusal(&asker.ask(method, path, Bytes::from(body.to_string())).await?)
    }
}

impl Hook {
    fn secret(&self) -> Option<&str> {
        let mut headers = self.headers.as_ref()?.iter();
        headers.find(|(name, _)| name.eq_ignore_ascii_case(HOOK_SECRET_HEADER))?.1.as_str()
    }
}

async fn remove(asker: &Asker, hook: i64) -> Result<(), ClientError> {
    let answer = asker.ask(Method::DELETE, &format!("/api/webhooks/{hook}/"), Bytes::new()).await?;
    match answer.status {
        status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
        status => Err(ClientError::Unexpected { status, wanted: "the end of a webhook" }),
    }
}

/// Why a webhook was not taken; `None`: it was.
fn refusal(answer: &Answer) -> Result<Option<Refusal>, ClientError> {
    #[derive(Deserialize)]
    struct Said {
        detail: Option<String>,
    }
    let said: Option<Said> = serde_json::from_slice(&answer.body).ok();
    let detail = said.and_then(|said| said.detail).unwrap_or_default();
    match answer.status {
        status if status.is_success() => Ok(None),
        StatusCode::FORBIDDEN if detail.contains("URL") => Ok(Some(Refusal::PrivateAddress)),
        StatusCode::FORBIDDEN => Ok(Some(Refusal::Forbidden)),
        _ if detail.contains("resolve hostname") => Ok(Some(Refusal::HostUnknown)),
        StatusCode::BAD_REQUEST => Ok(Some(Refusal::Invalid(answer.status))),
        status => Err(ClientError::Unexpected { status, wanted: "a webhook" }),
    }
}

/// What means something to an export, in alphabetical order.
const ACTIONS: [&str; 5] = [
    "ANNOTATIONS_CREATED",
    "ANNOTATIONS_DELETED",
    "ANNOTATION_CREATED",
    "ANNOTATION_UPDATED",
    "TASKS_DELETED",
];
