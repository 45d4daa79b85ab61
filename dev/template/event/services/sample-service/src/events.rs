use contracts::sample::SampleOccurred;

pub(crate) async fn enqueue() {
    for event in events {
        match event {
            Event::Occurred => {
                outbox.enqueue(tx, id, at, &SampleOccurred { sample_id, user_id }).await?;
            }
        }
    }
}
