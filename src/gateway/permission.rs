//! Who may, by the word of the application behind the gateway.
//!
//! A request for the media of a task or project that carries no token of ours is shown to the application, with the
//! caller's own credentials and nothing of ours. What it permits comes back as a task-access token of the process's
//! internal key, so that it goes through the same door as every other token, and is handed to the browser in a cookie of
//! that task's path: the next requests ask nobody.

use std::{fmt, pin::Pin, sync::Arc, time::SystemTime};

use http::{HeaderMap, HeaderValue, Request};
use hyper::body::Incoming;

use super::{
    Error, Peer, State,
    forward::X_FORWARDED_PROTO,
    links::Mentioned,
    locate::Storages,
    metrics::Metrics,
    route::{MediaRoute, PathPrefix, Scope},
};
use crate::{
    access::{self, Covered, Grant, PERMISSION_COOKIE, Presented},
    id::TaskId,
};

/// An application that is asked who may see what.
pub trait Permission: fmt::Debug + Send + Sync {
    /// Asks on behalf of whoever sent these headers, or remembers what was said a moment ago.
    fn ask<'a>(&'a self, question: Question<'a>) -> Asking<'a, Answer>;

    /// What a task mentions by the application's data of it, for a token that names the task and no objects.
    fn mentioned<'a>(
        &'a self,
        task: &'a TaskId,
        now: SystemTime,
    ) -> Asking<'a, Result<Arc<Mentioned>, Refusal>>;

    /// Whether what it permits may be handed to browsers.
    fn gives_cookies(&self) -> bool;
}

/// What is waited for; boxed, since the application is behind a trait.
pub type Asking<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// May they?
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The headers of the request, with whatever proves who sent it.
    pub headers: &'a HeaderMap,
    /// The task or project.
    pub scope: &'a Scope,
    /// What could be served.
    pub storages: &'a Storages,
    /// When.
    pub now: SystemTime,
}

/// What was said.
#[derive(Debug)]
pub struct Answer {
    /// The decision.
    pub outcome: Result<Permitted, Refusal>,
    /// Whether nobody had to be asked.
    pub is_remembered: bool,
}

/// They may.
pub struct Permitted {
    /// A token of the internal key that says so.
    pub token: Arc<str>,
    /// What the task mentions, where the token names no objects.
    pub mentioned: Option<Arc<Mentioned>>,
    /// Whether it is an earlier answer, since the application gives none now.
    pub is_stale: bool,
}

/// They may not, or nobody knows.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// No credentials, or none that the application takes.
    #[error("the application wants a login")]
    LoginNeeded,
    /// Not for them.
    #[error("the application does not permit it")]
    Denied,
    /// No such task.
    #[error("the application has no such task")]
    TaskNotFound,
    /// No such project.
    #[error("the application has no such project")]
    ProjectNotFound,
    /// It cannot be asked, or says something that is no answer.
    #[error("the application cannot be asked for permission")]
    Unavailable(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// It is silent.
    #[error("the application did not say in time whether it permits it")]
    Timeout,
}

/// A request that may go on, as far as the object is covered.
pub(super) struct Admitted {
    pub(super) grant: Arc<Grant>,
    /// What the task mentions, where that is known by now.
    pub(super) mentioned: Option<Arc<Mentioned>>,
    /// What may be handed to the browser.
    token: Option<Arc<str>>,
}

/// Judges a request by its token, or by what the application says of whoever sent it.
pub(super) async fn authorise(
    state: &State,
    route: &MediaRoute,
    request: &Request<Incoming>,
    metrics: &Metrics,
    now: SystemTime,
) -> Result<Admitted, Error> {
    let (query, headers) = (request.uri().query(), request.headers());
    let (Some(application), Some(scope)) = (&state.permission, &route.scope) else {
        let presented = access::present(headers, query)?;
        return Ok(Admitted::by(state.verifier.verify_or_refresh(&presented, now).await?));
    };
    if let Some(presented) = access::present_ours(headers, query, &state.verifier)? {
        return Ok(Admitted::by(state.verifier.verify_or_refresh(&presented, now).await?));
    }
    if let Some(admitted) = by_cookie(state, &**application, route, headers, now).await {
        metrics.permissions.with_label_values(&["allowed", "cookie"]).inc();
        return Ok(admitted);
    }
    let question = Question { headers, scope, storages: &state.storages, now };
    let answer = application.ask(question).await;
    let cache = if answer.is_remembered { "hit" } else { "miss" };
    metrics.permissions.with_label_values(&[answer.label(), cache]).inc();
    let permitted = answer.outcome?;
    let grant = state.verifier.verify(&Presented::from_text(&permitted.token), now)?;
    Ok(Admitted { grant, mentioned: permitted.mentioned, token: Some(permitted.token) })
}

/// By the cookie of an earlier answer. One that does not serve is ignored: anybody may set a cookie, and it grows old.
async fn by_cookie(
    state: &State,
    application: &dyn Permission,
    route: &MediaRoute,
    headers: &HeaderMap,
    now: SystemTime,
) -> Option<Admitted> {
    let presented = access::permission_cookie(headers)?;
    let grant = state.verifier.verify(&presented, now).ok().filter(|grant| grant.is_permission())?;
    let is_for_route = match &route.scope {
        Some(Scope::Task(task)) => grant.task() == Some(task),
        Some(Scope::Project(project)) => grant.task().is_none() && grant.project() == Some(project),
        None => false,
    };
    if !is_for_route {
        return None;
    }
    let mentioned = match grant.covers(&route.object, route.task(), route.project()).ok()? {
        Covered::Named => None,
        Covered::IfLinkedTo(task) => {
            let mentioned = application.mentioned(task, now).await.ok()?;
            Some(mentioned.mentions(&route.object).then_some(mentioned)?)
        }
    };
    Some(Admitted { grant, mentioned, token: None })
}

impl Admitted {
    fn by(grant: Arc<Grant>) -> Self {
        Self { grant, mentioned: None, token: None }
    }

    /// Hands what was permitted to the browser: a `Set-Cookie` for the paths of that task or project and as long as it holds.
    pub(super) fn cookie(
        &self,
        state: &State,
        peer: Peer,
        route: &MediaRoute,
        (headers, now): (&HeaderMap, SystemTime),
    ) -> Option<HeaderValue> {
        let (token, scope) = (self.token.as_ref()?, route.scope.as_ref()?);
        let prefix = state.upstream.as_ref().map(|upstream| upstream.prefix());
        let rest = self.grant.expires_at().duration_since(now).unwrap_or_default().as_secs();
        if rest == 0 || !state.permission.as_ref().is_some_and(|application| application.gives_cookies()) {
            return None;
        }
        let secure = if came_by_tls(state, peer, headers) { "; Secure" } else { "" };
        // Low: where a browser has too many cookies, these go first, and not the application's session.
        let cookie = format!(
            "{PERMISSION_COOKIE}={token}; Path={}; Max-Age={rest}; HttpOnly; SameSite=Lax; Priority=Low{secure}",
            path(prefix, scope)
        );
        let mut value = HeaderValue::try_from(cookie).ok().filter(|cookie| cookie.len() <= MAX_COOKIE)?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Answer {
    /// The label value of the metrics.
    fn label(&self) -> &'static str {
        match &self.outcome {
            Ok(permitted) if permitted.is_stale => "stale",
            Ok(_) => "allowed",
            Err(Refusal::LoginNeeded) => "login_needed",
            Err(Refusal::Denied) => "denied",
            Err(Refusal::TaskNotFound | Refusal::ProjectNotFound) => "not_found",
            Err(Refusal::Unavailable(_) | Refusal::Timeout) => "unavailable",
        }
    }
}

impl fmt::Debug for Permitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permitted").field("is_stale", &self.is_stale).finish_non_exhaustive()
    }
}

/// The paths that the cookie is for.
fn path(prefix: Option<&PathPrefix>, scope: &Scope) -> String {
    let prefix = prefix.map(ToString::to_string).unwrap_or_default();
    match scope {
        Scope::Task(task) => format!("{prefix}/tasks/{task}/"),
        Scope::Project(project) => format!("{prefix}/projects/{project}/"),
    }
}

fn came_by_tls(state: &State, peer: Peer, headers: &HeaderMap) -> bool {
    let says_so = || {
        let protocol = headers.get(X_FORWARDED_PROTO).and_then(|value| value.to_str().ok());
        protocol.and_then(|text| text.split(',').next()).is_some_and(|first| first.trim() == "https")
    };
    peer.tls || (state.trusted.trusts(peer.ip) && says_so())
}

/// Browsers keep cookies of at least 4096 bytes, attributes included (RFC 6265 section 6.1).
const MAX_COOKIE: usize = 3_800;
