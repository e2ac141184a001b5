//! What leaves through a connection: the service's answers, watched to their last byte, and our refusals.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use pin_project_lite::pin_project;

use super::activity::InFlight;

/// Seconds after which a refused client may come again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why a request is answered here and never reaches the service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// All places for connections are taken.
    Connections,
    /// This client has taken all of its places.
    ClientConnections,
    /// The request says in two ways how long its body is.
    Framing,
}

pin_project! {
    /// A body that counts as in flight until it is dropped.
    pub(super) struct Answer<B> {
        #[pin]
        body: Either<B, Full<Bytes>>,
        in_flight: InFlight,
    }
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::Connections => StatusCode::SERVICE_UNAVAILABLE,
            Self::ClientConnections => StatusCode::TOO_MANY_REQUESTS,
            Self::Framing => StatusCode::BAD_REQUEST,
        }
    }

    fn body(self) -> &'static str {
        match self {
            Self::Connections => r#"{"title":"Too many connections","status":503,"code":"connection_limit"}"#,
            Self::ClientConnections => {
                r#"{"title":"Too many connections from this address","status":429,"code":"client_connection_limit"}"#
            }
            Self::Framing => r#"{"title":"Ambiguous length of the body","status":400,"code":"bad_request"}"#,
        }
    }

    /// The answer, after which the connection is closed.
    pub(super) fn respond<B>(self, in_flight: InFlight) -> Response<Answer<B>> {
        let body = Either::Right(Full::new(Bytes::from_static(self.body().as_bytes())));
        let mut response = Response::new(Answer { body, in_flight });
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if self != Self::Framing {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

pin_project! {
    /// An answer on its way. By hand, since an `async` block would hold the future of the service twice: as what it was
    /// given and as what it waits for.
    #[project = Way]
    pub(super) enum Answering<F> {
        Asked {
            #[pin]
            answer: F,
            connect: bool,
            in_flight: Option<InFlight>,
        },
        Refused {
            refusal: Refusal,
            in_flight: Option<InFlight>,
        },
    }
}

impl<F> Answering<F> {
    /// The service's answer. `connect` tells whether the request was a CONNECT.
    pub(super) fn asked(answer: F, connect: bool, in_flight: InFlight) -> Self {
        Self::Asked { answer, connect, in_flight: Some(in_flight) }
    }

    pub(super) fn refused(refusal: Refusal, in_flight: InFlight) -> Self {
        Self::Refused { refusal, in_flight: Some(in_flight) }
    }
}

impl<F, B> Future for Answering<F>
where
    F: Future<Output = Response<B>>,
{
    type Output = Result<Response<Answer<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            Way::Asked { answer, connect, in_flight } => {
                let response = ready!(answer.poll(cx));
                // Absent after the end alone, when nobody polls.
                let Some(in_flight) = in_flight.take() else { return Poll::Pending };
                let status = response.status();
                if status == StatusCode::SWITCHING_PROTOCOLS || (*connect && status.is_success()) {
                    in_flight.upgrade();
                }
                Poll::Ready(Ok(response.map(|body| Answer { body: Either::Left(body), in_flight })))
            }
            Way::Refused { refusal, in_flight } => {
                let Some(in_flight) = in_flight.take() else { return Poll::Pending };
                Poll::Ready(Ok(refusal.respond(in_flight)))
            }
        }
    }
}

impl<B> Body for Answer<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.project();
        this.in_flight.asked();
        let frame = ready!(this.body.poll_frame(cx));
        this.in_flight.handed_over();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
