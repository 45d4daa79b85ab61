//! Callers who go on and on, and what they met.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde_json::json;
use testkit::eventually;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::rolling::cluster::{Endpoints, Pairs};

/// Requests of one caller at most: some minutes' worth.
const REQUESTS_MAX: usize = 5_000;
/// Between the answer to one request and the next one.
const DELAY: Duration = Duration::from_millis(30);

/// What a caller does. Each goes straight to the instances that it was told of, in turn, over
/// connections that it keeps, and asks nobody a second time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Caller {
    /// `POST` with an Idempotency-Key; payment-service asks user-service.
    Payer,
    /// `GET` at user-service.
    User,
    /// `GET` at payment-service.
    Reader,
}

/// The load on both services. It ends with this value.
pub(super) struct Load {
    callers: JoinSet<()>,
    met: Arc<Met>,
    end: CancellationToken,
}

/// By port, how many requests were answered as they should; and what became of the others.
#[derive(Default)]
struct Met {
    answered: Mutex<BTreeMap<u16, usize>>,
    lost: Mutex<Vec<String>>,
}

impl Load {
    pub(super) fn start(pairs: &Pairs, callers: &[Caller]) -> Self {
        let (met, end) = (Arc::<Met>::default(), CancellationToken::new());
        let calling = callers.iter().enumerate().map(|(number, caller)| {
            let one = One {
                number,
                caller: *caller,
                endpoints: match caller {
                    Caller::User => pairs.users.clone(),
                    Caller::Payer | Caller::Reader => pairs.payments.clone(),
                },
                token: pairs.token.clone(),
                http: Client::builder().no_proxy().build().unwrap(),
            };
            one.call(met.clone(), end.clone())
        });
        Self { callers: calling.collect(), met, end }
    }

    /// Waits for so many more answers.
    pub(super) async fn until_answered(&self, more: usize) {
        let count = || self.met.answered.lock().unwrap().values().sum::<usize>();
        let enough = count() + more;
        eventually("the load goes on", async || (count() >= enough).then_some(())).await;
    }

    /// Ends it; gives the ports that answered and how often, and the requests that were lost.
    pub(super) async fn end(self) -> (BTreeMap<u16, usize>, Vec<String>) {
        self.end.cancel();
        self.callers.join_all().await;
        let take =
            |met: &Met| (met.answered.lock().unwrap().clone(), met.lost.lock().unwrap().clone());
        take(&self.met)
    }
}

/// One caller.
struct One {
    number: usize,
    caller: Caller,
    endpoints: Endpoints,
    token: String,
    http: Client,
}

impl One {
    async fn call(self, met: Arc<Met>, end: CancellationToken) {
        for turn in 0..REQUESTS_MAX {
            let port = self.endpoints.pick(self.number + turn);
            let request = self.request(port, turn);
            let answer = async { request.send().await?.error_for_status()?.bytes().await };
            match answer.await {
                Ok(_) => *met.answered.lock().unwrap().entry(port).or_default() += 1,
                Err(error) => {
                    met.lost.lock().unwrap().push(format!("{:?}: {error:?}", self.caller));
                }
            }
            if end.run_until_cancelled(tokio::time::sleep(DELAY)).await.is_none() {
                return;
            }
        }
    }

    fn request(&self, port: u16, turn: usize) -> RequestBuilder {
        let url = |path: &str| format!("http://127.0.0.1:{port}{path}");
        let request = match self.caller {
            Caller::Payer => {
                let body =
                    json!({"amount": 100, "currency": "EUR", "payment_method": "pm_card_visa"});
                let key = format!("order-{}-{turn}", self.number);
                let request = self.http.post(url("/api/payments"));
                request.header("idempotency-key", key).json(&body)
            }
            Caller::User => self.http.get(url("/api/users/me")),
            Caller::Reader => self.http.get(url("/api/payments?limit=1")),
        };
        request.bearer_auth(&self.token)
    }
}
