//! A fault: what goes wrong, with whom, and until when.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// The target of faults of the payment provider's answers, as against those of the way to it.
pub const PROVIDER: &str = "provider";

/// The reasons of issuers by which the simulator declines cards, in the provider's words; the first says
/// nothing more.
pub const DECLINE_CODES: [&str; 8] = [
    "generic_decline",
    "insufficient_funds",
    "lost_card",
    "stolen_card",
    "card_velocity_exceeded",
    "expired_card",
    "incorrect_cvc",
    "processing_error",
];

/// All that goes wrong; at most one fault of each target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Faults {
    /// In the order in which they began.
    pub faults: Vec<Fault>,
}

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// A server, a service, the simulator, or [`PROVIDER`].
    pub target: String,
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// When it began, in milliseconds since 1970.
    pub since_ms: u64,
    /// When it ends by itself; not before somebody ends it when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum FaultKind {
    /// Nothing is answered, and nothing is closed.
    Freeze {
        /// The process that stands still (SIGSTOP); without one, its wire does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        process: Option<FrozenProcess>,
    },
    /// Every byte takes so much longer each way; of [`PROVIDER`], every answer does.
    Slow {
        /// Milliseconds.
        by_ms: u64,
    },
    /// Connections are closed, and new ones refused.
    Cut,
    /// Every card is declined.
    Decline {
        /// The issuer's reason in the provider's words, such as `insufficient_funds`.
        code: String,
    },
    /// Every call is answered with this status, and nothing is done.
    Fail {
        /// 500 to 599.
        status: u16,
    },
}

/// A process, told from a later one with the same id by its start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenProcess {
    /// Its id.
    pub pid: u32,
    /// In a unit that only the system knows.
    pub started: u64,
}

impl Faults {
    /// The fault of a target, while it lasts.
    pub fn of(&self, target: &str, now_ms: u64) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.target == target && fault.lasts(now_ms))
    }

    /// Adds a fault in the place of the one that its target has, and gives that.
    pub fn put(&mut self, fault: Fault) -> Option<Fault> {
        let before = self.take(&fault.target);
        self.faults.push(fault);
        before
    }

    /// Takes the fault of a target away.
    pub fn take(&mut self, target: &str) -> Option<Fault> {
        let place = self.faults.iter().position(|fault| fault.target == target)?;
        Some(self.faults.remove(place))
    }
}

impl Fault {
    /// Whether its end has not come.
    pub fn lasts(&self, now_ms: u64) -> bool {
        self.until_ms.is_none_or(|until| now_ms < until)
    }

    /// The process that stands still by it.
    pub fn process(&self) -> Option<FrozenProcess> {
        match self.kind {
            FaultKind::Freeze { process } => process,
            _ => None,
        }
    }
}

/// What the target is: `frozen`, `slow by 300 ms`.
impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Freeze { .. } => f.write_str("frozen"),
            Self::Slow { by_ms } => write!(f, "slow by {by_ms} ms"),
            Self::Cut => f.write_str("cut"),
            Self::Decline { code } => write!(f, "declining every card ({code})"),
            Self::Fail { status } => write!(f, "answering every call with {status}"),
        }
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fault(target: &str, kind: FaultKind, until_ms: Option<u64>) -> Fault {
        Fault { target: target.to_owned(), kind, since_ms: 1, until_ms }
    }

    #[test]
    fn every_kind_is_read_back_as_it_was_written() {
        let process = Some(FrozenProcess { pid: 7, started: u64::MAX });
        for kind in [
            FaultKind::Freeze { process },
            FaultKind::Freeze { process: None },
            FaultKind::Slow { by_ms: 300 },
            FaultKind::Cut,
            FaultKind::Decline { code: "lost_card".to_owned() },
            FaultKind::Fail { status: 503 },
        ] {
            let written = Faults { faults: vec![fault("redis", kind, Some(9))] };
            let text = serde_json::to_string(&written).unwrap();
            assert_eq!(serde_json::from_str::<Faults>(&text).unwrap(), written, "{text}");
        }
    }

    #[test]
    fn a_target_has_one_fault_until_its_end() {
        let mut faults = Faults::default();
        assert_eq!(faults.put(fault("redis", FaultKind::Cut, None)), None);
        let slow = fault("redis", FaultKind::Slow { by_ms: 1 }, Some(10));
        assert_eq!(faults.put(slow.clone()).unwrap().kind, FaultKind::Cut);
        assert_eq!(faults.of("redis", 9), Some(&slow));
        assert_eq!(faults.of("redis", 10), None);
        assert_eq!(faults.of("postgres", 9), None);
        assert_eq!(faults.take("redis"), Some(slow));
        assert_eq!(faults, Faults::default());
    }
}
