//! A customer: a user as far as paying goes.

use chrono::{DateTime, Utc};
use contracts::UserId;
use uuid::Uuid;

/// Opened by `user.created`, closed by `user.deleted`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Customer {
    /// Its id.
    pub id: Uuid,
    /// The user.
    pub user_id: UserId,
    /// When it was opened.
    pub opened_at: DateTime<Utc>,
    /// When it was closed, if it was.
    pub closed_at: Option<DateTime<Utc>>,
}

impl Customer {
    /// The customer after the user registered. One that is there already, closed or not, stays.
    #[must_use]
    pub fn opened(before: Option<Self>, id: Uuid, user_id: UserId, at: DateTime<Utc>) -> Self {
        before.unwrap_or(Self { id, user_id, opened_at: at, closed_at: None })
    }

    /// The customer after the user was deleted. One that was never opened is closed all the same,
    /// so that a registration that is delivered late opens nothing.
    #[must_use]
    pub fn closed(before: Option<Self>, id: Uuid, user_id: UserId, at: DateTime<Utc>) -> Self {
        let mut customer = Self::opened(before, id, user_id, at);
        customer.closed_at.get_or_insert(at);
        customer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_customer_stays_closed_whatever_comes_late() {
        let user = UserId::from_uuid(Uuid::nil());
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let closed = Customer::closed(None, Uuid::nil(), user, at(1));
        let late = Customer::opened(Some(closed.clone()), Uuid::max(), user, at(2));
        assert_eq!(late, closed);
        let again = Customer::closed(Some(late), Uuid::max(), user, at(3));
        assert_eq!(again, closed);
    }
}
