//! `/api/payments`.

use std::time::Duration;

use auth::{Caller, User};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chassis::extract::{IdempotencyKey, Json, Path, Query, RequestContext};
use chassis::page::{Page, PageQuery};
use chassis::{Clock, CollectErrors, Problem};
use chrono::{DateTime, Utc};
use contracts::{PaymentId, UserId};
use http::{HeaderValue, StatusCode, header};
use resilience::criticality::Criticality;
use serde::{Deserialize, Serialize};
use service_client::{Call, Kind, ServiceClient};
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use uuid::Uuid;

use super::wait::Wait;
use crate::config::IdempotencySettings;
use crate::domain::{Currency, Description, DomainError, Money, Payment, PaymentMethod, Status};
use crate::error::Error;
use crate::store::{Claim, Kept, Store};

/// Longest time to ask user-service whether the user may pay.
const PAYER_TIMEOUT: Duration = Duration::from_secs(3);
/// Of the request's own time this much is kept for the answer.
const ANSWER_TIME: Duration = Duration::from_millis(500);

/// A payment to make.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPayment {
    /// Minor units of the currency (ISO 4217): 1999 is EUR 19.99 and JPY 1999. Each currency has a
    /// least and a most amount, such as 50 to 99999999 in EUR; in BHD, JOD, KWD, OMR and TND the
    /// last digit is 0. The answer 422 names the bounds of the currency.
    #[schema(example = 1999, minimum = 1, maximum = 999_999_999_999_i64)]
    amount: i64,
    /// ISO 4217, upper case.
    #[schema(schema_with = currencies)]
    currency: String,
    /// The provider's token of a payment method; never a card number.
    #[schema(example = "pm_card_visa", max_length = 255, pattern = "^pm_[A-Za-z0-9_]+$")]
    payment_method: String,
    /// What for; at most 200 characters.
    #[schema(max_length = 200)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

/// A code of ISO 4217: one of those that are taken.
fn currencies() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("ISO 4217, upper case."))
        .enum_values(Some(Currency::all().map(Currency::as_str)))
        .examples(["EUR"])
        .build()
}

/// A payment.
#[derive(Serialize, ToSchema)]
pub(crate) struct PaymentView {
    payment_id: Uuid,
    user_id: Uuid,
    /// Minor units of the currency.
    #[schema(minimum = 1)]
    amount: i64,
    /// ISO 4217; a code that this document does not know when a newer version of the service wrote it.
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: &'static str,
    /// `processing`, `succeeded` or `requires_payment_method`; another word when a newer version of the
    /// service wrote it.
    status: String,
    /// Why it was declined, as a word for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_code: Option<String>,
    /// Why it was declined, for the payer.
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// A user as far as paying goes.
#[derive(Serialize, ToSchema)]
pub(crate) struct CustomerView {
    customer_id: Uuid,
    user_id: Uuid,
    opened_at: DateTime<Utc>,
}

/// What user-service says of the payer.
#[derive(Deserialize)]
struct Payer {
    status: String,
}

impl From<Payment> for PaymentView {
    fn from(payment: Payment) -> Self {
        let status = payment.status.as_str().to_owned();
        let (decline_code, decline_message) = match payment.status {
            Status::RequiresPaymentMethod { code, message } => (Some(code), Some(message)),
            Status::Processing | Status::Succeeded | Status::Other(_) => (None, None),
        };
        Self {
            payment_id: payment.id.as_uuid(),
            user_id: payment.user_id.as_uuid(),
            amount: payment.money.minor(),
            currency: payment.money.currency().as_str(),
            status,
            decline_code,
            decline_message,
            description: payment.description.map(|text| text.as_str().to_owned()),
            created_at: payment.created_at,
            updated_at: payment.updated_at,
        }
    }
}

/// Pays. Asked again with the same Idempotency-Key it answers the same, to the byte, and charges
/// nothing. A decline is a state of the payment, not an error.
#[utoipa::path(post, path = "/api/payments", tag = "payments", request_body = NewPayment,
    params(
        ("idempotency-key" = String, Header,
            description = "1 to 255 characters, kept for 24 hours once the payment is settled"),
        ("prefer" = Option<String>, Header, description = "`wait=N`: seconds to wait for the \
            outcome, 5 when not given. What is granted, Preference-Applied says: no more than the \
            time limit of a request leaves"),
    ),
    security(("bearer" = [])), responses(
    (status = 201, body = PaymentView, headers(
        ("location" = String),
        ("idempotent-replayed" = String, description = "`true` when the key was used before"),
        ("preference-applied" = String, description = "`wait=N`, when that was asked for"),
    )),
    (status = 400, body = Problem, description = "No Idempotency-Key"),
    (status = 409, body = Problem, description = "The same key is in flight"),
    (status = 422, body = Problem, description = "A field, the payer, or the key's reuse is refused"),
    (status = 503, body = Problem, description = "The payer cannot be checked; nothing was charged"),
))]
#[expect(clippy::too_many_arguments, reason = "each is a part of the request or the state")]
pub(crate) async fn pay(
    caller: User,
    IdempotencyKey(key): IdempotencyKey,
    wait: Wait,
    State(store): State<Store>,
    State(users): State<ServiceClient>,
    State(settings): State<IdempotencySettings>,
    State(clock): State<Clock>,
    context: RequestContext,
    Json(new): Json<NewPayment>,
) -> Result<Response, Error> {
    let user_id = UserId::from_uuid(caller.id);
    let now = clock.now();
    let payment = new.check(PaymentId::from_uuid(clock.new_id()), user_id, now)?;
    let fingerprint = new.fingerprint()?;
    let claim = Claim { user_id, key, fingerprint, expiration: settings.expiration };
    let kept = if let Some(kept) = store.kept(&claim).await? {
        kept
    } else {
        let call = Call::new("get_user").within(PAYER_TIMEOUT).passing_on(&context);
        // Payments are what all of this is for: where user-service is full, others are refused first.
        let call = call.criticality(Criticality::Critical);
        check_payer(&users, user_id, call).await?;
        store.create(&claim, &payment).await?
    };
    let left = context.deadline.remaining().unwrap_or_default().saturating_sub(ANSWER_TIME);
    let granted = wait.within(left);
    let mut answer = answer(&store, &claim, kept, granted.time).await?;
    answer.headers_mut().extend(granted.header());
    Ok(answer)
}

impl NewPayment {
    fn check(
        &self,
        id: PaymentId,
        user: UserId,
        now: DateTime<Utc>,
    ) -> Result<Payment, Vec<DomainError>> {
        let currency = Currency::parse(&self.currency);
        let money = currency.and_then(|currency| Money::new(self.amount, currency));
        let method = PaymentMethod::parse(&self.payment_method);
        let description = self.description.as_deref().map(Description::parse).transpose();
        let (money, method, description) = (money, method, description).collect_errors()?;
        Ok(Payment::new(id, user, money, method, description, now))
    }

    /// Of the request's meaning, not of its bytes: spaces and the order of fields make no other.
    fn fingerprint(&self) -> serde_json::Result<[u8; 32]> {
        let canonical = (&self.amount, &self.currency, &self.payment_method, &self.description);
        Ok(Sha256::digest(serde_json::to_vec(&canonical)?).into())
    }
}

/// Goes on only when user-service says that the user is active.
async fn check_payer(users: &ServiceClient, id: UserId, call: Call) -> Result<(), Error> {
    match users.get::<Payer>(&format!("/api/users/{id}"), call).await {
        Ok(payer) if payer.status == "active" => Ok(()),
        Ok(_) => Err(Error::PayerNotActive),
        Err(error) if matches!(error.kind, Kind::NotFound) => Err(Error::PayerNotActive),
        Err(error) => Err(Error::PayerUnknown(error)),
    }
}

/// The answer that is kept under the key; made from the state reached within `wait` when there is
/// none yet, as after a crash between commit and answer.
async fn answer(
    store: &Store,
    claim: &Claim,
    kept: Kept,
    wait: Duration,
) -> Result<Response, Error> {
    let body = if let Some(body) = kept.answer {
        body
    } else {
        let payment = settled_within(store, kept.payment_id, wait).await?;
        let view = serde_json::to_string(&PaymentView::from(payment))?;
        store.keep_answer(claim, kept.payment_id, view).await?
    };
    let location = format!("/api/payments/{}", kept.payment_id);
    let json = "application/json".to_owned();
    let headers = [(header::LOCATION, location), (header::CONTENT_TYPE, json)];
    let mut response = (StatusCode::CREATED, headers, body).into_response();
    if kept.replayed {
        let replayed = HeaderValue::from_static("true");
        response.headers_mut().insert("idempotent-replayed", replayed);
    }
    Ok(response)
}

/// The payment once it is settled, or as it stands when the wait is over.
async fn settled_within(store: &Store, id: PaymentId, wait: Duration) -> Result<Payment, Error> {
    let until = Instant::now() + wait;
    loop {
        let waiter = store.wait_for(id);
        let payment = store.payment(id).await?;
        if payment.is_settled() || Instant::now() >= until {
            return Ok(payment);
        }
        tokio::select! {
            settled = store.settled(waiter) => settled?,
            () = tokio::time::sleep_until(until) => {}
        }
    }
}

/// The caller's payments, newest first; an administrator sees all.
#[utoipa::path(get, path = "/api/payments", tag = "payments", params(PageQuery),
    security(("bearer" = [])), responses(
    (status = 200, body = Page<PaymentView>),
    (status = 401, body = Problem),
))]
pub(crate) async fn list(
    caller: User,
    State(store): State<Store>,
    Query(page): Query<PageQuery>,
) -> Result<Json<Page<PaymentView>>, Problem> {
    let of = (!caller.is_admin()).then(|| UserId::from_uuid(caller.id));
    let payments = store.payments(of, page.check()?).await?;
    Ok(Json(payments.map(PaymentView::from)))
}

/// One of the caller's payments; an administrator may ask for any.
#[utoipa::path(get, path = "/api/payments/{id}", tag = "payments", params(("id" = Uuid, Path)),
    security(("bearer" = [])), responses(
    (status = 200, body = PaymentView),
    (status = 404, body = Problem, description = "None, or not the caller's to see"),
))]
pub(crate) async fn show(
    caller: Caller,
    State(store): State<Store>,
    Path(id): Path<Uuid>,
) -> Result<Json<PaymentView>, Error> {
    let payment = store.payment(PaymentId::from_uuid(id)).await?;
    if !caller.may_see(payment.user_id.as_uuid()) {
        return Err(DomainError::NotFound.into());
    }
    Ok(Json(payment.into()))
}

/// The caller's customer, once the registration has arrived.
#[utoipa::path(get, path = "/api/payments/customer", tag = "payments", security(("bearer" = [])),
    responses(
    (status = 200, body = CustomerView),
    (status = 404, body = Problem, description = "Not opened yet, or closed"),
))]
pub(crate) async fn customer(
    caller: User,
    State(store): State<Store>,
) -> Result<Json<CustomerView>, Problem> {
    let customer = store.customer(UserId::from_uuid(caller.id)).await?;
    let open = customer.filter(|customer| customer.closed_at.is_none());
    let customer = open.ok_or_else(|| Problem::not_found("there is no open customer"))?;
    Ok(Json(CustomerView {
        customer_id: customer.id,
        user_id: customer.user_id.as_uuid(),
        opened_at: customer.opened_at,
    }))
}
