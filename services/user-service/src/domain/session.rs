//! A session: one line of refresh tokens, and what it means that one of them is presented.
//!
//! ```text
//! generation     1          2              3
//!               R1 ──────▶ R2  ─────────▶ R4       R1 again within 30 s, R2 not used yet: R3, as R2
//!                 └──────▶ R3                      may be lost; R1 later, or once R4 is there: the
//!                                                  session ends; R2 or R3 once R4 is there: too
//! ```
//!
//! Each exchange begins a generation. A used token that comes back is in two hands, one of them perhaps
//! a thief's, who may have been the one that exchanged it: the session ends for both (RFC 9700, section
//! 4.14.2). A client whose answer was lost, or that asked twice at once, presents a token whose
//! successor nobody has used: shortly after the exchange it gets another successor, since of the first
//! one nothing but a hash is kept. Both successors are good until one is used, and then the other one
//! counts as used too, so that a thief who was as quick as that is noticed at the next exchange.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// How long after an exchange the same token may be exchanged again; longer than a client waits
/// for an answer.
const REPEAT_WINDOW: Duration = Duration::from_secs(30);

/// Longest text about a device, in characters.
const DEVICE_CHARS_MAX: usize = 200;

/// What a client says of itself (`User-Agent`), fit to be shown: printable ASCII alone, since whatever
/// else it may send could turn or hide what stands around it; 200 characters at most.
pub fn device(user_agent: &[u8]) -> String {
    let shown = user_agent.iter().filter(|byte| matches!(byte, b' '..=b'~'));
    let text: String = shown.map(|byte| char::from(*byte)).take(DEVICE_CHARS_MAX).collect();
    text.trim().to_owned()
}

/// Where a session's line of tokens stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Counts the exchanges, from 1. The tokens of this generation are not used yet.
    pub generation: i64,
    /// When the generation began; none before the first exchange.
    pub rotated_at: Option<DateTime<Utc>>,
}

/// A token that is presented, as its session knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// The generation that it belongs to.
    pub generation: i64,
    /// Whether its exchange began the session's current generation.
    pub is_parent: bool,
}

/// What it means that a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// It is exchanged for the first token of the next generation.
    Rotated,
    /// It is exchanged again, for another token of the current generation.
    Repeated,
    /// It is refused and the session ends: its successor was used, or its time for repeating is over.
    Reused,
}

impl Session {
    /// Decides what a token that is presented is good for.
    pub fn present(self, token: Presented, now: DateTime<Utc>) -> Refresh {
        let is_recent = self.rotated_at.is_some_and(|rotated_at| now <= rotated_at + REPEAT_WINDOW);
        if token.generation == self.generation {
            Refresh::Rotated
        } else if token.is_parent && is_recent {
            Refresh::Repeated
        } else {
            Refresh::Reused
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn the_parent_of_unused_tokens_may_be_repeated_for_thirty_seconds() {
        let session = Session { generation: 5, rotated_at: Some(at(100)) };
        let token = |generation, is_parent| Presented { generation, is_parent };
        for (token, second, expected) in [
            (token(5, false), 100, Refresh::Rotated),
            (token(5, false), 9_999, Refresh::Rotated),
            (token(4, true), 100, Refresh::Repeated),
            (token(4, true), 130, Refresh::Repeated),
            (token(4, true), 131, Refresh::Reused),
            (token(4, false), 100, Refresh::Reused),
            (token(3, false), 100, Refresh::Reused),
        ] {
            assert_eq!(session.present(token, at(second)), expected, "{token:?} at {second}");
        }
    }

    #[test]
    fn a_device_is_one_short_line_of_printable_characters() {
        assert_eq!(device(b" Firefox/140 (X11; Linux) "), "Firefox/140 (X11; Linux)");
        assert_eq!(device("a\u{202e}b\0\r\nc\u{e9}".as_bytes()), "abc");
        assert_eq!(device(&[b'x'; 5_000]).len(), 200);
        assert_eq!(device(b""), "");
    }

    proptest! {
        /// Two hold the first token, and each goes on with what it was given last.
        #[test]
        fn of_two_holders_of_one_token_only_one_is_served_twice(
            steps in prop::collection::vec((0_usize..2, 0_i64..60), 1..60),
        ) {
            let mut session = Session { generation: 1, rotated_at: None };
            // The generations of all tokens, the token that was exchanged last, and each one's own.
            let mut tokens = vec![1];
            let mut parent = None;
            let mut last = [0, 0];
            let mut served = [0, 0];
            let mut now = 0;
            for (who, delay) in steps {
                now += delay;
                let is_parent = parent == Some(last[who]);
                let token = Presented { generation: tokens[last[who]], is_parent };
                match session.present(token, at(now)) {
                    Refresh::Rotated => {
                        parent = Some(last[who]);
                        let generation = session.generation + 1;
                        session = Session { generation, rotated_at: Some(at(now)) };
                    }
                    Refresh::Repeated => {}
                    Refresh::Reused => break,
                }
                last[who] = tokens.len();
                tokens.push(session.generation);
                served[who] += 1;
                prop_assert!(served[0] < 2 || served[1] < 2, "{served:?}");
            }
        }

        /// Three hold tokens of one session: they refresh, lose the answer, or steal what another has.
        #[test]
        fn in_whatever_order_tokens_are_used_lost_and_stolen_one_branch_is_alive(
            steps in prop::collection::vec((0_usize..3, 0_usize..3, 0_u8..3, 0_i64..60), 1..80),
        ) {
            let mut session = Session { generation: 1, rotated_at: None };
            // Each token's generation and the token that it was given for; the token that was exchanged last.
            let mut tokens = vec![(1, None)];
            let mut parent = None;
            let (mut last, mut now) = ([0; 3], 0);
            for (who, other, what, delay) in steps {
                now += delay;
                if what == 0 {
                    last[who] = last[other];
                    continue;
                }
                let generation = tokens[last[who]].0;
                let is_parent = parent == Some(last[who]);
                match session.present(Presented { generation, is_parent }, at(now)) {
                    Refresh::Rotated => {
                        parent = Some(last[who]);
                        let generation = session.generation + 1;
                        session = Session { generation, rotated_at: Some(at(now)) };
                    }
                    Refresh::Repeated => {}
                    // The session is gone, and all its tokens with it.
                    Refresh::Reused => break,
                }
                tokens.push((session.generation, Some(last[who])));
                if what == 1 {
                    last[who] = tokens.len() - 1;
                }
                for (token, &(generation, given_for)) in tokens.iter().enumerate() {
                    let is_parent = parent == Some(token);
                    let presented = Presented { generation, is_parent };
                    let is_alive = matches!(
                        session.present(presented, at(now)),
                        Refresh::Rotated | Refresh::Repeated
                    );
                    // What is good is the last token that was exchanged, and what was given for it.
                    prop_assert!(!is_alive || is_parent || given_for == parent, "{token} of {tokens:?}");
                }
            }
        }
    }
}
