//! What sample-service publishes, on `sample_exchange`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Event, UserId, id};

id! {
    /// What sample-service names each sample with.
    SampleId
}

/// `sample.created`: somebody made one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SampleCreated {
    /// Which sample.
    pub sample_id: SampleId,
    /// Whose it is.
    pub user_id: UserId,
}

impl Event for SampleCreated {
    const TYPE: &'static str = "sample.created";
    // Until a service acts on it; then the outbox is to keep it for that one.
    const MANDATORY: bool = false;
    const EXCHANGE: &'static str = "sample_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.sample_id.as_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{USER, assert_golden, id};

    #[test]
    fn sample_created() {
        let sample_id = SampleId::from_uuid(id(9));
        assert_golden("sample-service", SampleCreated { sample_id, user_id: USER });
    }
}
