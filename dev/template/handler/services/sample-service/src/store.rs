impl Store {
    /// Notes `other.heard`; a message seen before changes nothing.
    pub(crate) async fn other_heard(
        &self,
        message: &InboxKey,
        heard: &OtherHeard,
    ) -> Result<(), Error> {
        self.database.transaction(|tx| other_heard(tx, message, heard).scope_boxed()).await
    }
}

/// What follows from `other.heard`, in the transaction that notes the message.
async fn other_heard(
    tx: &mut PgConnection,
    message: &InboxKey,
    heard: &OtherHeard,
) -> Result<(), Error> {
    if !message.claim(tx).await? {
        return Ok(());
    }
    // What is written here is written once, however often the message comes.
    let id = contracts::Event::aggregate_id(heard);
    tracing::info!(%id, "nothing follows from `other.heard` yet");
    Ok(())
}
