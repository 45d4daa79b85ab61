//! Addresses of pages with what they are asked.

/// A path with those of the parameters that are not empty.
pub(crate) fn link(path: &str, parameters: &[(&str, &str)]) -> String {
    let given = parameters.iter().filter(|(_, value)| !value.is_empty());
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// Nanoseconds since 1970 as a parameter.
pub(crate) fn time(nanoseconds: u64) -> String {
    let time =
        chrono::DateTime::from_timestamp_nanos(i64::try_from(nanoseconds).unwrap_or_default());
    time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// A parameter as nanoseconds since 1970: a time, or how long ago (`5m`).
pub(crate) fn parse_time(text: &str) -> Result<Option<u64>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let time = log_files::asked(text, chrono::Utc::now())?;
    Ok(time.timestamp_nanos_opt().and_then(|time| u64::try_from(time).ok()))
}
