//! One call, as its caller wants it.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chassis::extract::RequestContext;
use http::{HeaderMap, HeaderValue, header};
use resilience::criticality::Criticality;
use resilience::deadline::Deadline;
use tusk_config::Secret;

use crate::Kind;

/// Time for a call whose caller names none.
const TIME_DEFAULT: Duration = Duration::from_secs(5);

/// What a call is named, how long it may take, and what it passes on.
#[derive(Debug, Clone)]
pub struct Call {
    pub(crate) operation: &'static str,
    pub(crate) deadline: Deadline,
    pub(crate) request_id: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) client_address: Option<IpAddr>,
    pub(crate) criticality: Criticality,
    pub(crate) may_repeat: bool,
    authorization: Option<HeaderValue>,
}

impl Call {
    /// A call of `operation`, a short fixed name such as `get_user`, within five seconds.
    pub fn new(operation: &'static str) -> Self {
        let deadline = Deadline::within(TIME_DEFAULT);
        Self {
            operation,
            deadline,
            request_id: None,
            idempotency_key: None,
            client_address: None,
            criticality: Criticality::Default,
            may_repeat: false,
            authorization: None,
        }
    }

    /// All attempts and delays end within this time.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        self.by(Deadline::within(time))
    }

    /// All attempts and delays end by this deadline; the earliest that was named counts.
    #[must_use]
    pub fn by(mut self, deadline: Deadline) -> Self {
        self.deadline = self.deadline.earlier(deadline);
        self
    }

    /// Passes the id of the request at hand on.
    #[must_use]
    pub fn request_id(mut self, id: &str) -> Self {
        self.request_id = Some(id.to_owned());
        self
    }

    /// Passes on what there is to know of the request at hand: its deadline, its id, its criticality,
    /// and where it comes from.
    #[must_use]
    pub fn passing_on(self, request: &RequestContext) -> Self {
        let RequestContext { deadline, request_id, client_address, criticality } = request;
        let call = self.by(*deadline).request_id(request_id.as_str()).criticality(*criticality);
        call.client_address(client_address.0)
    }

    /// How much it matters, here and at the target, where there is not room for all calls.
    #[must_use]
    pub fn criticality(mut self, criticality: Criticality) -> Self {
        self.criticality = criticality;
        self
    }

    /// Makes a `POST` or `PATCH` safe to repeat.
    #[must_use]
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.idempotency_key = Some(key.to_owned());
        self.may_repeat()
    }

    /// Says that the target does no harm when it is asked twice, whatever the method.
    #[must_use]
    pub fn may_repeat(mut self) -> Self {
        self.may_repeat = true;
        self
    }

    /// Proves itself by name and secret (HTTP Basic, RFC 7617), in the place of a token.
    #[must_use]
    pub fn basic_auth(mut self, name: &str, secret: &Secret<String>) -> Self {
        let pair = STANDARD.encode(format!("{name}:{}", secret.expose()));
        self.authorization = sensitive(&format!("Basic {pair}"));
        self
    }

    /// On whose behalf: calls for one client go to one instance where `algorithm` is `ip_hash`.
    #[must_use]
    pub fn client_address(mut self, address: IpAddr) -> Self {
        self.client_address = Some(address);
        self
    }

    /// What goes along with every attempt. A key that cannot be sent is a fault: without it a
    /// repeated request is not safe.
    pub(crate) fn headers(&self) -> Result<HeaderMap, Kind> {
        let mut headers = HeaderMap::new();
        if let Some(key) = &self.idempotency_key {
            let key = HeaderValue::from_str(key);
            let key = key.map_err(|_| Kind::Unexpected("the idempotency key is no header"))?;
            headers.insert("idempotency-key", key);
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        if let Some(Ok(id)) = self.request_id.as_deref().map(HeaderValue::from_str) {
            headers.insert("x-request-id", id);
        }
        Ok(headers)
    }
}

/// A header that no log shows.
pub(crate) fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}
