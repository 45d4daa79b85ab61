//! What became of the publishes of one round, of which the broker says two things: which of them it
//! confirms, by their number, and which of them it returns, by the whole message.
//!
//! A return does not say a number. lapin hands the oldest return that waits to whichever confirm
//! comes next, and the broker confirms messages in another order than it returns them: a confirm's
//! own return may be with another one. So returns are told apart by the id of the message.
//!
//! The broker sends a return before the confirm of the same message. A confirm that came alone
//! therefore says that every return before it is with an earlier confirm; once all confirms are
//! there, so are all returns.

use std::collections::HashSet;

use lapin::message::BasicReturnMessage;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::ShortString;
use lapin::{Confirmation, ErrorKind};

use super::{Message, PublishOutcome, Refusal};

/// A message's id, or that it has none.
pub(super) type Id = Option<ShortString>;

/// What came in answer to one publish.
#[derive(Debug)]
pub(super) enum Answer {
    /// Confirmed; with it the id of a message that was returned, of any publish of the round.
    Acked(Option<Id>),
    /// Not taken, the same with it.
    Nacked(Option<Id>),
    /// Nothing; or that the channel is broken, and by what.
    Missing(Option<lapin::Error>),
}

impl From<lapin::Result<Confirmation>> for Answer {
    fn from(confirmed: lapin::Result<Confirmation>) -> Self {
        let id = |returned: BasicReturnMessage| returned.properties.message_id().clone();
        match confirmed {
            Ok(Confirmation::Ack(returned)) => Self::Acked(returned.map(id)),
            Ok(Confirmation::Nack(returned)) => Self::Nacked(returned.map(id)),
            // Cannot be on a channel in confirm mode; then nothing is known of the message.
            Ok(Confirmation::NotRequested) => Self::Missing(None),
            Err(error) => Self::Missing(Some(error)),
        }
    }
}

/// Why the broker closed the channel, while the connection lives on.
#[derive(Debug, Clone)]
pub(super) struct ChannelError {
    pub(super) text: String,
    /// Whether it is about one message, which is too large, and not about its route, which is not
    /// there or forbidden.
    pub(super) is_of_message: bool,
}

impl Answer {
    pub(super) fn channel_error(&self) -> Option<ChannelError> {
        let Self::Missing(Some(error)) = self else { return None };
        let too_large = AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED);
        match error.kind() {
            ErrorKind::ProtocolError(said) if error.is_amqp_soft_error() => Some(ChannelError {
                text: error.to_string(),
                is_of_message: *said.kind() == too_large,
            }),
            _ => None,
        }
    }
}

/// How many of the first messages may share a round: no two with the same id, and only one without.
pub(super) fn length<'a>(messages: impl IntoIterator<Item = &'a Message<'a>>) -> usize {
    let mut ids = HashSet::new();
    messages.into_iter().take_while(|message| ids.insert(message.id())).count()
}

/// What became of the messages of these ids, from the answers to all of them, in the same order.
pub(super) fn outcomes(ids: &[Id], answers: Vec<Answer>) -> Vec<PublishOutcome> {
    let mut returned = HashSet::new();
    let mut is_complete = true;
    for answer in &answers {
        match answer {
            Answer::Acked(with) | Answer::Nacked(with) => returned.extend(with.clone()),
            Answer::Missing(_) => is_complete = false,
        }
    }
    let known: HashSet<&Id> = ids.iter().collect();
    let is_foreign = returned.iter().any(|id| !known.contains(id));
    if is_foreign {
        tracing::error!("the broker returned a message under an id that was not published");
    }
    ids.iter()
        .zip(answers)
        .map(|(id, answer)| match answer {
            Answer::Missing(_) => PublishOutcome::Unknown,
            Answer::Nacked(_) => PublishOutcome::Refused(Refusal::Nacked),
            // Returned, then acknowledged: the broker did all it could, and nobody has the message.
            Answer::Acked(_) if returned.contains(id) => PublishOutcome::Returned,
            // The return of any message may be the one that is not understood.
            Answer::Acked(_) if is_foreign => PublishOutcome::Unknown,
            // Its confirm brought another one's return: its own may be with one that is missing.
            Answer::Acked(Some(_)) if !is_complete => PublishOutcome::Unknown,
            Answer::Acked(_) => PublishOutcome::Confirmed,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Answer, Id, Message, PublishOutcome, length, outcomes};
    use lapin::BasicProperties;
    use lapin::types::ShortString;

    #[test]
    fn a_return_is_the_messages_whose_id_it_has_whichever_confirm_brings_it() {
        let answers = vec![acked(Some("b")), acked(None), acked(Some("d")), acked(None)];

        let named = named(&["a", "b", "c", "d"], answers);

        assert_eq!(named, ["confirmed", "returned", "confirmed", "returned"]);
    }

    #[test]
    fn a_return_that_comes_with_a_refusal_is_another_messages() {
        let answers = vec![Answer::Nacked(Some(Some(id("b")))), acked(None), acked(None)];

        assert_eq!(named(&["a", "b", "c"], answers), ["refused", "returned", "confirmed"]);
    }

    #[test]
    fn a_confirm_that_brings_another_ones_return_says_nothing_while_a_confirm_is_missing() {
        let answers = vec![
            acked(None),
            acked(Some("c")),
            Answer::Missing(None),
            // Its own return may wait for the confirm that is missing.
            acked(Some("b")),
        ];

        let named = named(&["a", "b", "c", "d"], answers);

        assert_eq!(named, ["confirmed", "returned", "unknown", "unknown"]);
    }

    #[test]
    fn a_return_under_a_foreign_id_leaves_nothing_confirmed() {
        let answers = vec![acked(Some("b")), acked(Some("x")), Answer::Nacked(None), acked(None)];

        let named = named(&["a", "b", "c", "d"], answers);

        assert_eq!(named, ["unknown", "returned", "refused", "unknown"]);
    }

    #[test]
    fn messages_that_share_an_id_or_have_none_are_in_rounds_of_their_own() {
        assert_eq!(length(&messages(&[Some("a"), Some("b"), None])), 3);
        assert_eq!(length(&messages(&[Some("a"), Some("b"), Some("a"), Some("c")])), 2);
        assert_eq!(length(&messages(&[None, None])), 1);
        assert_eq!(length(&messages(&[])), 0);
    }

    fn acked(with: Option<&str>) -> Answer {
        Answer::Acked(with.map(|with| Some(id(with))))
    }

    fn id(id: &str) -> ShortString {
        id.into()
    }

    fn named(ids: &[&str], answers: Vec<Answer>) -> Vec<&'static str> {
        let ids: Vec<Id> = ids.iter().map(|text| Some(id(text))).collect();
        let name = |outcome| match outcome {
            PublishOutcome::Confirmed => "confirmed",
            PublishOutcome::Returned => "returned",
            PublishOutcome::Refused(_) => "refused",
            PublishOutcome::Unknown => "unknown",
        };
        outcomes(&ids, answers).into_iter().map(name).collect()
    }

    fn messages(ids: &[Option<&str>]) -> Vec<Message<'static>> {
        let message = |id: &Option<_>| {
            let properties = BasicProperties::default();
            let properties = match *id {
                Some(id) => properties.with_message_id(ShortString::from(id)),
                None => properties,
            };
            Message { exchange: "".into(), routing_key: "".into(), body: b"", properties }
        };
        ids.iter().map(message).collect()
    }
}
