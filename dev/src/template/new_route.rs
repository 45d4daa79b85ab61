//! `cargo dev new-route SERVICE METHOD PATH`.

use std::{fs, process::ExitCode};

use anyhow::{Context, Result, ensure};

use super::{
    addition::{Addition, Options, prepare_and_test},
    names::{Names, check_form, identifiers_of, is_reserved},
    new_event::Event,
    parts::Language,
    words::{Words, pascal, snake},
};
use crate::{interrupt::Interrupt, project::Project};

/// What has a rule for every route.
const POLICY: &str = "config/auth.tsk";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Adds the handler with its part of the OpenAPI document, the line of the router, the rule in auth.tsk
(a signed-in user), and a test. A path with `{id}` answers for one of what the service keeps, to whose it
is; another one answers for the caller. Whatever fails, nothing is left of it.")]
pub(crate) struct Args {
    /// Whose route it is: orders
    service: String,
    /// Of the request
    #[arg(ignore_case = true, value_parser = ["GET", "POST", "PUT", "PATCH", "DELETE"])]
    method: String,
    /// With or without /api before it: '/orders/{id}/history'
    path: String,
    /// The request has this event told, which `cargo dev new-event` made
    #[arg(long, value_name = "NAME")]
    event: Option<String>,
    #[command(flatten)]
    options: Options,
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let names = Names::of_service(project, &args.service)?;
    let method = args.method.to_uppercase();
    let path = path_of(&names, &args.path)?;
    let route = format!("{method} {path}");
    let service = names.service.as_str();
    if has_rule(project, service, &route)? {
        println!("{service} {route} is already there");
        return Ok(ExitCode::SUCCESS);
    }
    let module = module_of(project, service, &method, &path)?;
    let mut words = Words::of_service(&names);
    let kind = match &args.event {
        Some(event) => {
            let event = Event::new(&names, event)?;
            ensure!(path.contains("{id}"), "{path} names none that {} could happen to", event.name);
            check_event(project, &names, &event)?;
            words = words.with_event(&event.name, false);
            "route/with-event"
        }
        None if path.contains("{id}") => "route/of-one",
        None => "route/of-caller",
    };
    let of_method =
        [("GET", method.clone()), ("path(get", format!("path({}", method.to_lowercase()))];
    let forms = [
        ("/api/samples/{id}/aspect", path.clone()),
        ("aspect", module.clone()),
        ("Aspect", pascal(&module.replace('_', "-"))),
    ];
    let words = words.and(of_method, false).and(forms, true);
    let addition = Addition::new(project, &["route/every", kind], &words, &[])?;
    let what = format!("{service} {route}");
    let next = [
        format!("services/{service}/src/routes/{module}.rs: what it takes and what it answers"),
        format!("services/{service}/src/domain, store.rs: what it decides, and what it reads"),
        format!("{POLICY}, [policy.{service}]: who may call it; now any user who is signed in"),
        prepare_and_test(service),
    ];
    addition.make(&what, &names, &args.options, &[], &next, interrupt)
}

/// The whole path, once it is one that can be answered.
fn path_of(names: &Names, path: &str) -> Result<String> {
    ensure!(
        path.starts_with('/'),
        "`{path}` is no path: it begins with a slash, such as `/{}`",
        names.plural
    );
    let path = if path.starts_with("/api/") { path.to_owned() } else { format!("/api{path}") };
    let of_one = format!("/api/{}/{{id}}", names.plural);
    for (place, segment) in path.split('/').enumerate().skip(1) {
        if !segment.starts_with('{') {
            check_form("a part of a path", segment)?;
            continue;
        }
        let is_one = path.split('/').take(place + 1).eq(of_one.split('/'));
        ensure!(
            is_one,
            "`{segment}` cannot be told: a path has one parameter at most, as in `{of_one}`"
        );
    }
    Ok(path)
}

fn has_rule(project: &Project, service: &str, route: &str) -> Result<bool> {
    let policy = fs::read_to_string(project.path(POLICY)).context("read auth.tsk")?;
    Language::Tsk.has_at(&policy, &[&format!("policy.{service}"), route])
}

/// The module for its handler: what the path ends with, or more of it when that is taken.
fn module_of(project: &Project, service: &str, method: &str, path: &str) -> Result<String> {
    let folder = project.path("services").join(service);
    let text = fs::read_to_string(folder.join("src/routes.rs")).context("read routes.rs")?;
    let used = identifiers_of(&text)?;
    let document = fs::read_to_string(folder.join("openapi.json")).unwrap_or_default();
    let is_free = |module: &String| {
        let view = format!("\"{}View\"", pascal(&module.replace('_', "-")));
        !is_reserved(module)
            && !used.contains(module)
            && !document.contains(&view)
            && !folder.join(format!("src/routes/{module}.rs")).exists()
            && !folder.join(format!("tests/it/{module}.rs")).exists()
    };
    let segments: Vec<&str> = path.split('/').skip(2).filter(|part| *part != "{id}").collect();
    let method = method.to_lowercase();
    let last = segments.last().copied().unwrap_or("root");
    let candidates =
        [last.to_owned(), format!("{method}_{last}"), format!("{method}_{}", segments.join("_"))];
    let mut candidates = candidates.iter().map(|name| snake(name));
    candidates
        .find(is_free)
        .with_context(|| format!("no name is left for the module of {method} {path}"))
}

/// Fails when the event has no decision that tells it.
fn check_event(project: &Project, names: &Names, event: &Event) -> Result<()> {
    let path = format!("services/{}/src/domain/{}.rs", names.service, snake(&names.aggregate));
    let text = fs::read_to_string(project.path(&path)).with_context(|| format!("read {path}"))?;
    let within = format!("impl {}", pascal(&names.aggregate));
    let mark = event.mark();
    ensure!(
        Language::Rust.has_at(&text, &[&within, &format!("pub fn {mark}")])?,
        "{path} has no `{mark}`; first: cargo dev new-event {} {}",
        names.service,
        event.name
    );
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_completed_or_refused_with_what_would_do() {
        let orders = Names::new("orders", None).unwrap();
        for (path, expected) in [
            ("/orders/{id}/history", "/api/orders/{id}/history"),
            ("/api/orders/{id}", "/api/orders/{id}"),
            ("/open-orders", "/api/open-orders"),
        ] {
            assert_eq!(path_of(&orders, path).unwrap(), expected);
        }
        for (path, expected) in [
            ("orders", "begins with a slash"),
            ("/orders/{order_id}", "as in `/api/orders/{id}`"),
            ("/lines/{id}", "as in `/api/orders/{id}`"),
            ("/orders/{id}/lines/{id}", "one parameter at most"),
            ("/orders//history", "a part of a path"),
            ("/orders/History", "such as `history`"),
        ] {
            let error = path_of(&orders, path).unwrap_err().to_string();
            assert!(error.contains(expected), "{path}: {error}");
        }
    }
}
