//! Rows as the table has them, and the payments they are.

use chrono::{DateTime, Utc};
use contracts::{PaymentId, UserId};
use uuid::Uuid;

use crate::domain::{Currency, Description, Money, Payment, PaymentMethod, Status};

/// A row of `payments`.
pub(super) struct PaymentRow {
    pub(super) id: Uuid,
    pub(super) user_id: Uuid,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) payment_method: String,
    pub(super) description: Option<String>,
    pub(super) status: String,
    pub(super) decline_code: Option<String>,
    pub(super) decline_message: Option<String>,
    pub(super) provider_id: Option<String>,
    pub(super) attempts: i32,
    pub(super) version: i64,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

/// A row that a newer version of the service has written may have words that this one does not know.
impl From<PaymentRow> for Payment {
    fn from(row: PaymentRow) -> Self {
        let status = match row.status.as_str() {
            "processing" => Status::Processing,
            "succeeded" => Status::Succeeded,
            "requires_payment_method" => Status::RequiresPaymentMethod {
                code: row.decline_code.unwrap_or_default(),
                message: row.decline_message.unwrap_or_default(),
            },
            _ => Status::Other(row.status),
        };
        Self {
            id: PaymentId::from_uuid(row.id),
            user_id: UserId::from_uuid(row.user_id),
            money: Money::from_stored(row.amount, Currency::from_stored(&row.currency)),
            method: PaymentMethod::from_stored(row.payment_method),
            description: row.description.map(Description::from_stored),
            status,
            provider_id: row.provider_id,
            attempts: u32::try_from(row.attempts).unwrap_or_default(),
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
