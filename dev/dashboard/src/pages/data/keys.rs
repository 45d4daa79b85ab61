//! What is in Redis.

use axum::extract::{Form, Query, State};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use crate::app::App;
use crate::databases::looks_personal;
use crate::keys::{self, Found, Key};
use crate::pages::link::link;
use crate::pages::{Asked, button, page, shown};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Question {
    prefix: String,
    /// The key whose value is shown, in a form that was posted.
    key: String,
}

pub(super) async fn show(
    State(app): State<App>,
    Query(question): Query<Question>,
    asked: Asked,
) -> Response {
    if asked.is_fragment {
        return page(&app, &asked, "Redis", &html! {});
    }
    let found = keys::find(&app.system.now().addresses.redis, &question.prefix).await;
    let main = html! {
        p { a href="/data" { "All tables" } " / " strong { "Redis" } }
        form role="search" action="/data/redis" {
            label for="prefix" { "Keys that begin with" } " "
            input #prefix name="prefix" type="search" value=(question.prefix); " "
            button { "Show" }
        }
        @match &found {
            Err(error) => p.fault role="alert" { (error) },
            Ok(found) => (table(&app, &question.prefix, found)),
        }
    };
    page(&app, &asked, "Redis", &main)
}

fn table(app: &App, prefix: &str, found: &Found) -> Markup {
    html! {
        p.dim { (found.keys.len()) " shown, of " (found.count) " in all"
            @if !found.is_complete { "; there are more: ask for a longer beginning" } }
        div.wide { table.data {
            thead { tr { th scope="col" { "key" } th scope="col" { "type" }
                th.number scope="col" { "goes in" } th.number scope="col" { "bytes" }
                th scope="col" { "value" } } }
            tbody { @for key in &found.keys { (row(app, prefix, key)) } }
        } }
    }
}

fn row(app: &App, prefix: &str, key: &Key) -> Markup {
    let ttl = u64::try_from(key.ttl).ok().map(std::time::Duration::from_millis);
    // Who has a key to an address is told when its value is.
    let name = if looks_personal(&key.name) { "***" } else { &key.name };
    html! { tr {
        th scope="row" { code { (name) } }
        td { (key.kind) }
        td.number { @match ttl { Some(ttl) => (shown::uptime(ttl)), None => "never" } }
        td.number { (key.bytes) }
        td { (button(app, "/data/redis", &[("prefix", prefix), ("key", &key.name)], "Show")) }
    } }
}

pub(super) async fn show_value(
    State(app): State<App>,
    asked: Asked,
    Form(question): Form<Question>,
) -> Response {
    let value = keys::value(&app.system.now().addresses.redis, &question.key).await;
    let main = html! {
        p { a href="/data" { "All tables" } " / "
            a href=(link("/data/redis", &[("prefix", &question.prefix)])) { "Redis" } }
        h2 { code { (question.key) } }
        @match &value {
            Err(error) => p.fault role="alert" { (error) },
            Ok(None) => p { "It has gone." },
            Ok(Some(value)) => pre.block { (shown::pretty(value).as_deref().unwrap_or(value)) },
        }
    };
    page(&app, &asked, "Redis", &main)
}
