//! Events that were sent, where the archive keeps them.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use sqlx::PgConnection;

use crate::spans::{Span, hex};

/// Events of one service on the page.
pub(crate) const LISTED_MAX: i64 = 100;
/// Bytes of a body that is shown.
const BODY_MAX: i32 = 1 << 20;
/// Traces that are found by an event's id.
const TRACES_MAX: usize = 5;

/// Which events are meant: those that match all that is given.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Filter {
    pub(crate) service: String,
    /// `user.created`, or how it begins with a `*` at the end.
    #[serde(rename = "type")]
    pub(crate) event_type: String,
    /// Of the event, or of what it happened to.
    pub(crate) id: String,
    #[serde(deserialize_with = "time")]
    pub(crate) since: Option<DateTime<Utc>>,
    #[serde(deserialize_with = "time")]
    pub(crate) until: Option<DateTime<Utc>>,
    /// Those that were written before this position.
    pub(crate) before: Option<i64>,
}

/// An event that was sent, and when, without what it says.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Sent {
    pub(crate) event_id: String,
    pub(crate) position: i64,
    pub(crate) event_type: String,
    pub(crate) aggregate_id: String,
    pub(crate) exchange: String,
    pub(crate) partition: i16,
    pub(crate) at: DateTime<Utc>,
    pub(crate) bytes: i32,
}

/// A field that is left empty asks for nothing; a browser's field for a time has no zone, which is UTC
/// here as everywhere.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let with_zone = ["", "Z", ":00Z"].iter().find_map(|rest| format!("{text}{rest}").parse().ok());
    with_zone.map(Some).ok_or_else(|| serde::de::Error::custom("a time reads 2026-01-15T09:30"))
}

/// The events that match, the last first; none where the database keeps no archive.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn list(
    connection: &mut PgConnection,
    filter: &Filter,
) -> sqlx::Result<Option<Vec<Sent>>> {
    let there = "select to_regclass('messaging_archive') is not null";
    if !sqlx::query_scalar::<_, bool>(there).fetch_one(&mut *connection).await? {
        return Ok(None);
    }
    let some = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let (exact, beginning) = match some(&filter.event_type) {
        Some(text) => match text.strip_suffix('*') {
            Some(beginning) => (None, Some(beginning.to_owned())),
            None => (Some(text), None),
        },
        None => (None, None),
    };
    let found = sqlx::query_as(
        "select event_id::text, id as position, routing_key as event_type, aggregate_id::text,
                exchange, partition, sent_at as at, octet_length(envelope) as bytes
         from messaging_archive
         where ($1::text is null or routing_key = $1)
           and ($2::text is null or starts_with(routing_key, $2))
           and ($3::text is null or event_id = cast($3 as uuid) or aggregate_id = cast($3 as uuid))
           and ($4::timestamptz is null or sent_at >= $4)
           and ($5::timestamptz is null or sent_at < $5)
           and ($6::bigint is null or messaging_archive.id < $6)
         order by messaging_archive.id desc
         limit $7",
    );
    let found = found.bind(exact).bind(beginning).bind(some(&filter.id)).bind(filter.since);
    let found = found.bind(filter.until).bind(filter.before).bind(LISTED_MAX);
    found.fetch_all(connection).await.map(Some)
}

/// One event and the beginning of its body.
///
/// # Errors
/// The database does not answer.
pub(crate) async fn event(
    connection: &mut PgConnection,
    id: &str,
) -> sqlx::Result<Option<(Sent, Vec<u8>)>> {
    let filter = Filter { id: id.to_owned(), ..Filter::default() };
    let found = list(connection, &filter).await?.unwrap_or_default();
    let Some(sent) = found.into_iter().find(|it| it.event_id.eq_ignore_ascii_case(id)) else {
        return Ok(None);
    };
    let body = sqlx::query_scalar(
        "select substr(envelope, 1, $2) from messaging_archive where event_id = cast($1 as uuid)",
    );
    let body = body.bind(id).bind(BODY_MAX).fetch_optional(connection).await?;
    Ok(body.map(|body| (sent, body)))
}

/// The traces of a run whose spans name a message. Blocks: it reads the run's files.
pub(crate) fn traces(run: &Path, message_id: &str) -> Vec<String> {
    let mut traces: Vec<String> = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(run).into_iter().flatten().flatten().collect();
    files.sort_by_key(|file| std::cmp::Reverse(file.file_name()));
    for file in files {
        if !file.file_name().to_string_lossy().starts_with("spans-") {
            continue;
        }
        let Ok(file) = File::open(file.path()) else { continue };
        let lines = BufReader::new(file).lines().map_while(Result::ok);
        for line in lines.filter(|line| line.contains(message_id)) {
            let span: Option<Span> = serde_json::from_str(&line).ok();
            let named = span.filter(|span| span.attribute("messaging.message.id") == message_id);
            let Some(trace) = named.map(|span| hex(&span.trace)) else { continue };
            if !traces.contains(&trace) && traces.len() < TRACES_MAX {
                traces.push(trace);
            }
        }
    }
    traces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_fields_ask_for_nothing_and_a_time_without_a_zone_is_utc() {
        let filter = |query: &str| -> Result<Filter, _> {
            axum::extract::Query::try_from_uri(&format!("/?{query}").parse().unwrap())
                .map(|axum::extract::Query(filter)| filter)
        };
        let empty = filter("service=&type=&id=&since=&until=").unwrap();
        assert_eq!((empty.since, empty.until, empty.before), (None, None, None));
        let at = |text: &str| filter(&format!("since={text}")).unwrap().since.unwrap().to_rfc3339();
        assert_eq!(at("2026-01-15T09:30"), "2026-01-15T09:30:00+00:00");
        assert_eq!(at("2026-01-15T09:30:05"), "2026-01-15T09:30:05+00:00");
        assert_eq!(at("2026-01-15T09:30:00Z"), "2026-01-15T09:30:00+00:00");
        assert!(filter("since=yesterday").is_err());
    }
}
