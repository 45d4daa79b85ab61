impl Events {
    /// Notes `other.heard`, once.
    async fn other_heard(self, heard: Delivery<OtherHeard>) -> Result<(), Error> {
        self.store.other_heard(&heard.inbox_key(), &heard.data).await
    }
}
