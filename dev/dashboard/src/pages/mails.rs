//! Mails and notifications: what was written instead of being sent, and the rows behind it.

use std::collections::HashMap;
use std::path::PathBuf;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;
use sqlx::PgConnection;

use super::{Asked, page, plain_page, shown};
use crate::app::App;
use crate::databases::limited;
use crate::mails::{self, Caught, Mail};

/// The service that sends them.
const SERVICE: &str = "notification-service";
/// Mails and notifications on the page.
const SHOWN_MAX: usize = 100;
/// A mail's own markup: no script, nothing from elsewhere, and no origin, so that it reaches nothing of
/// the dashboard.
const MAIL_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
    form-action 'none'; base-uri 'none'; frame-ancestors 'self'; sandbox";

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/mails", get(list))
        .route("/mails/{id}", get(show))
        .route("/mails/{id}/html", get(markup))
        .route("/mails/{id}/source", get(source))
}

#[derive(Deserialize)]
struct Question {
    /// A user's id, or text of an address or a subject.
    #[serde(default)]
    filter: String,
}

/// A notification, whose id the file of its mail has.
#[derive(Debug, Clone, sqlx::FromRow)]
struct Notification {
    id: String,
    user_id: String,
    kind: String,
    channel: String,
    status: String,
    attempts: i32,
    failure_reason: Option<String>,
    created_at: DateTime<Utc>,
    next_attempt_at: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
    traceparent: Option<String>,
}

async fn list(State(app): State<App>, Query(question): Query<Question>, asked: Asked) -> Response {
    let filter = question.filter.trim().to_owned();
    let user = is_id(&filter).then_some(filter.as_str());
    let rows = notifications(&app, user, None).await;
    let of_user: Option<Vec<String>> =
        user.map(|_| rows.iter().flatten().map(|row| row.id.clone()).collect());
    let folder = folder(&app);
    let text = filter.to_lowercase();
    let reading = tokio::task::spawn_blocking(move || {
        mails::list(&folder, SHOWN_MAX, |mail| match &of_user {
            Some(ids) => ids.contains(&mail.id),
            None => format!("{} {}", mail.to, mail.subject).to_lowercase().contains(&text),
        })
    });
    let (mails, count) = reading.await.unwrap_or_default();
    let ids: Vec<&str> = mails.iter().map(|mail| mail.id.as_str()).collect();
    let behind = notifications(&app, None, Some(&ids)).await.unwrap_or_default();
    let behind: HashMap<&str, &Notification> =
        behind.iter().map(|row| (row.id.as_str(), row)).collect();
    let main = html! {
        form role="search" {
            label for="filter" { "Recipient, subject, or a user’s id" } " "
            input #filter name="filter" type="search" value=(filter); " "
            button { "Show" }
        }
        h2 { "Mails" }
        p.dim #mail-count data-live { (mails.len()) " of " (count) " that were caught" }
        (mail_table(&mails, &behind))
        h2 { "Notifications" }
        (notification_part(&rows))
    };
    page(&app, &asked, "Mails", &main)
}

fn mail_table(mails: &[Caught], behind: &HashMap<&str, &Notification>) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                th scope="col" { "caught" } th scope="col" { "to" } th scope="col" { "subject" }
                th scope="col" { "kind" } th scope="col" { "status" } th scope="col" { "attempts" }
                th scope="col" { "user" }
            } }
            tbody #mails data-live="items" {
                @for mail in mails {
                    @let row = behind.get(mail.id.as_str());
                    tr id=(format!("m{}", mail.id)) {
                        td.time { (shown::moment(mail.at)) }
                        td { (mail.to) }
                        td { a href=(format!("/mails/{}", mail.id)) {
                            @if mail.subject.is_empty() { "without a subject" } @else { (mail.subject) }
                        } }
                        td { (row.map_or("–", |row| &row.kind)) }
                        td { (row.map_or("–", |row| &row.status)) }
                        td.number { @if let Some(row) = row { (row.attempts) } }
                        td { @if let Some(row) = row { (user(&row.user_id)) } }
                    }
                }
            }
        } }
        p #no-mails data-live { @if mails.is_empty() {
            "No mail yet. " code { "cargo dev smoke" } " makes some." } }
    }
}

fn notification_part(rows: &Result<Vec<Notification>, String>) -> Markup {
    html! {
        @match rows {
            Ok(rows) => (notification_table(rows)),
            Err(error) => div #notifications-fault data-live { p.fault { (error) } },
        }
    }
}

fn notification_table(rows: &[Notification]) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                th scope="col" { "made" } th scope="col" { "kind" } th scope="col" { "channel" }
                th scope="col" { "status" } th scope="col" { "attempts" } th scope="col" { "sent, or next" }
                th scope="col" { "why it failed" } th scope="col" { "user" } th scope="col" { "trace" }
            } }
            tbody #notifications data-live="items" {
                @for row in rows {
                    tr id=(format!("n{}", row.id)) class=[(row.status == "failed").then_some("error")] {
                        td.time { a href=(format!("/mails/{}", row.id)) { (shown::moment(row.created_at)) } }
                        td { (row.kind) } td { (row.channel) } td { (row.status) }
                        td.number { (row.attempts) }
                        td.time { (row.sent_at.or(row.next_attempt_at).map(shown::moment).unwrap_or_default()) }
                        td { (reason(row)) }
                        td { (user(&row.user_id)) }
                        td { (shown::trace_link(row.traceparent.as_deref())) }
                    }
                }
            }
        } }
    }
}

/// What a mail server said may hold an address, which is masked among others.
fn reason(row: &Notification) -> &str {
    let reason = row.failure_reason.as_deref().unwrap_or_default();
    if crate::databases::looks_personal(reason) { "*** (see the row in Data)" } else { reason }
}

fn user(id: &str) -> Markup {
    html! { a href=(format!("/mails?filter={id}")) { code { (id) } } }
}

async fn show(State(app): State<App>, Path(id): Path<String>, asked: Asked) -> Response {
    if asked.is_fragment {
        // It does not change, and what is open of it stays so.
        return page(&app, &asked, "Mail", &html! {});
    }
    let row = notifications(&app, None, Some(&[&id])).await;
    let row = row.ok().and_then(|rows| rows.into_iter().next());
    let mail = open(&app, id.clone()).await;
    if mail.is_none() && row.is_none() {
        return plain_page(StatusCode::NOT_FOUND, "There is no such mail", &html! {});
    }
    let main = html! {
        @match &mail {
            Some(mail) => (whole(&id, mail)),
            None => p { "No mail was written: the notification was not sent, or its file is gone." },
        }
        @if let Some(row) = &row {
            h2 { "The notification behind it" }
            (notification_table(std::slice::from_ref(row)))
            p { a href=(format!(
                "/data?service={SERVICE}&schema=public&table=notifications&column=id&value={}", row.id
            )) { "The row in Data" } }
        }
    };
    page(&app, &asked, "Mail", &main)
}

fn whole(id: &str, mail: &Mail) -> Markup {
    html! {
        dl.facts {
            dt { "To" } dd { (mail.to) }
            dt { "Subject" } dd { (mail.subject) }
        }
        @if mail.html.is_some() {
            h2 { "HTML" }
            iframe.mail title="The mail as HTML" sandbox="" src=(format!("/mails/{id}/html")) {}
        }
        @if let Some(text) = &mail.text { h2 { "Text" } pre.block { (text) } }
        @if !mail.attachments.is_empty() { p { "Attached: " (mail.attachments.join(", ")) } }
        details {
            summary { "Headers" }
            div.wide { table { tbody { @for (name, value) in &mail.headers {
                tr { th scope="row" { (name) } td { code { (value) } } } } } } }
        }
        details { summary { "Source" } pre.block { (mail.source) } }
        p { a href=(format!("/mails/{id}/source")) { "The source alone" } }
    }
}

async fn markup(State(app): State<App>, Path(id): Path<String>) -> Response {
    let html = open(&app, id).await.and_then(|mail| mail.html);
    let Some(html) = html else {
        return (StatusCode::NOT_FOUND, "There is no HTML of this mail.").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, MAIL_POLICY),
    ];
    (headers, html).into_response()
}

async fn source(State(app): State<App>, Path(id): Path<String>) -> Response {
    match open(&app, id).await {
        Some(mail) => mail.source.into_response(),
        None => (StatusCode::NOT_FOUND, "There is no such mail.").into_response(),
    }
}

async fn open(app: &App, id: String) -> Option<Mail> {
    let folder = folder(app);
    tokio::task::spawn_blocking(move || mails::open(&folder, &id)).await.ok().flatten()
}

fn folder(app: &App) -> PathBuf {
    app.settings.folder.join("mail")
}

/// The newest notifications of everybody or of a user; where ids are given, those that have one of them.
async fn notifications(
    app: &App,
    user: Option<&str>,
    ids: Option<&[&str]>,
) -> Result<Vec<Notification>, String> {
    // What is no id is nobody's.
    let known = |ids: &[&str]| -> Vec<String> {
        ids.iter().filter(|id| is_id(id)).map(|id| (*id).to_owned()).collect()
    };
    let ids = ids.map(known);
    let reading = async {
        let state = app.system.now();
        let mut tx = app.databases.begin(&state, SERVICE).await?;
        let rows = select(&mut tx, user, ids.as_deref()).await?;
        tx.rollback().await?;
        Ok(rows)
    };
    limited(reading).await
}

async fn select(
    connection: &mut PgConnection,
    user: Option<&str>,
    ids: Option<&[String]>,
) -> sqlx::Result<Vec<Notification>> {
    sqlx::query_as(
        "select id::text, user_id::text, kind, channel, status, attempts, failure_reason,
                created_at, next_attempt_at, sent_at, traceparent
         from notifications
         where ($1::text is null or user_id = cast($1 as uuid))
           and ($2::text[] is null or id = any(cast($2::text[] as uuid[])))
         order by notifications.id desc
         limit $3",
    )
    .bind(user)
    .bind(ids)
    .bind(i64::try_from(SHOWN_MAX).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await
}

fn is_id(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|it| it.is_ascii_hexdigit() || it == b'-')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
