//! Settings: every setting of each service, where it is from, what it replaced.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};
use serde::Deserialize;

use super::{Asked, page};
use crate::app::App;
use crate::origins::{Setting, Settings, settings};

/// Rows on the page.
const ROWS_MAX: usize = 1_500;

pub(crate) fn router() -> Router<App> {
    Router::new().route("/settings", get(show))
}

#[derive(Debug, Default, Deserialize)]
struct Question {
    /// Stands in the key, the value, the place or the origin, in any case of letters.
    #[serde(default)]
    text: String,
    #[serde(default)]
    service: String,
    /// `differing`, `variables`, `replaced`, or empty for all.
    #[serde(default)]
    only: String,
}

/// A setting that is the same in these services.
#[derive(Debug)]
struct Row<'a> {
    services: Vec<&'a str>,
    setting: &'a Setting,
    /// Whether another service has another value.
    differs: bool,
}

async fn show(State(app): State<App>, Query(asks): Query<Question>, asked: Asked) -> Response {
    let all = settings(&app).await;
    let rows = rows(&all, &asks);
    let main = html! {
        (form(&all, &asks))
        div #setting-faults data-live {
            @for (service, read) in &*all {
                @if let Err(error) = read { p.bad { "✗ " (service) ": " (error) } }
            }
        }
        p #setting-count data-live { (rows.len()) " settings" @if rows.len() > ROWS_MAX { ", of which the first " (ROWS_MAX) " are shown" } }
        div.wide { table.settings {
            thead { tr { th scope="col" { "Setting" } th scope="col" { "Value" } th scope="col" { "From" }
                th scope="col" { "Replaced" } th scope="col" { "Service" } } }
            tbody #settings data-live="items" {
                @for row in rows.iter().take(ROWS_MAX) { (line(row, all.len())) }
            }
        } }
    };
    page(&app, &asked, "Settings", &main)
}

fn form(all: &Settings, asks: &Question) -> Markup {
    let only = [
        ("", "all"),
        ("differing", "differing between services"),
        ("variables", "set by a variable"),
        ("replaced", "that replaced something"),
        ("stale", "changed since the service started"),
    ];
    html! {
        form.fields role="search" {
            label { "Text " input name="text" type="search" value=(asks.text); } " "
            label { "Service " select name="service" {
                option value="" { "all" }
                @for service in all.keys() {
                    option value=(service) selected[*service == asks.service] { (service) }
                }
            } } " "
            label { "Only " select name="only" {
                @for (value, label) in only { option value=(value) selected[value == asks.only] { (label) } }
            } } " "
            button { "Show" }
        }
    }
}

fn line(row: &Row<'_>, services: usize) -> Markup {
    let Row { setting, .. } = row;
    html! {
        tr id=(format!("{}-{}", setting.path, row.services.join("-")).replace(' ', "_")) {
            th scope="row" { code { (setting.path) } }
            td { @if setting.value.is_empty() { span.dim { "empty" } } @else { code { (setting.value) } }
                @if row.differs { " " span.warn { "≠ differs" } }
                @if let Some(value) = &setting.runs_with {
                    br; span.warn { "! changed since the start: it runs with " code { (value) } } } }
            td { code { (setting.place) } @for origin in &setting.origins { br; span.dim { (origin) } } }
            td { @for (place, written) in &setting.replaced { code { (written) } br; span.dim { (place) } br; } }
            td { @if row.services.len() == services { "all" } @else { (row.services.join(", ")) } }
        }
    }
}

/// The settings that are asked for; what several services have alike is one row.
fn rows<'a>(all: &'a Settings, asks: &Question) -> Vec<Row<'a>> {
    let mut by_path = BTreeMap::<&str, Vec<Row<'a>>>::new();
    let mut order = Vec::new();
    for (service, read) in all {
        for setting in read.iter().flatten() {
            let rows = by_path.entry(&setting.path).or_insert_with(|| {
                order.push(setting.path.as_str());
                Vec::new()
            });
            match rows.iter_mut().find(|row| row.setting == setting) {
                Some(row) => row.services.push(service),
                None => rows.push(Row { services: vec![service], setting, differs: false }),
            }
        }
    }
    for rows in by_path.values_mut() {
        let differs = rows.iter().any(|row| row.setting.value != rows[0].setting.value);
        rows.iter_mut().for_each(|row| row.differs = differs);
    }
    let rows = order.into_iter().filter_map(|path| by_path.remove(path)).flatten();
    rows.filter(|row| asks.admits(row)).collect()
}

impl Question {
    fn admits(&self, row: &Row<'_>) -> bool {
        let Row { setting, services, differs } = row;
        let text = self.text.trim().to_lowercase();
        let replaced = setting.replaced.iter().flat_map(|(place, written)| [place, written]);
        let own = [&setting.path, &setting.value, &setting.place];
        let mut texts = own.into_iter().chain(&setting.origins).chain(replaced);
        let is_only = match self.only.as_str() {
            "differing" => *differs,
            "variables" => setting.origins.iter().any(|origin| origin.contains(" is set")),
            "replaced" => !setting.replaced.is_empty(),
            "stale" => setting.runs_with.is_some(),
            _ => true,
        };
        is_only
            && (self.service.is_empty() || services.contains(&self.service.as_str()))
            && (text.is_empty() || texts.any(|it| it.to_lowercase().contains(&text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(path: &str, value: &str, origin: &str) -> Setting {
        Setting {
            path: path.to_owned(),
            value: value.to_owned(),
            place: "config/cache.tsk:1:1".to_owned(),
            origins: vec![origin.to_owned()],
            replaced: vec![],
            runs_with: None,
        }
    }

    #[test]
    fn what_services_have_alike_is_one_row_and_what_differs_is_marked() {
        let own = |port: &str| {
            vec![setting("server.port", port, "PORT is set"), setting("cache.ttl", "5s", "")]
        };
        let all = Settings::from([
            ("a".to_owned(), Ok(own("1"))),
            ("b".to_owned(), Ok(own("2"))),
            ("c".to_owned(), Err("it does not run".to_owned())),
        ]);
        let shown = |asks: &Question| -> Vec<(String, String, bool)> {
            let rows = rows(&all, asks).into_iter();
            let shown =
                |row: Row<'_>| (row.setting.path.clone(), row.services.join(","), row.differs);
            rows.map(shown).collect()
        };
        let row = |path: &str, services: &str, differs| (path.into(), services.into(), differs);
        let ports = [row("server.port", "a", true), row("server.port", "b", true)];
        let ttl = row("cache.ttl", "a,b", false);
        assert_eq!(shown(&Question::default()), [&ports[..], &[ttl.clone()]].concat());
        let only = |only: &str| Question { only: only.to_owned(), ..Question::default() };
        assert_eq!(shown(&only("differing")), ports);
        assert_eq!(shown(&only("variables")), ports);
        let asks = Question { text: " TTL".into(), service: "b".into(), ..Question::default() };
        assert_eq!(shown(&asks), [ttl]);
    }
}
