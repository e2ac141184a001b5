//! The hot path, in order of execution: admit, route, authorise, locate, deliver, respond.
//!
//! A request goes down this page once. Each stage takes proof and returns proof, the cheap ones come first, and any
//! refusal leaves through one door, [`response::refuse`]. What only some requests need is boxed: the future of a request is
//! kept for every connection, and moved for every request. Nothing here writes to a database, spawns for media,
//! buffers a body or holds a lock over an await. What can change at run time is one [`State`], swapped whole.

pub mod body;
pub mod cors;
pub mod deliver;
mod error;
pub mod forward;
pub mod limits;
pub mod links;
pub mod locate;
pub mod metrics;
pub mod multipart;
pub mod observe;
pub mod permission;
pub mod response;
pub mod rewrite;
pub mod route;
pub mod rules;
pub mod takeover;
pub mod upload;

use std::{mem, net::IpAddr, sync::Arc, time::SystemTime};

use arc_swap::ArcSwap;
use http::{Method, Request, Response, header};
use http_body::Body as _;
use hyper::body::Incoming;

pub use self::error::{Error, Fault};
use self::{
    body::{Body, Observed},
    cors::Cors,
    deliver::{Deliverer, Located},
    forward::{Sender, Upstream},
    limits::Limits,
    links::{Links, Mentioned},
    locate::Storages,
    metrics::Metrics,
    observe::{Asked, Delivered, Record, Tally},
    permission::{Admitted, Permission},
    rewrite::Rewriting,
    route::{MediaRoute, ParseRouteError, Route, Scope},
    takeover::TakeOver,
};
use crate::{
    access::{self, Allowlist, ClientIp, Covered, Grant, TrustedProxies, Verifier},
    id::{ProjectId, TaskId},
    object::ObjectUri,
    storage::Mode,
};

/// The data path of one process.
#[derive(Debug)]
pub struct Gateway {
    state: ArcSwap<State>,
    limits: Arc<Limits>,
    deliverer: Deliverer,
    links: Links,
    /// Behind one pointer, since each request holds it.
    metrics: Arc<Metrics>,
    clock: fn() -> SystemTime,
}

/// What a configuration and the store make of the data path; replaced as a whole when either changes.
#[derive(Clone, Debug)]
pub struct State {
    /// Which clients are admitted at all.
    pub allowlist: Arc<Allowlist>,
    /// Which peers may speak for a client.
    pub trusted: Arc<TrustedProxies>,
    /// Who verifies tokens.
    pub verifier: Arc<Verifier>,
    /// The storages.
    pub storages: Arc<Storages>,
    /// The application behind the gateway.
    pub upstream: Option<Arc<Upstream>>,
    /// What is replaced in its answers.
    pub rewriting: Option<Arc<Rewriting>>,
    /// Who is asked about requests without a token: the application behind the gateway, where it can be.
    pub permission: Option<Arc<dyn Permission>>,
    /// What is answered in the application's place.
    pub takeover: Option<Arc<dyn TakeOver>>,
    /// Pages of other origins.
    pub cors: Arc<Cors>,
}

/// The other end of the connection, as the listener knows it.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address.
    pub ip: IpAddr,
    /// Whether it came by TLS.
    pub tls: bool,
}

impl Gateway {
    /// Makes the data path.
    pub fn new(
        state: State,
        limits: Limits,
        deliverer: Deliverer,
        links: Links,
        metrics: Metrics,
        clock: fn() -> SystemTime,
    ) -> Self {
        metrics.streams_limit.set(i64::try_from(limits.max_streams()).unwrap_or(i64::MAX));
        Self {
            state: ArcSwap::from_pointee(state),
            limits: Arc::new(limits),
            deliverer,
            links,
            metrics: Arc::new(metrics),
            clock,
        }
    }

    /// Puts another configuration in force for the requests to come.
    pub fn replace(&self, state: State) {
        self.state.store(Arc::new(state));
    }

    /// The configuration in force.
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// Answers a request; never fails, since an error would cut the client's connection.
    pub async fn handle(&self, mut request: Request<Incoming>, peer: Peer) -> Response<Observed> {
        let state = self.state.load_full();
        let request_id = observe::request_id(request.headers(), state.trusted.trusts(peer.ip));
        let record = Record::new(request_id.clone(), request.method().clone(), request.uri().clone());
        let mut tally = Tally::begin(record, Arc::clone(&self.metrics));
        let version = request.version();
        let cors = state.cors.judge(request.headers());
        let wants_page = state.upstream.is_some() && forward::wants_page(request.headers());
        // The request stays where it is, and is moved into a box for the application alone.
        let answer = match self.admit(&state, peer, &request, &mut tally) {
            Ok((client, Route::Media(route))) => {
                self.media(&state, (peer, client), &route, &mut request, &mut tally).await
            }
            Ok((client, Route::Forward)) => {
                Box::pin(forward_or_take_over(&state, (peer, client), request, &mut tally)).await
            }
            Err(error) => Err(error),
        };
        let mut response = answer.unwrap_or_else(|error| {
            report(&error, &request_id);
            tally.record.code = Some(error.code());
            tally.fail(error.fault());
            let page = wants_page.then(|| forward::error_page(&error)).flatten();
            page.unwrap_or_else(|| response::refuse(&error, &request_id, version))
        });
        if !matches!(tally.record.delivered, Delivered::Forward | Delivered::TakenOver) {
            state.cors.decorate(cors, response.headers_mut());
        }
        response::identify(response.headers_mut(), &request_id);
        tally.answered(response.status());
        response.map(|body| Observed::new(body, tally))
    }

    /// Who asks, whether they may ask at all, and for what.
    fn admit(
        &self,
        state: &State,
        peer: Peer,
        request: &Request<Incoming>,
        tally: &mut Tally,
    ) -> Result<(ClientIp, Route), Error> {
        let client = access::client_ip(peer.ip, request.headers(), &state.trusted)?;
        tally.record.client = Some(client);
        state.allowlist.admit(client)?;
        tally.hold_request(self.limits.enter()?);
        let route = state.route(request.uri())?;
        tally.record.asked = match &route {
            Route::Media(route) => Asked::Media(route.kind),
            Route::Forward => Asked::Forward,
        };
        Ok((client, route))
    }

    async fn media(
        &self,
        state: &State,
        (peer, client): (Peer, ClientIp),
        route: &MediaRoute,
        request: &mut Request<Incoming>,
        tally: &mut Tally,
    ) -> Result<Response<Body>, Error> {
        expect_bare(request)?;
        if request.method() == Method::OPTIONS {
            return Ok(response::options());
        }
        let now = (self.clock)();
        let record = &mut tally.record;
        record.object = Some(route.object.clone());
        record.task = route.task().cloned();
        let admitted = permission::authorise(state, route, request, &self.metrics, now).await?;
        let grant = &admitted.grant;
        record.grant = Some(Arc::clone(grant));
        grant.admits(client)?;
        let located = match grant.covers(&route.object, route.task(), route.project())? {
            Covered::Named => locate(state, route, grant, client, None)?,
            Covered::IfLinkedTo(task) => {
                let mentioned =
                    Box::pin(self.mentioned(state, &admitted, task, (&route.object, now))).await?;
                let project = mentioned.project.as_ref();
                let located = locate(state, route, grant, client, project)?;
                expect_same_project(&mentioned, grant, located.storage)?;
                located
            }
        };
        record.storage = Some(located.storage.name().clone());
        let delivery = match self.deliverer.choose(&located).await? {
            Mode::Redirect => {
                record.delivered = Delivered::Redirect;
                self.deliverer.redirect(&located, request.method(), now)?
            }
            Mode::Stream => {
                record.delivered = Delivered::Stream;
                tally.hold_stream(self.limits.stream(client)?);
                Box::pin(deliver::stream(&located, request.method(), request.headers())).await?
            }
        };
        tally.record.content_range = delivery.content_range();
        let cookie = admitted.cookie(state, peer, route, (request.headers(), now));
        // Nobody reads the headers of the request any more: the map serves for those of the answer, and HTTP/1 then
        // keeps it for the next request.
        let mut response = response::respond(&located, delivery, mem::take(request.headers_mut()));
        if let Some(cookie) = cookie {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// What the task of a token mentions; fails unless the object is among it. Where the application is asked, a task is
    /// one of its own: those of the store have other numbers.
    async fn mentioned(
        &self,
        state: &State,
        admitted: &Admitted,
        task: &TaskId,
        (object, now): (&ObjectUri, SystemTime),
    ) -> Result<Arc<Mentioned>, Error> {
        let mentioned = match (&admitted.mentioned, &state.permission) {
            (Some(mentioned), _) => Arc::clone(mentioned),
            (None, Some(application)) => application.mentioned(task, now).await?,
            (None, None) => return self.links.expect(task, object).await,
        };
        if mentioned.mentions(object) { Ok(mentioned) } else { Err(access::Error::ObjectNotGranted.into()) }
    }
}

impl State {
    fn route(&self, target: &http::Uri) -> Result<Route, ParseRouteError> {
        match &self.upstream {
            Some(upstream) => Route::parse_under(target, upstream.prefix()),
            None => Route::parse(target),
        }
    }
}

impl MediaRoute {
    fn task(&self) -> Option<&TaskId> {
        match &self.scope {
            Some(Scope::Task(task)) => Some(task),
            Some(Scope::Project(_)) | None => None,
        }
    }

    fn project(&self) -> Option<&ProjectId> {
        match &self.scope {
            Some(Scope::Project(project)) => Some(project),
            Some(Scope::Task(_)) | None => None,
        }
    }
}

/// Something of the application's: its own answer, or one in its place.
async fn forward_or_take_over(
    state: &State,
    (peer, client): (Peer, ClientIp),
    request: Request<Incoming>,
    tally: &mut Tally,
) -> Result<Response<Body>, Error> {
    let (mut parts, body) = request.into_parts();
    let upstream = state.upstream.as_ref().ok_or(Error::UpstreamUnset)?;
    if let Some(takeover) = state.takeover.as_ref().filter(|takeover| takeover.claims(&parts)) {
        tally.record.asked = Asked::Storages;
        tally.record.delivered = Delivered::TakenOver;
        let parts = forward::without_our_tokens(parts, &state.verifier)?;
        let request = Request::from_parts(parts, body);
        let answer = takeover.answer(request, state.trusted.trusts(peer.ip)).await;
        return Ok(answer.map(Body::from));
    }
    tally.record.delivered = Delivered::Forward;
    let request_id = tally.record.request_id.clone();
    let trusted = state.trusted.trusts(peer.ip).then(|| state.trusted.header());
    let sender = Sender { peer: peer.ip, client, trusted, tls: peer.tls, request_id: &request_id };
    let rewriting = state.rewriting.as_ref();
    let rewriting = rewriting.and_then(|rewriting| Some((rewriting, rewriting.prepare(&mut parts)?)));
    let answer = upstream.forward(parts, body, sender, &state.verifier).await?;
    match rewriting {
        Some((rewriting, asked)) => rewriting.apply(&asked, answer, &state.storages).await,
        None => Ok(answer),
    }
}

/// A request for media is GET, HEAD or OPTIONS and has no body: the rest is how requests are smuggled.
fn expect_bare(request: &Request<Incoming>) -> Result<(), Error> {
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return Err(Error::MethodRefused);
    }
    if !request.body().is_end_stream() || request.headers().contains_key(header::TRANSFER_ENCODING) {
        return Err(Error::BodyRefused);
    }
    Ok(())
}

/// The storage of the object. Only this makes a [`Located`], and only from a grant that was checked.
fn locate<'a>(
    state: &'a State,
    route: &'a MediaRoute,
    grant: &'a Arc<Grant>,
    client: ClientIp,
    of_task: Option<&ProjectId>,
) -> Result<Located<'a>, Error> {
    let project = route.project().or(grant.project()).or(of_task);
    let storage = if grant.is_permission() {
        // What the application permits for a project opens no other project's storage.
        state.storages.locate_own(&route.object, project)
    } else {
        state.storages.locate(&route.object, project)
    };
    let storage = storage.ok_or(Error::StorageUnknown)?;
    storage.allowlist.admit(client)?;
    Ok(Located { storage, object: &route.object, grant, client })
}

/// A task mentions what whoever wrote its file liked to mention; it opens no other project's storage.
fn expect_same_project(
    mentioned: &Mentioned,
    grant: &Grant,
    storage: &locate::Storage,
) -> Result<(), access::Error> {
    let task = mentioned.project.as_ref();
    let is_another = |project: Option<&ProjectId>| project.zip(task).is_some_and(|(own, task)| own != task);
    if is_another(storage.project()) || is_another(grant.project()) {
        Err(access::Error::ObjectNotGranted)
    } else {
        Ok(())
    }
}

/// Logs an error once, here, at the level of its fault; the client sees a fixed sentence only.
fn report(error: &Error, request_id: &http::HeaderValue) {
    let request_id = request_id.to_str().unwrap_or_default();
    match error.fault() {
        Fault::Client | Fault::Policy => tracing::debug!(request_id, code = error.code(), %error, "refused"),
        Fault::Overload => tracing::warn!(request_id, code = error.code(), %error, "over a limit"),
        Fault::Upstream => {
            let source = std::error::Error::source(error).map(tracing::field::display);
            tracing::warn!(request_id, code = error.code(), %error, source, "upstream failed");
        }
    }
}
