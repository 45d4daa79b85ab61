//! The fields of forms as the words of `cargo dev fault`. Only what stands in the lists here, or runs, is
//! handed on.

use faults::{DECLINE_CODES, Fault, PROVIDER};
use serde::Deserialize;

use crate::system::State;

/// Servers that services call, by the names of their processes.
const SERVERS: [&str; 3] = ["postgres", "redis", "rabbitmq"];
/// How long a fault lasts; the first: until it is stopped.
pub(super) const LENGTHS: [&str; 6] = ["", "10s", "30s", "1m", "5m", "30m"];
/// How much longer everything takes.
pub(super) const DELAYS: [&str; 6] = ["300ms", "50ms", "100ms", "1s", "3s", "10s"];
/// What a provider that fails answers.
pub(super) const STATUSES: [&str; 4] = ["503", "500", "502", "504"];
/// How long a schedule goes on: less than a command of a button may take.
pub(super) const SCHEDULE_LENGTHS: [&str; 4] = ["1m", "30s", "2m", "5m"];
pub(super) const PAUSES: [&str; 4] = ["5s", "0s", "2s", "15s"];
/// Every fault.
pub(super) const ALL: &str = "--all";
const SEED_MAX: u64 = 999_999_999;

/// What can be disturbed: servers, services, the simulator, in this order.
pub(super) fn targets(state: &State) -> Vec<&str> {
    let simulators = state.processes.iter().filter(|process| process.kind == "simulator");
    let simulators = simulators.map(|process| process.name.as_str());
    SERVERS.into_iter().chain(services(state)).chain(simulators).collect()
}

pub(super) fn services(state: &State) -> Vec<&str> {
    state.services().into_iter().map(|process| process.name.as_str()).collect()
}

/// A fault that is to begin.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Begun {
    /// `freeze redis`, `provider slow`.
    fault: String,
    #[serde(default)]
    r#for: String,
    #[serde(default)]
    by: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    status: String,
}

impl Begun {
    pub(super) fn words(&self, state: &State) -> Option<Vec<String>> {
        let (what, whom) = self.fault.split_once(' ')?;
        let has_length = !matches!(what, "kill" | "poison");
        let length = option("--for", &self.r#for, &LENGTHS)?;
        let by = || option("--by", &self.by, &DELAYS);
        let is_target = targets(state).contains(&whom);
        let mut words = match (what, whom) {
            (PROVIDER, "slow") => by()?,
            (PROVIDER, "decline") => option("--code", &self.code, &DECLINE_CODES)?,
            (PROVIDER, "fail") => option("--status", &self.status, &STATUSES)?,
            ("slow", _) if is_target => by()?,
            ("freeze" | "cut" | "kill", _) if is_target => Vec::new(),
            ("poison", _) if services(state).contains(&whom) => Vec::new(),
            _ => return None,
        };
        words.splice(0..0, ["fault", what, whom].map(str::to_owned));
        words.extend(length.into_iter().filter(|_| has_length));
        Some(words)
    }
}

/// A schedule that is to be shown or run.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Scheduled {
    seed: u64,
    r#for: String,
    pause: String,
    what: String,
}

impl Scheduled {
    pub(super) fn words(&self) -> Option<Vec<String>> {
        let seed = (self.seed <= SEED_MAX).then(|| self.seed.to_string())?;
        let mut words: Vec<String> =
            ["fault", "schedule", "--seed", &seed].map(str::to_owned).into();
        words.extend(option("--for", &self.r#for, &SCHEDULE_LENGTHS)?);
        words.extend(option("--pause", &self.pause, &PAUSES)?);
        match self.what.as_str() {
            "plan" => words.push("--dry-run".to_owned()),
            "run" => {}
            _ => return None,
        }
        Some(words)
    }
}

/// Ends a fault that there is, or all.
pub(super) fn stop(target: &str, active: &[Fault]) -> Option<Vec<String>> {
    let is_one = target == ALL || active.iter().any(|fault| fault.target == target);
    is_one.then(|| ["fault", "stop", target].map(str::to_owned).into())
}

/// An option with one of these values; nothing where it is left out.
fn option(name: &str, value: &str, values: &[&str]) -> Option<Vec<String>> {
    let is_known = value.is_empty() || values.contains(&value);
    let option = if value.is_empty() { vec![] } else { vec![name.to_owned(), value.to_owned()] };
    is_known.then_some(option)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn state() -> State {
        serde_json::from_str(
            r#"{"addresses": {"postgres": "", "redis": "", "amqp": "", "rabbitmq_api": ""},
                "processes": [
                    {"name": "user-service", "kind": "service", "pid": 1, "started": 1, "port": 3001},
                    {"name": "payment-simulator", "kind": "simulator", "pid": 1, "started": 1, "port": 1},
                    {"name": "dashboard", "kind": "tool", "pid": 1, "started": 1, "port": 3000}]}"#,
        )
        .unwrap()
    }

    fn begun(fault: &str) -> Option<String> {
        let begun = Begun {
            fault: fault.to_owned(),
            r#for: "30s".to_owned(),
            by: "300ms".to_owned(),
            code: "lost_card".to_owned(),
            status: "503".to_owned(),
        };
        begun.words(&state()).map(|words| words.join(" "))
    }

    #[test]
    fn a_fault_of_the_form_becomes_the_command_for_it() {
        let told = |fault| begun(fault).unwrap();
        assert_eq!(told("slow redis"), "fault slow redis --by 300ms --for 30s");
        assert_eq!(told("freeze user-service"), "fault freeze user-service --for 30s");
        assert_eq!(told("kill postgres"), "fault kill postgres");
        assert_eq!(told("poison user-service"), "fault poison user-service");
        let declines = "fault provider decline --code lost_card --for 30s";
        assert_eq!(told("provider decline"), declines);
    }

    #[test]
    fn nothing_else_reaches_the_tool() {
        for fault in [
            "freeze dashboard",
            "freeze --help",
            "poison redis",
            "stop --all",
            "freeze",
            "provider x",
        ] {
            assert_eq!(begun(fault), None, "{fault}");
        }
        let long = Begun {
            fault: "cut redis".to_owned(),
            r#for: "9h --all".to_owned(),
            ..Begun::default()
        };
        assert_eq!(long.words(&state()), None);
        assert_eq!(stop("redis", &[]), None);
        assert_eq!(stop(ALL, &[]).unwrap().join(" "), "fault stop --all");
    }

    #[test]
    fn a_schedule_is_shown_before_it_runs() {
        let mut scheduled = Scheduled {
            seed: 7,
            r#for: "2m".to_owned(),
            pause: String::new(),
            what: "plan".to_owned(),
        };
        let words = scheduled.words().unwrap().join(" ");
        assert_eq!(words, "fault schedule --seed 7 --for 2m --dry-run");
        scheduled.seed = u64::MAX;
        assert_eq!(scheduled.words(), None);
    }
}
