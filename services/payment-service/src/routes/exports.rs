//! `/api/payments/exports`: what the service knows of a user. user-service asks for it, for the user.

use axum::extract::State;
use chassis::Problem;
use chassis::extract::{Json, Path, Query};
use chassis::page::PageQuery;
use chrono::{DateTime, Utc};
use contracts::UserId;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::payments::PaymentView;
use crate::domain::{Customer, Payment};
use crate::store::Store;

/// What the service knows of a user, a page of payments at a time.
#[derive(Serialize, ToSchema)]
pub(crate) struct PaymentExport {
    /// Absent for a user of whom no event has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<ExportedCustomer>,
    /// Newest first.
    items: Vec<ExportedPayment>,
    /// Give it as `cursor` to get the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<Uuid>,
}

/// The user as far as paying goes.
#[derive(Serialize, ToSchema)]
struct ExportedCustomer {
    customer_id: Uuid,
    opened_at: DateTime<Utc>,
    /// When the user was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<DateTime<Utc>>,
}

/// A payment, and what only the payer and the provider are told of it.
#[derive(Serialize, ToSchema)]
struct ExportedPayment {
    #[serde(flatten)]
    payment: PaymentView,
    /// The provider's token of the payment method.
    payment_method: String,
    /// The provider's name for the payment, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_id: Option<String>,
}

impl From<Customer> for ExportedCustomer {
    fn from(customer: Customer) -> Self {
        let Customer { id: customer_id, user_id: _, opened_at, closed_at } = customer;
        Self { customer_id, opened_at, closed_at }
    }
}

impl From<Payment> for ExportedPayment {
    fn from(payment: Payment) -> Self {
        let payment_method = payment.method.as_str().to_owned();
        let provider_id = payment.provider_id.clone();
        Self { payment: payment.into(), payment_method, provider_id }
    }
}

/// What the service knows of a user, payments newest first. For user-service, which shows it to the user.
#[utoipa::path(get, path = "/api/payments/exports/{user_id}", operation_id = "export_payments",
    tag = "exports", params(("user_id" = Uuid, Path), PageQuery), security(("bearer" = [])),
    responses(
    (status = 200, body = PaymentExport),
    (status = 403, body = Problem, description = "Not user-service"),
))]
pub(crate) async fn export(
    State(store): State<Store>,
    Path(user): Path<Uuid>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PaymentExport>, Problem> {
    let user = UserId::from_uuid(user);
    let page = page.check()?;
    let customer = store.customer(user).await?.map(ExportedCustomer::from);
    let payments = store.payments(Some(user), page).await?.map(ExportedPayment::from);
    let items = payments.items;
    let next_cursor = payments.next_cursor;
    Ok(Json(PaymentExport { customer, items, next_cursor }))
}
