//! A notification: pending until it is sent or given up.

use std::time::Duration;

use chrono::{DateTime, Utc};
use contracts::{MailTokenId, NotificationId, UserId};

use super::{Content, DomainError, Kind, MailText};

/// The delay after each attempt that failed for now; after the last one it is given up.
const RETRY_DELAYS: [Duration; 6] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(8 * 3600),
];
/// Each delay is longer by up to this share, so that many do not come back in step.
const JITTER: f64 = 0.2;
/// A notification older than this is given up: the news is stale.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// A message to one recipient. The address is not shown by Debug.
#[derive(Clone, PartialEq, Eq)]
pub struct Notification {
    /// Its id; also the Message-ID of the mail.
    pub id: NotificationId,
    /// To whom.
    pub user_id: UserId,
    /// What about.
    pub kind: Kind,
    /// The event's message id, or a caller's key.
    pub source: String,
    /// The address; none once it is settled.
    pub recipient: Option<String>,
    /// The version of the user whose address that is; none when it is not known, or the address is
    /// not the user's own.
    pub recipient_version: Option<i64>,
    /// The rendered message, without its link.
    pub content: Content,
    /// What its link holds.
    pub token: Option<Token>,
    /// Where it stands.
    pub status: Status,
    /// Attempts begun.
    pub attempts: u32,
    /// Counts changes, from 1.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// A token that goes out in a link, by its id; user-service knows it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Its id, of which the token is made.
    pub id: MailTokenId,
    /// When it is no longer good: the mail is of no use then.
    pub expires_at: DateTime<Utc>,
}

/// Where a notification stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// To be sent.
    Pending {
        /// Not before this.
        next_attempt_at: DateTime<Utc>,
    },
    /// The mail server took it.
    Sent {
        /// When.
        at: DateTime<Utc>,
    },
    /// Given up.
    Failed {
        /// Why, without the address.
        reason: String,
    },
    /// What a newer version of the service says of it, in its word. This one shows the word, and decides
    /// nothing.
    Other(String),
}

impl Status {
    /// The word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Sent { .. } => "sent",
            Self::Failed { .. } => "failed",
            Self::Other(word) => word,
        }
    }
}

/// What happened to a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It was sent.
    Sent,
    /// It was given up.
    Failed {
        /// Why.
        reason: String,
        /// Whether the user's address itself is refused.
        permanent: bool,
    },
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The address is refused; any mail to it would be.
    Permanent(String),
    /// The mail is refused, whoever it is for; another attempt would be too.
    Refused(String),
    /// The mail server is away or busy.
    Transient(String),
}

impl Failure {
    /// The kind, as telemetry has it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Permanent(_) => "permanent",
            Self::Refused(_) => "refused",
            Self::Transient(_) => "transient",
        }
    }
}

/// A message to an address, before it is a notification.
#[derive(Clone)]
pub struct Draft {
    /// The address.
    pub email: String,
    /// The version of the user whose address that is, if it is known and the user's own.
    pub version: Option<i64>,
    /// What to say.
    pub message: MailText,
    /// What its link holds, if it has one.
    pub token: Option<Token>,
}

impl Notification {
    /// A new notification, due at once.
    pub fn new(
        id: NotificationId,
        user_id: UserId,
        source: String,
        draft: Draft,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            user_id,
            kind: draft.message.kind(),
            source,
            content: draft.message.render(),
            token: draft.token,
            recipient: Some(draft.email),
            recipient_version: draft.version,
            status: Status::Pending { next_attempt_at: now },
            attempts: 0,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// The mail server took it. Nothing needs the address any more.
    ///
    /// # Errors
    /// [`DomainError::Settled`] when it is settled already.
    pub fn sent(self, now: DateTime<Utc>) -> Result<(Self, Vec<Event>), DomainError> {
        Ok((self.settle(Status::Sent { at: now }, now)?, vec![Event::Sent]))
    }

    /// An attempt failed: again later, or given up. `jitter` from 0 to 1 spreads the delays.
    ///
    /// # Errors
    /// [`DomainError::Settled`] when it is settled already.
    pub fn attempt_failed(
        self,
        failure: Failure,
        jitter: f64,
        now: DateTime<Utc>,
    ) -> Result<(Self, Vec<Event>), DomainError> {
        let own = self.kind.is_to_own_address();
        let (reason, passing, permanent) = match failure {
            Failure::Permanent(reason) => (reason, false, own),
            Failure::Refused(reason) => (reason, false, false),
            Failure::Transient(reason) => (reason, true, false),
        };
        let index = usize::try_from(self.attempts.saturating_sub(1)).unwrap_or(usize::MAX);
        let delay = RETRY_DELAYS.get(index).map(|delay| delay.mul_f64(1.0 + JITTER * jitter));
        let end = self.created_at + AGE_MAX;
        let end = self.token.map_or(end, |token| end.min(token.expires_at));
        let delay = delay.filter(|delay| passing && now + *delay < end);
        if let Some(delay) = delay {
            let mut notification = self.pending()?;
            notification.status = Status::Pending { next_attempt_at: now + delay };
            return Ok((notification.changed_at(now), Vec::new()));
        }
        let failed = self.settle(Status::Failed { reason: reason.clone() }, now)?;
        Ok((failed, vec![Event::Failed { reason, permanent }]))
    }

    /// Whether it came so late that its link is good for nothing.
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        self.token.is_some_and(|token| token.expires_at <= now)
    }

    fn settle(self, status: Status, now: DateTime<Utc>) -> Result<Self, DomainError> {
        let mut notification = self.pending()?;
        notification.status = status;
        notification.recipient = None;
        Ok(notification.changed_at(now))
    }

    fn pending(self) -> Result<Self, DomainError> {
        match self.status {
            Status::Pending { .. } => Ok(self),
            Status::Sent { .. } | Status::Failed { .. } | Status::Other(_) => {
                Err(DomainError::Settled)
            }
        }
    }

    fn changed_at(mut self, now: DateTime<Utc>) -> Self {
        self.version += 1;
        self.updated_at = now;
        self
    }
}

impl std::fmt::Debug for Notification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notification")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("status", &self.status)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn notification() -> Notification {
        let nil = uuid::Uuid::nil();
        let draft = Draft {
            email: "ada@example.com".to_owned(),
            version: Some(1),
            message: MailText::Welcome(None),
            token: None,
        };
        let id = NotificationId::from_uuid(nil);
        let user = UserId::from_uuid(nil);
        Notification::new(id, user, "message-1".to_owned(), draft, at(0))
    }

    #[test]
    fn a_sent_notification_forgets_the_address_and_is_settled_for_good() {
        let (sent, events) = notification().sent(at(1)).unwrap();
        assert_eq!(events, [Event::Sent]);
        assert_eq!((sent.recipient.as_deref(), sent.version), (None, 2));
        assert_eq!(sent.clone().sent(at(2)), Err(DomainError::Settled));
        let late = sent.attempt_failed(Failure::Transient("away".to_owned()), 0.0, at(2));
        assert_eq!(late, Err(DomainError::Settled));
    }

    #[test]
    fn what_is_refused_is_given_up_at_once_and_only_the_users_own_address_is_permanent() {
        let reason = "no".to_owned();
        let address = Failure::Permanent(reason.clone());
        let mail = Failure::Refused(reason.clone());
        let of = |kind| Notification { kind, ..notification() };
        let cases = [
            (notification(), address.clone(), true),
            (of(Kind::PasswordReset), address.clone(), true),
            (notification(), mail, false),
            (of(Kind::EmailChanged), address.clone(), false),
            (of(Kind::EmailChange), address, false),
        ];
        for (notification, failure, permanent) in cases {
            let (failed, events) = notification.attempt_failed(failure, 0.5, at(1)).unwrap();
            assert_eq!(events, [Event::Failed { reason: reason.clone(), permanent }]);
            assert_eq!(failed.status, Status::Failed { reason: reason.clone() });
        }
    }

    #[test]
    fn a_mail_whose_link_is_good_no_longer_is_given_up() {
        let token = Token { id: MailTokenId::from_uuid(uuid::Uuid::nil()), expires_at: at(40) };
        let notification = Notification { token: Some(token), attempts: 1, ..notification() };
        assert!(!notification.is_expired(at(39)) && notification.is_expired(at(40)));
        let failed = |now| {
            let failure = Failure::Transient("away".to_owned());
            notification.clone().attempt_failed(failure, 0.0, at(now)).unwrap().1.len()
        };
        // The next attempt is five seconds later.
        assert_eq!((failed(34), failed(35)), (0, 1));
    }

    proptest! {
        #[test]
        fn a_mail_server_that_stays_away_ends_every_notification_within_its_age(
            jitters in prop::collection::vec(0.0_f64..=1.0, 32),
        ) {
            let mut notification = notification();
            let mut now = at(0);
            let mut ended = 0;
            for jitter in jitters {
                let Status::Pending { next_attempt_at } = notification.status else { break };
                prop_assert!(next_attempt_at >= now && next_attempt_at < at(24 * 3600));
                now = next_attempt_at;
                notification.attempts += 1;
                let failure = Failure::Transient("away".to_owned());
                let (next, events) = notification.attempt_failed(failure, jitter, now).unwrap();
                notification = next;
                ended += events.len();
            }
            prop_assert_eq!(ended, 1);
            prop_assert_eq!(notification.status, Status::Failed { reason: "away".to_owned() });
        }
    }
}
