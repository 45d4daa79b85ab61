//! `static`: the instances that `services.tsk` names.

use std::convert::Infallible;

use futures_util::future::BoxFuture;

use super::{Provider, ProviderError, Sink};

#[derive(Debug)]
pub(crate) struct Static;

impl Provider for Static {
    fn name(&self) -> &'static str {
        "static"
    }

    fn watch<'a>(&'a self, sink: &'a Sink) -> BoxFuture<'a, Result<Infallible, ProviderError>> {
        Box::pin(async move {
            sink.publish(sink.named());
            std::future::pending().await
        })
    }
}
