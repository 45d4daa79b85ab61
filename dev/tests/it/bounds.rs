//! A setting without bounds is told by nobody: so each number and each duration has to refuse what is absurd.

use std::{
    path::Path,
    process::{Command, Output},
};

use tusk_config::{Loader, Variable, Vars};

/// What the comment says of a setting that is for whoever sets up autoscalers, and takes any value.
const UNREAD: &str = "No process reads it.";

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

/// The services of services.tsk.
fn services(config: &Path) -> Vec<String> {
    let settings = Loader::new(config).file("services").vars(Vars::empty()).tree().unwrap();
    settings.keys().filter_map(|key| key.strip_prefix("service:")).map(str::to_owned).collect()
}

/// Whether a service reads it: it stands in a file that all share, or in the service's own.
fn is_read_by(service: &str, services: &[String], variable: &Variable) -> bool {
    let is_of_another = |file: &str| {
        let name = Path::new(file).file_stem().unwrap();
        services.iter().any(|other| other != service && name == other.as_str())
    };
    variable.locations.iter().any(|place| !is_of_another(place.file()))
}

#[test]
fn a_fourth_service_is_looked_at_and_no_other_is_asked_for_its_settings() {
    let config = tempfile::tempdir().unwrap();
    let names = ["lanterns-service", "notification-service", "payment-service", "user-service"];
    let sections = names.map(|name| format!("[service:{name}]\nport: @env(\"PORT\", 1)\n"));
    std::fs::write(config.path().join("services.tsk"), sections.concat()).unwrap();
    let own = "[sweep]\nretention: @env(\"SWEEP_RETENTION\", \"1h\")\n";
    std::fs::write(config.path().join("lanterns-service.tsk"), own).unwrap();

    let mut services = services(config.path());
    services.sort();
    assert_eq!(services, names);
    let variables = tusk_config::variables([config.path()]).unwrap();
    let readers_of = |name: &str| {
        let variable = variables.iter().find(|variable| variable.name == name).unwrap();
        names.into_iter().filter(|service| is_read_by(service, &services, variable)).count()
    };
    assert_eq!((readers_of("PORT"), readers_of("SWEEP_RETENTION")), (4, 1));
}

#[test]
fn every_number_and_every_duration_has_bounds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let config = root.join("config");
    let variables = tusk_config::variables([&config]).unwrap();
    let services = services(&config);
    let mut unbounded = Vec::new();
    for service in &services {
        let output = checked(service, &variables, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read: Vec<&Variable> = variables
            .iter()
            .filter(|variable| absurd(variable).is_some())
            .filter(|variable| is_read_by(service, &services, variable))
            .collect();
        // Nearly all faults are told at once; what is looked at later, by itself.
        let told = String::from_utf8(checked(service, &variables, &read).stderr).unwrap();
        let is_told = |variable: &Variable| {
            let places = variable.locations.iter();
            let mut lines = places.map(|place| format!("{}:{}:", place.file(), place.line()));
            lines.any(|line| told.contains(&line))
        };
        for variable in read.into_iter().filter(|variable| !is_told(variable)) {
            let is_taken = checked(service, &variables, &[variable]).status.success();
            if is_taken == variable.meaning().starts_with(UNREAD) {
                continue;
            }
            unbounded.push(format!(
                "{}: {service} takes {}={}: the `check` of the struct that reads it gives it bounds by \
                 ValidationError::outside, or its comment says: {UNREAD}",
                variable.locations[0],
                variable.name,
                absurd(variable).unwrap_or_default()
            ));
        }
    }
    assert!(unbounded.is_empty(), "{}", unbounded.join("\n"));
}
