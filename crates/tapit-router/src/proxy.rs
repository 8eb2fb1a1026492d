//! One request from its header to the header of its answer: which backend, whether to wait, whether to try again.
//!
//! ```text
//!              ┌──── nobody there: held until a publish, at most `hold` ────┐
//! screened ──▶ search ◀─────────────────────────────────────────────────────┘
//!               │  ▲ nothing was sent, or the request may be sent again
//!               ▼  │
//!             attempt ──▶ answered, or 502, or 504
//! ```

use std::convert::Infallible;
use std::sync::Arc;

use http::header::{HOST, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use crate::attempt::{Connection, Fault, Outcome, Reuse, Terms, attempt};
use crate::backend::{Lease, Sender};
use crate::client::{Busy, Client, Framing};
use crate::headers;
use crate::payload::Cargo;
use crate::refusal::Refusal;
use crate::registry::Shared;
use crate::response::{Answer, Content, Download, Exchange};
use crate::screen::{Target, screen};
use crate::search::{Search, route};
use crate::stats::Tally;
use crate::table::Entry;
use crate::upgrade::{self, Sides};

/// A request as it came in.
pub(crate) struct Asked {
    pub(crate) request: Request<Incoming>,
    pub(crate) framing: Framing,
    pub(crate) busy: Busy,
}

/// Answers a request, in any case.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    client: Arc<Client>,
    asked: Asked,
) -> Result<Response<Answer>, Infallible> {
    let Asked { request, framing, busy } = asked;
    let response = match screen(&request, framing) {
        Ok(target) => handle(&shared, &client, request, target).await,
        Err(malformed) => Refusal::Malformed(malformed).response(),
    };
    Ok(response.map(|content| Answer::new(content, busy)))
}

async fn handle(
    shared: &Shared,
    client: &Arc<Client>,
    request: Request<Incoming>,
    target: Target,
) -> Response<Content> {
    let Some(entry) = shared.table().find(&target.host).cloned() else {
        return Refusal::UnknownHost(target.host).response();
    };
    let tally = Tally::open(&entry.stats);
    let host = target.host.clone();
    let prepared = prepare(request, target, &entry, client);
    match forward(shared, &host, prepared.request, &tally).await {
        Ok(reply) => reply.finish(Finish { shared, client, tally, switch: prepared.switch }),
        Err(refusal) => refuse(&refusal, tally),
    }
}

/// Gives the router's own answer, and counts and logs it.
fn refuse(refusal: &Refusal, tally: Tally) -> Response<Content> {
    match refusal {
        Refusal::BadGateway(Some(fault)) => {
            let error: &(dyn std::error::Error + 'static) = fault;
            tracing::warn!(error, "a request could not be answered");
        }
        Refusal::BadGateway(None) => tracing::warn!("a backend switched protocols unasked"),
        Refusal::Late => tracing::warn!("a backend did not begin to answer in time"),
        Refusal::Malformed(_)
        | Refusal::UnknownHost(_)
        | Refusal::Closed(_)
        | Refusal::Crowded
        | Refusal::NoBackend
        | Refusal::Upload(_) => {}
    }
    if refusal.is_failure() {
        tally.failed();
    }
    refusal.response()
}

/// A switch of protocols that the client asked for.
struct Switch {
    protocol: HeaderValue,
    client: OnUpgrade,
}

struct Prepared {
    request: Request<Incoming>,
    switch: Option<Switch>,
}

/// Makes the request one of our own to a backend.
fn prepare(mut request: Request<Incoming>, target: Target, entry: &Entry, client: &Client) -> Prepared {
    let switch = headers::upgrade_of(request.headers(), request.version())
        .map(|protocol| Switch { protocol, client: hyper::upgrade::on(&mut request) });
    request.extensions_mut().clear();
    *request.version_mut() = Version::HTTP_11;
    if request.uri().authority().is_some() {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
    }
    let headers = request.headers_mut();
    if let Some(host) = target.replaced_host {
        headers.insert(HOST, host);
    } else if target.host.is_empty() {
        let host = entry.first_host.as_deref().and_then(|host| HeaderValue::from_str(host).ok());
        headers.insert(HOST, host.unwrap_or_else(|| HeaderValue::from_static("localhost")));
    }
    headers::prepare_request(headers, client.peer());
    if let Some(switch) = &switch {
        headers::set_upgrade(headers, switch.protocol.clone());
    }
    Prepared { request, switch }
}

/// An answer of a backend that has begun.
struct Reply {
    response: Response<Incoming>,
    sender: Sender,
    lease: Lease,
}

/// Finds a backend that answers.
async fn forward(shared: &Shared, host: &str, request: Request<Incoming>, tally: &Tally) -> Result<Reply, Refusal> {
    let limits = &shared.limits;
    // Before the body is read: a closed route takes none.
    route(shared, host)?;
    let mut cargo = Cargo::load(request, limits).await.map_err(Refusal::Upload)?;
    let progress = cargo.progress().cloned();
    let mut terms = Terms { limits, reuse: cargo.reuse(limits), progress: progress.as_ref() };
    let mut search = Search::new(shared, host, tally.stats());
    let (mut resends, mut has_failed) = (0, false);
    while let Some(request) = cargo.take() {
        let lease = search.next().await?;
        if std::mem::take(&mut has_failed) {
            tally.retried();
        }
        match attempt(lease.backend(), request, &terms).await {
            Outcome::Answered(response, sender) => return Ok(Reply { response, sender, lease }),
            Outcome::Unsent(unsent, Fault::Withdrawn { .. }) => cargo.give_back(unsent),
            Outcome::Unsent(unsent, fault) => {
                cargo.give_back(unsent);
                search.pass_over(lease.backend(), fault);
                has_failed = true;
            }
            Outcome::Lost(fault, connection) => {
                if let Some(broken) = progress.as_ref().and_then(|progress| progress.broken()) {
                    return Err(Refusal::Upload(broken));
                }
                match connection {
                    Connection::Fresh => search.pass_over(lease.backend(), fault),
                    // Most likely it was closed for being idle; a fresh one to the same backend is as good as another's.
                    Connection::Reused => search.remember(fault),
                }
                if resends == limits.resends {
                    break;
                }
                resends += 1;
                terms.reuse = Reuse::Never;
                has_failed = true;
            }
            Outcome::Late => {
                let stalled = progress.as_ref().and_then(|progress| progress.stalled());
                return Err(stalled.map_or(Refusal::Late, Refusal::Upload));
            }
        }
    }
    Err(search.give_up())
}

/// What an answer needs on its way to the client.
struct Finish<'a> {
    shared: &'a Shared,
    client: &'a Arc<Client>,
    tally: Tally,
    switch: Option<Switch>,
}

impl Reply {
    fn finish(self, finish: Finish<'_>) -> Response<Content> {
        let Self { mut response, sender, lease } = self;
        let Finish { shared, client, tally, switch } = finish;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return match switch {
                Some(switch) => {
                    tally.ok();
                    switched(response, switch, lease, client)
                }
                None => refuse(&Refusal::BadGateway(None), tally),
            };
        }
        *response.version_mut() = Version::HTTP_11;
        headers::strip_hop_by_hop(response.headers_mut());
        let exchange = Exchange { lease, sender, tally, idle_most: shared.limits.idle_per_backend };
        response.map(|body| Content::Stream(Download::new(body, exchange)))
    }
}

fn switched(mut response: Response<Incoming>, switch: Switch, lease: Lease, client: &Arc<Client>) -> Response<Content> {
    let protocol = response.headers().get(UPGRADE).cloned().unwrap_or(switch.protocol);
    let backend = hyper::upgrade::on(&mut response);
    headers::strip_hop_by_hop(response.headers_mut());
    headers::set_upgrade(response.headers_mut(), protocol);
    upgrade::join(Sides { client: switch.client, backend }, lease, Arc::clone(client));
    response.map(|_| Content::Text(None))
}
