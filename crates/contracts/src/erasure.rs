//! What every service that reads `user.deleted` answers, on `erasure_exchange`.
//!
//! It is one contract for all of them, where else an event has one publisher: user-service waits for whoever
//! `[subscriptions]` names as a reader, also for a service that it was not built with. Whose word it is says
//! `service` in the envelope, which the outbox writes.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Event, UserId};

/// `erasure.confirmed`: the publishing service has erased what it knew of a deleted user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErasureConfirmed {
    /// Of whom.
    pub user_id: UserId,
}

impl Event for ErasureConfirmed {
    const TYPE: &'static str = "erasure.confirmed";
    const EXCHANGE: &'static str = "erasure_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.user_id.as_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{USER, assert_golden};

    #[test]
    fn erasure_confirmed() {
        assert_golden("payment-service", ErasureConfirmed { user_id: USER });
    }
}
