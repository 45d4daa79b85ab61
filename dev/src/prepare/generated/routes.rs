//! The table of routes at the head of each service's `lib.rs`: what the API document and the policy say, in a
//! row each. What all services have is a row by itself.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;
use tusk_config::outline;

use super::Generated;
use crate::project::Project;

/// Of what the table is made.
const OF: &str = "from openapi.json and auth.tsk";
const HEAD: &str = "| route | who | does |\n|---|---|---|\n";
/// Routes that every service has: the table of them stands at the head of `platform`.
const OF_ALL: &str =
    "| `/admin/…`, `/debug` | an administrator | what all services have ([`platform`]) |\n";
const TEMPLATE: &str = "dev/template";

/// The table of a service.
pub(super) fn of_service(project: &Project, name: &str, document: &Value) -> Result<Generated> {
    let policy = policy(&project.path("config/auth.tsk"), name)?;
    Ok(generated(format!("services/{name}"), document, &policy))
}

/// That of the template, whose rules stand beside those of the services.
pub(super) fn of_template(project: &Project) -> Result<Generated> {
    let folder = format!("{TEMPLATE}/service");
    let document = project.path(&format!("{folder}/openapi.json"));
    let document = fs::read_to_string(document).context("read the template's openapi.json")?;
    let document = serde_json::from_str(&document).context("read the template's openapi.json")?;
    let rules = project.path(&format!("{TEMPLATE}/config/auth.tsk"));
    Ok(generated(folder, &document, &policy(&rules, "sample-service")?))
}

fn generated(folder: String, document: &Value, policy: &[(String, Vec<String>)]) -> Generated {
    Generated { file: folder + "/src/lib.rs", of: OF, rows: rows(document, policy) }
}

/// A row for each route of the policy that is the service's own, in its order.
fn rows(document: &Value, policy: &[(String, Vec<String>)]) -> Vec<String> {
    let summaries = summaries(document);
    let own = policy.iter().filter_map(|(route, callers)| {
        let summary = summaries.get(route)?;
        let callers: Vec<&str> = callers.iter().map(|caller| in_words(caller)).collect();
        Some(format!("| `{route}` | {} | {summary} |\n", callers.join(", ")))
    });
    [HEAD.to_owned()].into_iter().chain(own).chain([OF_ALL.to_owned()]).collect()
}

/// What each route of an API document does, but for those of all services: the first sentence, up to a colon.
fn summaries(document: &Value) -> BTreeMap<String, String> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let own = paths.filter(|(path, _)| !path.starts_with("/admin") && *path != "/debug");
    let operations = own.flat_map(|(path, methods)| {
        let methods = methods.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| {
            (format!("{} {path}", method.to_uppercase()), operation)
        })
    });
    operations
        .map(|(route, operation)| {
            let text = operation["summary"].as_str().unwrap_or_default().replace('\n', " ");
            let ends = [". ", ": "].iter().filter_map(|end| text.find(end)).min();
            let what = ends.and_then(|end| text.get(..end)).unwrap_or(&text);
            (route, what.trim_end_matches('.').to_owned())
        })
        .collect()
}

fn in_words(caller: &str) -> &str {
    match caller {
        "user" => "a user",
        "admin" => "an administrator",
        "service" => "any service",
        other => other,
    }
}

/// The routes of a service's policy, each with those who may call it, in the order of the file.
pub(super) fn policy(file: &Path, service: &str) -> Result<Vec<(String, Vec<String>)>> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let sections = outline("auth.tsk", &text)?.into_iter();
    let rules = sections.filter(|section| section.name == format!("policy.{service}"));
    let rules = rules.flat_map(|section| section.parts).map(|rule| {
        let callers = text[rule.span.clone()].rsplit(": ").next().unwrap_or_default();
        let callers = callers.split(|sign: char| "[],".contains(sign) || sign.is_whitespace());
        let callers = callers.filter(|caller| !caller.is_empty()).map(str::to_owned).collect();
        (rule.name, callers)
    });
    Ok(rules.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_says_the_route_who_may_call_it_and_what_it_does() {
        let document = json!({"paths": {
            "/admin/log": {"get": {"summary": "The log."}},
            "/api/x/{id}": {
                "get": {"summary": "One\nof them. More of it."},
                "delete": {"summary": "Takes it away: for good."},
            },
        }});
        let rule = |route: &str, callers: &[&str]| {
            (route.to_owned(), callers.iter().map(|caller| (*caller).to_owned()).collect())
        };
        let policy = [
            rule("DELETE /api/x/{id}", &["admin"]),
            rule("GET /api/x/{id}", &["user", "payment-service"]),
            rule("GET /admin/log", &["admin"]),
        ];
        assert_eq!(
            rows(&document, &policy),
            [
                HEAD,
                "| `DELETE /api/x/{id}` | an administrator | Takes it away |\n",
                "| `GET /api/x/{id}` | a user, payment-service | One of them |\n",
                OF_ALL,
            ]
        );
    }
}
