//! A simulator of the payment provider, in Stripe's wire format.
//!
//! It speaks HTTP on a real socket, so that a client is tried with its own connections, time-outs
//! and retries, and so that the same client works against a Stripe test account by changing its
//! base URL.
//!
//! | call | notes |
//! |---|---|
//! | `POST /v1/payment_intents` | confirms at once with `confirm=true` |
//! | `POST /v1/payment_intents/{id}/confirm` | |
//! | `GET /v1/payment_intents/{id}` | |
//! | `GET /v1/payment_intents/search` | `query=metadata['key']:'value'`; may lag |
//! | `POST /v1/customers`, `GET /v1/customers/{id}` | |
//! | `GET /health`, `GET /ready` | no authentication |
//!
//! Outcomes follow from Stripe's test payment methods (<https://docs.stripe.com/testing>), see
//! [`cards`](self#payment-methods). Requests with an `Idempotency-Key` follow
//! <https://docs.stripe.com/api/idempotent_requests>: the first answer of a request that was
//! executed is replayed, declines and errors included; other parameters under the same key are
//! refused; a key whose first request still runs is answered 409. What Stripe calls an account is
//! one here: keys of all callers share one space.
//!
//! # Payment methods
//!
//! `pm_card_visa`, `pm_card_mastercard` and the other brands succeed. With and without `visa_`
//! after `pm_card_`: `chargeDeclined`, `chargeDeclinedInsufficientFunds`, `chargeDeclinedLostCard`,
//! `chargeDeclinedStolenCard`, `chargeDeclinedExpiredCard`, `chargeDeclinedIncorrectCvc`,
//! `chargeDeclinedProcessingError`, `chargeDeclinedVelocityLimitExceeded`,
//! `authenticationRequired`. Anything else does not exist. There is no way to send a card number.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use testkit::simulator::{Fault, Simulator};
//!
//! let provider = Simulator::start().await;
//! provider.fail_next(1, Fault::RateLimited);
//! // … give `provider.url()` to the client under test as its base URL …
//! assert_eq!(provider.charges().len(), 0);
//! # Ok(())
//! # }
//! ```

mod calls;
mod cards;
mod error;
mod form;
mod idempotency;
mod intents;
mod money;
mod server;
mod state;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::task::JoinHandle;

use self::server::Shared;

/// Payment intents, customers, idempotency keys, charges and requests kept, of each kind: the
/// oldest is forgotten when one more comes. A simulator that runs for days stays small.
pub const KEPT_MAX: usize = 10_000;
/// How long [`Fault::Timeout`] holds a request whose client does not give up.
pub const HOLD_MAX: Duration = Duration::from_secs(120);

/// A running simulator. It ends when this value is dropped.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Shared,
    task: JoinHandle<()>,
}

/// What goes wrong with a call. A fault strikes calls under `/v1` that carry a valid key, in the
/// order in which the faults were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status (of 400 and above) without doing anything; nothing is saved for the
    /// idempotency key.
    Status(u16),
    /// Answers 429 with `Retry-After: 1` without doing anything.
    RateLimited,
    /// Does nothing and holds the request without an answer until the client gives up.
    Timeout,
    /// Does the work after this time, also when the client has given up by then. Until then the
    /// idempotency key is in flight.
    Slow(Duration),
    /// Does the work, then closes the connection without an answer.
    DropConnectionAfterCharging,
    /// Does the work, then answers 500, and saves that 500 for the idempotency key, as Stripe does
    /// when it fails in the middle: only a look at the payment itself tells what happened.
    ErrorAfterCharging,
    /// Does nothing, answers 500, and saves that 500 for the idempotency key. To the client it
    /// looks as [`ErrorAfterCharging`](Self::ErrorAfterCharging) does.
    ErrorWithoutCharging,
    /// Answers 400 `invalid_request_error` without doing anything, as for an account that may not
    /// charge any more.
    Rejected,
    /// Declines every card for this reason, such as `insufficient_funds`; does the work as ever when the
    /// call charges none, or the reason is unknown.
    Declined(String),
    /// Answers 400 `idempotency_error` without doing anything, as when the key's first call had
    /// other parameters.
    KeyReused,
}

/// Money that was taken or reserved. A declined attempt is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// `ch_…`
    pub id: String,
    /// The payment intent, `pi_…`.
    pub payment_intent: String,
    /// In the currency's minor unit.
    pub amount: i64,
    /// ISO 4217 in lower case.
    pub currency: String,
    /// As given by the caller, such as `pm_card_visa`.
    pub payment_method: String,
    /// `false` when the money is only reserved (`capture_method=manual`).
    pub captured: bool,
    /// The payment intent's metadata.
    pub metadata: BTreeMap<String, String>,
}

/// A call that came in under `/v1`. Neither keys nor bodies are kept: they are secrets and personal
/// data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    /// `req_…`, also the answer's `Request-Id`.
    pub id: String,
    /// `POST` or `GET`.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// The `Idempotency-Key`, if there was one.
    pub idempotency_key: Option<String>,
    /// The `Stripe-Version`, if there was one.
    pub stripe_version: Option<String>,
    /// The answer's status; `None` while there is none, and for ever when it never reached the
    /// wire.
    pub status: Option<u16>,
    /// Whether the answer was an earlier one, given again.
    pub replayed: bool,
}

impl Charge {
    /// The money that this charge is, in thousandths of the currency's main unit: 19.99 EUR is
    /// 19990, 500 JPY and 500 ISK are both 500000. Two charges that are the same money give the
    /// same number, however the wire writes them.
    pub fn thousandths(&self) -> i64 {
        self.amount * money::thousandths_in_a_unit(&self.currency)
    }
}

impl Simulator {
    /// Starts on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        Self::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), |_| ())
            .await
            .unwrap_or_else(|error| panic!("the payment simulator cannot start: {error}"))
    }

    /// Starts on the given address. `on_answer` is told each call under `/v1` that was answered.
    pub async fn bind(
        address: SocketAddr,
        on_answer: impl Fn(&RecordedRequest) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Shared::new(on_answer);
        let task = tokio::spawn(server::run(listener, shared.clone()));
        Ok(Self { address, shared, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL for a client, without a slash at its end and without `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All money taken or reserved, oldest first.
    pub fn charges(&self) -> Vec<Charge> {
        self.shared.state().charges.values().cloned().collect()
    }

    /// All calls under `/v1`, oldest first.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.shared.state().requests.values().cloned().collect()
    }

    /// Lets the next `count` calls go wrong this way, after those for which a fault is waiting
    /// already.
    pub fn fail_next(&self, count: usize, fault: Fault) {
        self.shared.state().faults.extend(std::iter::repeat_n(fault, count));
    }

    /// From now on, calls for which no fault is waiting go wrong as this file says of the provider; see
    /// the crate `faults`. It may come and go.
    pub fn apply_faults_of(&self, file: &Path) {
        self.shared.apply_faults_of(file);
    }

    /// From now on the search shows a payment intent only when it has not changed for so long,
    /// which is no time at the start. Stripe's search is behind by up to a minute, and by up to an
    /// hour during outages. Other calls are never behind.
    pub fn search_lags(&self, lag: Duration) {
        self.shared.state().search_lag = lag;
    }

    /// Forgets the faults that have not struck yet.
    pub fn recover(&self) {
        self.shared.state().faults.clear();
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.task.abort();
    }
}
