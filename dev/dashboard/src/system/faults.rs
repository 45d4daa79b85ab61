//! What goes wrong on purpose, as `cargo dev fault` has noted it.

use std::path::Path;

use serde::Deserialize;

/// The name under which faults of the payment provider stand.
pub(crate) const PROVIDER: &str = "provider";

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Fault {
    /// A server, a service, the simulator, or [`PROVIDER`].
    pub(crate) target: String,
    #[serde(flatten)]
    kind: Kind,
    /// Milliseconds since 1970.
    pub(crate) since_ms: u64,
    /// When it ends by itself.
    pub(crate) until_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Kind {
    Freeze,
    Slow {
        by_ms: u64,
    },
    Cut,
    Decline {
        code: String,
    },
    Fail {
        status: u16,
    },
    #[serde(other)]
    Other,
}

impl Fault {
    /// What happens, in words.
    pub(crate) fn what(&self) -> String {
        match &self.kind {
            Kind::Freeze => "frozen".to_owned(),
            Kind::Slow { by_ms } => format!("slow by {by_ms} ms"),
            Kind::Cut => "cut".to_owned(),
            Kind::Decline { code } => format!("declines every card ({code})"),
            Kind::Fail { status } => format!("answers every call with {status}"),
            Kind::Other => "disturbed".to_owned(),
        }
    }
}

/// What goes wrong at this time, in milliseconds since 1970; nothing where no file says so.
pub(crate) fn faults(folder: &Path, now_ms: u64) -> Vec<Fault> {
    #[derive(Default, Deserialize)]
    struct Noted {
        faults: Vec<Fault>,
    }
    let text = std::fs::read(folder.join("faults.json")).unwrap_or_default();
    // It is written in one step: what cannot be read is of a later version.
    let noted: Noted = serde_json::from_slice(&text).unwrap_or_default();
    let lasts = |fault: &Fault| fault.until_ms.is_none_or(|until| now_ms < until);
    noted.faults.into_iter().filter(lasts).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_until_their_end() {
        let folder = tempfile::tempdir().unwrap();
        assert!(faults(folder.path(), 0).is_empty());
        let text = r#"{"faults": [
            {"target": "redis", "kind": "freeze", "process": {"pid": 7, "started": 9}, "since_ms": 1},
            {"target": "postgres", "kind": "slow", "by_ms": 300, "since_ms": 1, "until_ms": 10},
            {"target": "provider", "kind": "decline", "code": "lost_card", "since_ms": 1},
            {"target": "rabbitmq", "kind": "of a later version", "since_ms": 1}]}"#;
        std::fs::write(folder.path().join("faults.json"), text).unwrap();
        let told = |now| -> Vec<String> {
            let shown = |fault: &Fault| format!("{} {}", fault.target, fault.what());
            faults(folder.path(), now).iter().map(shown).collect()
        };
        let lasting =
            ["redis frozen", "provider declines every card (lost_card)", "rabbitmq disturbed"];
        assert_eq!(told(10), lasting);
        assert_eq!(told(9)[1], "postgres slow by 300 ms");
    }
}
