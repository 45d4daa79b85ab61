//! The rest of a request's way, as what stands before it sees it.
//!
//! A layer of axum's own (`from_fn`) clones all that is behind it, and boxes it and its future, for each
//! request. So what a request passes here is plain functions; one that goes on by itself gets the rest as its
//! last argument:
//!
//! ```
//! use axum::extract::Request;
//! use axum::response::Response;
//! use chassis::Next;
//!
//! async fn without_trailer(mut request: Request, next: impl Next) -> Response {
//!     request.headers_mut().remove("trailer");
//!     next.run(request).await
//! }
//! ```
//!
//! [`around`] puts the outermost of them in front of a router's routes, in one layer.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::Response;
use axum::routing::Route;
use tower::{Layer, Service};

/// What comes behind: another function, or the route.
pub trait Next: Send {
    /// Goes on with a request.
    fn run(self, request: Request) -> impl Future<Output = Response> + Send;
}

impl<F, Answer> Next for F
where
    F: FnOnce(Request) -> Answer + Send,
    Answer: Future<Output = Response> + Send,
{
    fn run(self, request: Request) -> impl Future<Output = Response> + Send {
        self(request)
    }
}

/// The route behind [`around`].
pub(crate) struct Endpoint(Arc<Route>);

impl Next for Endpoint {
    async fn run(self, request: Request) -> Response {
        // A route is ready at any time, and never fails.
        let Ok(response) = Route::clone(&self.0).call(request).await;
        response
    }
}

/// The layer that answers by a function, which gets the request and its route.
pub(crate) fn around<F, Answer>(answer: F) -> FnLayer<F>
where
    F: Fn(Request, Endpoint) -> Answer + Clone,
    Answer: Future<Output = Response> + Send + 'static,
{
    FnLayer(answer)
}

/// See [`around`].
#[derive(Clone)]
pub(crate) struct FnLayer<F>(F);

/// A route with a function around it.
#[derive(Clone)]
pub(crate) struct FnService<F> {
    answer: F,
    /// Shared, since axum clones what it calls.
    route: Arc<Route>,
}

impl<F: Clone> Layer<Route> for FnLayer<F> {
    type Service = FnService<F>;

    fn layer(&self, route: Route) -> FnService<F> {
        FnService { answer: self.0.clone(), route: Arc::new(route) }
    }
}

impl<F, Answer> Service<Request> for FnService<F>
where
    F: Fn(Request, Endpoint) -> Answer,
    Answer: Future<Output = Response> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let answer = (self.answer)(request, Endpoint(self.route.clone()));
        Box::pin(async move { Ok(answer.await) })
    }
}
