//! A setting without bounds is told by nobody: so each number and each duration has to refuse what is absurd.

use std::{
    path::Path,
    process::{Command, Output},
};

use tusk_config::Variable;

/// For whoever sets up autoscalers; no service reads them.
const OF_AUTOSCALERS: [&str; 4] =
    ["CPU_THRESHOLD", "MAX_INSTANCES", "MEMORY_THRESHOLD", "MIN_INSTANCES"];

/// A value far beyond any bounds, for a number or a duration; none for other kinds.
fn absurd(variable: &Variable) -> Option<&'static str> {
    let default = variable.defaults.first()?.trim_matches('"');
    if default.parse::<f64>().is_ok() {
        return Some("999999999999999999");
    }
    let digits = default.trim_end_matches(|sign: char| sign.is_ascii_lowercase());
    let is_duration = ["ms", "s", "m", "h", "d"].contains(&&default[digits.len()..]);
    (is_duration && digits.parse::<u32>().is_ok()).then_some("99999999d")
}

/// What a service says of its settings with these variables, and with what it cannot do without.
fn checked(service: &str, variables: &[Variable], given: &[&Variable]) -> Output {
    let binaries = Path::new(env!("CARGO_BIN_EXE_dev")).parent().unwrap();
    let mut command = Command::new(binaries.join(service));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    command.arg("--check-config").env_clear().env("CONFIG_DIR", root.join("config"));
    for name in variables.iter().filter(|variable| variable.required).map(|it| it.name.as_str()) {
        let value = match name {
            "DATABASE_URL" => "postgres://me:secret@127.0.0.1/orders".to_owned(),
            "REDIS_URL" => "redis://127.0.0.1".to_owned(),
            // Each secret its own.
            _ => format!("{name:x<32}"),
        };
        command.env(name, value);
    }
    command.envs(given.iter().filter_map(|it| Some((&it.name, absurd(it)?)))).output().unwrap()
}

#[test]
fn every_number_and_every_duration_has_bounds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let variables = tusk_config::variables([root.join("config")]).unwrap();
    let services = ["user-service", "payment-service", "notification-service"];
    let mut unbounded = Vec::new();
    for service in services {
        let output = checked(service, &variables, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let is_of_another = |file: &str| {
            services
                .iter()
                .any(|other| *other != service && file.ends_with(&format!("{other}.tsk")))
        };
        let is_read = |variable: &&Variable| {
            let mut places = variable.locations.iter();
            absurd(variable).is_some() && places.any(|place| !is_of_another(place.file()))
        };
        let read: Vec<&Variable> = variables.iter().filter(is_read).collect();
        // Nearly all faults are told at once; what is looked at later, by itself.
        let told = String::from_utf8(checked(service, &variables, &read).stderr).unwrap();
        let is_told = |variable: &Variable| {
            let places = variable.locations.iter();
            let mut lines = places.map(|place| format!("{}:{}:", place.file(), place.line()));
            lines.any(|line| told.contains(&line))
        };
        for variable in read.into_iter().filter(|variable| !is_told(variable)) {
            let is_taken = checked(service, &variables, &[variable]).status.success();
            if is_taken == OF_AUTOSCALERS.contains(&variable.name.as_str()) {
                continue;
            }
            unbounded.push(format!(
                "{}: {service} takes {}={}: the `check` of the struct that reads it gives it bounds by \
                 Misfit::outside",
                variable.locations[0],
                variable.name,
                absurd(variable).unwrap_or_default()
            ));
        }
    }
    assert!(unbounded.is_empty(), "{}", unbounded.join("\n"));
}
