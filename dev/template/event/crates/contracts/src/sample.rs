/// `sample.occurred`: this happened to one sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SampleOccurred {
    /// Which sample.
    pub sample_id: SampleId,
    // template: if owned
    /// Whose it is.
    pub user_id: UserId,
    // template: end
}

impl Event for SampleOccurred {
    const TYPE: &'static str = "sample.occurred";
    // Until a service acts on it; then the outbox is to keep it for that one.
    const MANDATORY: bool = false;
    const EXCHANGE: &'static str = "sample_exchange";

    fn aggregate_id(&self) -> Uuid {
        self.sample_id.as_uuid()
    }
}

mod tests {
    #[test]
    fn sample_occurred() {
        // template: if owned
        let sample_id = SampleId::from_uuid(id(9));
        // template: end
        assert_golden("sample-service", SampleOccurred { sample_id, user_id: USER });
    }
}
