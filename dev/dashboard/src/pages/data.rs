//! Data: the tables of each service and what is in Redis, read only, personal data masked until it is
//! asked for.

mod keys;
mod table;

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::response::Response;
use axum::routing::get;
use maud::{Markup, html};
use serde::Deserialize;

use super::{Asked, page, shown};
use crate::app::App;
use crate::databases::{self, Relation, limited, relations};
use crate::pages::link::link;
use crate::protection::form_token;

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/data", get(show).post(show_personal))
        .route("/data/redis", get(keys::show).post(keys::show_value))
}

/// A table, and which rows of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Question {
    service: String,
    schema: String,
    table: String,
    /// Asks for the rows whose column has the value.
    column: String,
    value: String,
    /// From 0.
    page: usize,
    /// `personal`, in a form that was posted.
    show: String,
}

async fn show(State(app): State<App>, Query(question): Query<Question>, asked: Asked) -> Response {
    render(&app, &asked, &question, false).await
}

/// The same with personal data, for this one view of the page.
async fn show_personal(
    State(app): State<App>,
    asked: Asked,
    Form(question): Form<Question>,
) -> Response {
    render(&app, &asked, &question, question.show == "personal").await
}

async fn render(app: &App, asked: &Asked, question: &Question, with_personal: bool) -> Response {
    if asked.is_fragment {
        // Not renewed by itself: rows are read when somebody asks for them.
        return page(app, asked, "Data", &html! {});
    }
    if !question.table.is_empty() {
        let main = table::content(app, question, with_personal).await;
        return page(app, asked, "Data", &main);
    }
    let state = app.system.now();
    let services = databases::services(&state);
    let all = services.iter().map(async |service| {
        let reading = async {
            let mut tx = app.databases.begin(&state, service).await?;
            let found = relations(&mut tx).await?;
            tx.rollback().await?;
            Ok(found)
        };
        (service, limited(reading).await)
    });
    let all = futures_util::future::join_all(all).await;
    let main = html! {
        p { "Read only. What a column’s name or type says may be personal is masked until you ask for it, "
            "and hashes and tokens are never shown." }
        ul { @for (service, _) in &all { li { a href=(format!("#{service}")) { (service) } } }
            li { a href="/data/redis" { "Redis" } } }
        @for (service, found) in &all { (tables(service, found)) }
    };
    page(app, asked, "Data", &main)
}

fn tables(service: &str, found: &Result<Vec<Relation>, String>) -> Markup {
    html! {
        h2 id=(service) { (service) }
        @match found {
            Err(error) => p.fault { (error) },
            Ok(found) => div.wide { table {
                thead { tr { th scope="col" { "table" } th.number scope="col" { "rows, estimated" }
                    th.number scope="col" { "size" } } }
                tbody { @for it in found { tr {
                    th scope="row" { a href=(link("/data", &[
                        ("service", service), ("schema", &it.schema), ("table", &it.name),
                    ])) { @if it.schema != "public" { (it.schema) "." } (it.name) } }
                    td.number { @if it.rows < 0 { "not yet" } @else { (it.rows) } }
                    td.number { (shown::bytes(u64::try_from(it.bytes).unwrap_or_default())) }
                } } }
            } },
        }
    }
}

/// A button that shows the same with personal data.
fn unmask(app: &App, action: &str, fields: &[(&str, &str)]) -> Markup {
    html! {
        form.action method="post" action=(action) {
            input type="hidden" name="form_token" value=(form_token(&app.settings.token));
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button name="show" value="personal" { "Show personal data" }
        }
    }
}

/// A value in a cell: what is long or JSON opens.
fn cell(value: &str) -> Markup {
    /// Characters that are shown at once.
    const SHORT: usize = 100;
    let pretty = shown::pretty(value);
    if pretty.is_none() && value.chars().count() <= SHORT && !value.contains('\n') {
        return html! { (value) };
    }
    let beginning: String = value.chars().take(SHORT / 2).collect();
    html! { details { summary { (beginning) "…" } pre.block { (pretty.as_deref().unwrap_or(value)) } } }
}

/// What cannot be shown, and why.
fn fault(why: &str) -> Markup {
    html! { p.fault role="alert" { (why) } p { a href="/data" { "All tables" } } }
}
