//! A channel that publishes and knows what became of it.
//!
//! Confirms are matched to publishes by their number on the channel, returned messages by their id.
//! Both hold only while one task uses the channel: a publisher belongs to one task at a time
//! (`&mut self`). After a time-out or a broken channel it is thrown away, so that a late confirm or
//! return is never taken for another message's.

mod round;

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, PublisherConfirm};
use tokio::time::{Instant, timeout_at};

use round::{Answer, Id};

/// A message to publish.
pub(crate) struct Message<'a> {
    pub(crate) exchange: ShortString,
    pub(crate) routing_key: ShortString,
    pub(crate) body: &'a [u8],
    pub(crate) properties: BasicProperties,
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The broker has it, in every queue it belongs to.
    Confirmed,
    /// No queue is bound for it: the broker gave it back.
    Unroutable,
    /// The broker could not take it.
    Refused,
    /// No answer: it may have arrived or not. The publisher is of no further use.
    Unknown(lapin::Result<()>),
}

/// A channel in confirm mode, used by one task at a time.
pub(crate) struct Publisher {
    channel: Channel,
    confirm_timeout: Duration,
    /// Cleared by the first message without an answer.
    usable: bool,
}

impl Publisher {
    /// Puts a fresh channel into confirm mode.
    pub(crate) async fn new(channel: Channel, confirm_timeout: Duration) -> lapin::Result<Self> {
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { channel, confirm_timeout, usable: true })
    }

    /// The channel, to declare what is published to.
    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.usable && self.channel.status().connected()
    }

    /// Publishes one message and waits for what becomes of it.
    pub(crate) async fn publish(&mut self, message: Message<'_>) -> Outcome {
        let mut outcomes = self.publish_all(vec![message]).await;
        outcomes.pop().unwrap_or(Outcome::Unknown(Ok(())))
    }

    /// Publishes all messages without waiting in between, then waits for what becomes of each;
    /// the answer is in their order. Only messages with an id that was there before, or one more
    /// without an id, wait for those before them: nothing else tells two returned messages apart.
    pub(crate) async fn publish_all(&mut self, mut messages: Vec<Message<'_>>) -> Vec<Outcome> {
        let deadline = Instant::now() + self.confirm_timeout;
        let mut outcomes = Vec::with_capacity(messages.len());
        while !messages.is_empty() && self.usable {
            let later = messages.split_off(round::length(&messages));
            outcomes.extend(self.publish_round(messages, deadline).await);
            messages = later;
        }
        // Never sent.
        outcomes.extend(messages.iter().map(|_| Outcome::Unknown(Ok(()))));
        outcomes
    }

    /// Publishes messages of different ids.
    async fn publish_round(
        &mut self,
        messages: Vec<Message<'_>>,
        deadline: Instant,
    ) -> Vec<Outcome> {
        let ids: Vec<Id> = messages.iter().map(Message::id).collect();
        let mut answers: Vec<Answer> = ids.iter().map(|_| Answer::Missing(Ok(()))).collect();
        let sends = messages.into_iter().map(|message| send(&self.channel, message));
        if let Ok(sent) = timeout_at(deadline, join_all(sends)).await {
            let mut confirms: FuturesUnordered<_> = sent
                .into_iter()
                .enumerate()
                .map(async |(index, sent)| (index, answer_to(sent).await))
                .collect();
            // What is there is taken before the time is looked at: also at the deadline, no confirm
            // that came before another one is left out.
            while let Ok(Some((index, answer))) = timeout_at(deadline, confirms.next()).await {
                answers[index] = answer;
            }
        }
        let outcomes = round::outcomes(&ids, answers);
        self.usable &= !outcomes.iter().any(|outcome| matches!(outcome, Outcome::Unknown(_)));
        outcomes
    }
}

impl Message<'_> {
    fn id(&self) -> Id {
        self.properties.message_id().clone()
    }
}

impl Outcome {
    /// Whether the broker closed the channel over what was published: too large, or to an exchange
    /// that is not there. The connection lives on.
    pub(crate) fn is_channel_error(&self) -> bool {
        matches!(self, Self::Unknown(Err(error)) if error.is_amqp_soft_error())
    }
}

async fn send(channel: &Channel, message: Message<'_>) -> lapin::Result<PublisherConfirm> {
    // Mandatory: what no queue is bound for comes back instead of being dropped.
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let Message { exchange, routing_key, body, properties } = message;
    channel.basic_publish(exchange, routing_key, options, body, properties).await
}

async fn answer_to(sent: lapin::Result<PublisherConfirm>) -> Answer {
    match sent {
        Ok(confirm) => confirm.await.into(),
        Err(error) => Answer::Missing(Err(error)),
    }
}
