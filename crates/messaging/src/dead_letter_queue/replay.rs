//! Puts dead letters back into their queue, the oldest first, and none whose effect may be forgotten.

use chrono::{DateTime, Utc};
use lapin::message::Delivery as Raw;

use crate::dead_letter_queue::dead_letter::{self, Filter};
use crate::dead_letter_queue::oldest::Oldest;
use crate::dead_letter_queue::scan::Scan;
use crate::dead_letter_queue::{DeadLetterError, Replayed};
use crate::publisher::{Message, PublishOutcome, Publisher, Refusal};
use crate::settings::ConsumerSettings;

/// Bytes of messages that one replay holds; one message is replayed however large it is.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a replay does with messages that the [inbox](crate::inbox) may have forgotten: their effect,
/// if there was one before they were dead-lettered, would happen a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeyondInboxRetention {
    /// Leaves them in the dead-letter queue, and counts them.
    Leave,
    /// Replays them as all others: the caller knows that they had no effect, or that two do no harm.
    Replay,
}

/// What one replay is about.
pub(super) struct Replay<'a> {
    pub(super) queue: &'a str,
    pub(super) filter: &'a Filter,
    pub(super) limit: usize,
    /// Messages whose first attempt failed before this time stay; none stays for its age when empty.
    pub(super) oldest: Option<DateTime<Utc>>,
}

/// Since when a message must have failed for the first time, so that the inbox remembers its effect
/// until all attempts of its replay are over.
pub(super) fn remembered_since(consumer: &ConsumerSettings) -> DateTime<Utc> {
    let remembered = consumer.inbox_retention.saturating_sub(consumer.attempts_take_max());
    let remembered = chrono::Duration::from_std(remembered).unwrap_or(chrono::Duration::MAX);
    now().checked_sub_signed(remembered).unwrap_or(DateTime::UNIX_EPOCH)
}

impl Replay<'_> {
    /// Reads the whole dead-letter queue before it acts: the oldest may come last.
    pub(super) async fn run(
        &self,
        scan: &mut Scan,
        publisher: &Publisher,
    ) -> Result<Replayed, DeadLetterError> {
        let (chosen, beyond_inbox_retention) = self.choose(scan).await?;
        scan.stop_reading().await?;
        let is_cut = chosen.is_cut_by_bytes();
        let (mut replayed, mut stopped) = (0, None);
        for raw in chosen.into_values() {
            stopped = self.put_back(scan, publisher, &raw).await.err();
            if stopped.is_some() {
                break;
            }
            replayed += 1;
        }
        let more = is_cut.then(|| "one replay holds 16 MiB of messages; repeat it".to_owned());
        let stopped = stopped.map(str::to_owned).or(more).or_else(|| scan.stopped());
        let seen = scan.seen();
        let dead_letters = scan.dead_letters();
        Ok(Replayed { replayed, beyond_inbox_retention, seen, dead_letters, stopped })
    }

    /// The oldest that match and may be replayed; and how many match and may not.
    async fn choose(&self, scan: &mut Scan) -> Result<(Oldest<Raw>, u32), DeadLetterError> {
        let mut chosen = Oldest::new(self.limit, HELD_BYTES_MAX);
        let mut beyond = 0;
        while let Some((dead_letter, raw)) = scan.next_match(self.filter).await? {
            if self.oldest.is_some_and(|oldest| !dead_letter.has_first_failed_since(oldest)) {
                beyond += 1;
            } else {
                chosen.offer(dead_letter.age(&raw), dead_letter::size(&raw), raw);
            }
        }
        Ok((chosen, beyond))
    }

    /// Into its queue first, and out of the dead-letter queue once the broker has confirmed that; the
    /// error says why not.
    async fn put_back(
        &self,
        scan: &mut Scan,
        publisher: &Publisher,
        raw: &Raw,
    ) -> Result<(), &'static str> {
        if !scan.has_time() {
            return Err("one replay takes 8 seconds at most; repeat it");
        }
        let exchange = "".into();
        let routing_key = self.queue.into();
        let body = &raw.data;
        let properties = dead_letter::fresh(raw);
        match publisher.publish(Message { exchange, routing_key, body, properties }).await {
            PublishOutcome::Confirmed => {}
            PublishOutcome::Returned => return Err("the queue is not there"),
            PublishOutcome::Refused(Refusal::Unavailable) => {
                return Err("the broker is not reachable");
            }
            PublishOutcome::Refused(_) => return Err("the queue takes no message"),
            PublishOutcome::Unknown => return Err("the broker did not confirm"),
        }
        // An acknowledgement that is not sent leaves it in both queues, and it is replayed all the same.
        if scan.remove(raw).await { Ok(()) } else { Err("the broker broke off") }
    }
}

/// The headers that it is compared to are of this clock too.
#[expect(clippy::disallowed_methods, reason = "as the times in the headers of dead letters")]
fn now() -> DateTime<Utc> {
    Utc::now()
}
