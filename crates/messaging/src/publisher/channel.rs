//! A channel in confirm mode: the rounds that are published on it, and what they need to be there.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, PublisherConfirm};
use tokio::time::{Instant, timeout_at};

use super::round::{self, Answer, ChannelError, Id};
use super::{Message, PublishOutcome, Refusal, Route};
use crate::broker::Attachment;
use crate::topology::{self, Readers, TopologyError};

/// Bindings said on one channel at most. The client library remembers each of them until the channel
/// ends, so a channel that lives for ever would take ever more memory.
const BINDINGS_MAX: usize = 10_000;

/// Messages that one look after their bindings is for. A binding that somebody deletes while they are on
/// their way is missed by those behind it.
const BOUND_TOGETHER: usize = 500;

/// A channel that one caller at a time publishes on. After a message without an answer it is thrown
/// away, so that a late confirm or return is never taken for another message's.
pub(super) struct PublishChannel {
    channel: Channel,
    /// Exchanges that were declared on it.
    declared: HashSet<String>,
    /// Bindings that were said on it.
    bindings: usize,
    is_usable: bool,
    /// Why the broker closed it, if it was over what was published.
    error: Option<ChannelError>,
}

impl PublishChannel {
    /// Opens one as soon as the broker gives one; none when it breaks off at once.
    pub(super) async fn open(connection: &Attachment) -> Option<Self> {
        let channel = connection.channel().await;
        let confirming = channel.confirm_select(ConfirmSelectOptions::default());
        match topology::answered("confirm.select", confirming).await {
            Ok(()) => Some(Self {
                channel,
                declared: HashSet::new(),
                bindings: 0,
                is_usable: true,
                error: None,
            }),
            Err(error) => {
                tracing::warn!(error = %error, "broker gave no channel to publish on");
                None
            }
        }
    }

    pub(super) fn is_usable(&self) -> bool {
        self.is_usable && self.bindings < BINDINGS_MAX && self.channel.status().connected()
    }

    /// Why the broker closed the channel: over a message that is too large or forbidden, or because
    /// an exchange or queue is not there. The connection lives on.
    pub(super) fn error(&self) -> Option<&ChannelError> {
        self.error.as_ref()
    }

    /// Publishes the messages until `deadline`, those without an answer are unknown. Only messages
    /// with an id that was there before, or one more without an id, wait for those before them:
    /// nothing else tells two returned messages apart.
    pub(super) async fn publish_all(
        &mut self,
        readers: &Readers,
        messages: &[Message<'_>],
        deadline: Instant,
    ) -> Vec<PublishOutcome> {
        let Ok(unusable) = timeout_at(deadline, self.declare(messages)).await else {
            return vec![PublishOutcome::Refused(Refusal::Unavailable); messages.len()];
        };
        let refused = |message: &Message<'_>| {
            let refusal = unusable.get(message.exchange.as_str())?;
            Some(PublishOutcome::Refused(refusal.clone()))
        };
        let mut outcomes: Vec<Option<PublishOutcome>> = messages.iter().map(refused).collect();
        let open: Vec<usize> = (0..messages.len()).filter(|&at| outcomes[at].is_none()).collect();
        let mut left = open.as_slice();
        while !left.is_empty() && self.is_usable {
            let of_round = left.iter().map(|&at| &messages[at]);
            let (round, later) = left.split_at(round::length(of_round));
            let of_round: Vec<&Message<'_>> = round.iter().map(|&at| &messages[at]).collect();
            let answers = self.publish_round(readers, &of_round, deadline).await;
            for (&at, outcome) in round.iter().zip(answers) {
                outcomes[at] = Some(outcome);
            }
            left = later;
        }
        let never_sent = PublishOutcome::Refused(Refusal::Unavailable);
        outcomes.into_iter().map(|outcome| outcome.unwrap_or(never_sent.clone())).collect()
    }

    /// Makes an exchange, its readers' queues and their bindings anew, and waits for the answers.
    pub(super) async fn mend(
        &mut self,
        readers: &Readers,
        (exchange, routing_key): Route<'_>,
    ) -> Result<(), TopologyError> {
        topology::declare_exchange(&self.channel, exchange).await?;
        self.declared.insert(exchange.to_owned());
        readers.mend(&self.channel, exchange, routing_key).await
    }

    /// Declares the exchanges that were not declared on this channel; says which of them cannot be
    /// used for now, and why. The broker closes the channel over the first.
    async fn declare(&mut self, messages: &[Message<'_>]) -> BTreeMap<String, Refusal> {
        let mut unusable = BTreeMap::new();
        let exchanges: BTreeSet<&str> = messages.iter().map(|m| m.exchange.as_str()).collect();
        for exchange in exchanges.into_iter().filter(|name| !name.is_empty()) {
            if self.declared.contains(exchange) {
                continue;
            }
            let refusal = if self.is_usable {
                match topology::declare_exchange(&self.channel, exchange).await {
                    Ok(()) => {
                        self.declared.insert(exchange.to_owned());
                        continue;
                    }
                    Err(error) => {
                        tracing::error!(error = %error, "an exchange cannot be used");
                        self.is_usable = false;
                        Refusal::Route(error.to_string())
                    }
                }
            } else {
                Refusal::Unavailable
            };
            unusable.insert(exchange.to_owned(), refusal);
        }
        unusable
    }

    /// Publishes messages of different ids.
    async fn publish_round(
        &mut self,
        readers: &Readers,
        messages: &[&Message<'_>],
        deadline: Instant,
    ) -> Vec<PublishOutcome> {
        let ids: Vec<Id> = messages.iter().map(|message| message.id()).collect();
        let mut answers: Vec<Answer> = ids.iter().map(|_| Answer::Missing(None)).collect();
        let together = if readers.is_empty() { messages.len().max(1) } else { BOUND_TOGETHER };
        let sending = async {
            let mut sent = Vec::with_capacity(messages.len());
            for part in messages.chunks(together) {
                if !readers.is_empty() {
                    for (exchange, routing_key) in routes(part.iter().copied()) {
                        self.bindings += readers.bind(&self.channel, exchange, routing_key).await;
                    }
                }
                sent.extend(
                    join_all(part.iter().map(|message| send(&self.channel, message))).await,
                );
            }
            sent
        };
        if let Ok(sent) = timeout_at(deadline, sending).await {
            let mut confirms: FuturesUnordered<_> = sent
                .into_iter()
                .enumerate()
                .map(async |(index, sent)| (index, answer_to(sent).await))
                .collect();
            let collecting = async {
                while let Some((index, answer)) = confirms.next().await {
                    answers[index] = answer;
                }
            };
            // What is there is taken before the time is looked at: also at the deadline, no confirm
            // that came before another one is left out.
            let _those_without_an_answer_are_missing = timeout_at(deadline, collecting).await;
        }
        self.error = answers.iter().find_map(Answer::channel_error);
        let outcomes = round::outcomes(&ids, answers);
        self.is_usable &= !outcomes.contains(&PublishOutcome::Unknown);
        outcomes
    }
}

impl Message<'_> {
    pub(super) fn id(&self) -> Id {
        self.properties.message_id().clone()
    }

    pub(super) fn route(&self) -> Route<'_> {
        (self.exchange.as_str(), self.routing_key.as_str())
    }
}

/// The routes of messages, without those that go straight into a queue.
pub(super) fn routes<'m>(
    messages: impl IntoIterator<Item = &'m Message<'m>>,
) -> impl Iterator<Item = Route<'m>> {
    let routes = messages.into_iter().map(Message::route);
    let routes: BTreeSet<_> = routes.filter(|(exchange, _)| !exchange.is_empty()).collect();
    routes.into_iter()
}

async fn send(channel: &Channel, message: &Message<'_>) -> lapin::Result<PublisherConfirm> {
    // Mandatory: what no queue is bound for comes back instead of being dropped.
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let Message { exchange, routing_key, body, properties } = message;
    let exchange = exchange.clone();
    let routing_key = routing_key.clone();
    channel.basic_publish(exchange, routing_key, options, body, properties.clone()).await
}

async fn answer_to(sent: lapin::Result<PublisherConfirm>) -> Answer {
    match sent {
        Ok(confirm) => confirm.await.into(),
        Err(error) => Answer::Missing(Some(error)),
    }
}
