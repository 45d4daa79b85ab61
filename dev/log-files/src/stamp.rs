//! The times that lines begin with, as services, PostgreSQL, Redis and RabbitMQ write them, and those
//! that a user names.

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

/// A time of the world; all that is shown and asked for is UTC.
pub type Time = DateTime<Utc>;

/// The time at the beginning of a line, and what follows it.
pub(crate) fn split(line: &str) -> Option<(Time, &str)> {
    if !line.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    rfc3339(line).or_else(|| spaced(line)).or_else(|| redis(line))
}

/// `2026-01-15T09:30:00.123456Z …`, as services write it.
fn rfc3339(line: &str) -> Option<(Time, &str)> {
    let (stamp, rest) = line.split_once(' ').unwrap_or((line, ""));
    Some((DateTime::parse_from_rfc3339(stamp).ok()?.to_utc(), rest.trim_start()))
}

/// `2026-01-15 09:30:00.123 UTC …` of PostgreSQL, whose zone may be an offset too, and
/// `2026-01-15 09:30:00.123456+01:00 …` of RabbitMQ.
fn spaced(line: &str) -> Option<(Time, &str)> {
    let end = line.match_indices(' ').nth(1).map_or(line.len(), |(end, _)| end);
    let (stamp, rest) = line.split_at(end);
    let rest = rest.trim_start();
    if let Ok(time) = DateTime::parse_from_str(stamp, "%Y-%m-%d %H:%M:%S%.f%:z") {
        return Some((time.to_utc(), rest));
    }
    let time = NaiveDateTime::parse_from_str(stamp, "%Y-%m-%d %H:%M:%S%.f").ok()?.and_utc();
    let (zone, after) = rest.split_once(' ').unwrap_or((rest, ""));
    match zone {
        "UTC" | "GMT" | "Z" => Some((time, after.trim_start())),
        _ => match offset(zone) {
            Some(offset) => Some((time.checked_sub_signed(offset)?, after.trim_start())),
            // An older RabbitMQ names no zone; a zone of letters is not known to anybody for sure.
            None if rest.starts_with('[') => Some((time, rest)),
            None => None,
        },
    }
}

/// `+01`, `-0330`, `+05:30`.
fn offset(zone: &str) -> Option<TimeDelta> {
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = zone[1..].chars().filter(|sign| *sign != ':').collect();
    let is_offset = matches!(digits.len(), 2 | 4) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: i64 = is_offset.then(|| digits.parse().ok())??;
    let minutes = if digits.len() == 2 { number * 60 } else { number / 100 * 60 + number % 100 };
    TimeDelta::try_minutes(sign * minutes)
}

/// `8377:M 15 Jan 2026 09:30:00.123 * …`; the process and its role go on in what follows.
fn redis(line: &str) -> Option<(Time, &str)> {
    let (process, rest) = line.split_once(' ')?;
    let (pid, role) = process.split_once(':')?;
    if role.len() != 1 || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let end = rest.match_indices(' ').nth(3).map_or(rest.len(), |(end, _)| end);
    let (stamp, rest) = rest.split_at(end);
    let time = NaiveDateTime::parse_from_str(stamp, "%d %b %Y %H:%M:%S%.f").ok()?;
    Some((time.and_utc(), rest.trim_start()))
}

/// A time as `--since` and `--until` take it: so long ago (`90s`, `5m`, `1h`, `2d`), or a time, which
/// is UTC where it names no zone: `2026-01-15T09:30:00Z`, `2026-01-15 09:30`, `09:30` of the last day
/// that has been.
///
/// # Errors
/// It is none of these.
pub fn asked(text: &str, now: Time) -> Result<Time, String> {
    let text = text.trim();
    ago(text, now)
        .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()))
        .or_else(|| date_and_time(text))
        .or_else(|| time_of_day(text, now))
        .ok_or_else(|| {
            "write how long ago (30s, 5m, 1h, 2d) or a time (2026-01-15T09:30:00Z, 09:30)"
                .to_owned()
        })
}

fn ago(text: &str, now: Time) -> Option<Time> {
    let number = text.get(..text.len().checked_sub(1)?)?.parse::<u32>().ok()?;
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 60 * 60,
        b'd' => 24 * 60 * 60,
        _ => return None,
    };
    now.checked_sub_signed(TimeDelta::try_seconds(i64::from(number).checked_mul(unit)?)?)
}

fn date_and_time(text: &str) -> Option<Time> {
    let text = text.replace('T', " ");
    let forms = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    let time = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(&text, form).ok());
    let day = || NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    time.or_else(day).map(|time| time.and_utc())
}

fn time_of_day(text: &str, now: Time) -> Option<Time> {
    let forms = ["%H:%M:%S%.f", "%H:%M"];
    let time = forms.iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok())?;
    let today = now.date_naive().and_time(time).and_utc();
    if today <= now { Some(today) } else { today.checked_sub_days(Days::new(1)) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn the_times_of_services_and_servers_are_read() {
        let noon = time("2026-01-15T12:00:00.25Z");
        for (line, rest) in [
            ("2026-01-15T12:00:00.25Z  INFO server listening", "INFO server listening"),
            ("2026-01-15T13:00:00.250+01:00 x", "x"),
            ("2026-01-15 12:00:00.250 UTC [8] LOG:  ready", "[8] LOG:  ready"),
            ("2026-01-15 13:00:00.250 +01 [8] LOG:  ready", "[8] LOG:  ready"),
            ("2026-01-15 08:30:00.250 -0330 [8] LOG:  ready", "[8] LOG:  ready"),
            ("2026-01-15 12:00:00.250000+00:00 [info] <0.1.0> up", "[info] <0.1.0> up"),
            ("2026-01-15 14:00:00.250000+02:00 [info] <0.1.0> up", "[info] <0.1.0> up"),
            ("2026-01-15 12:00:00.250 [info] <0.1.0> up", "[info] <0.1.0> up"),
            ("83:M 15 Jan 2026 12:00:00.250 * Ready", "* Ready"),
            ("83:C 15 Jan 2026 12:00:00.250 # Ready", "# Ready"),
        ] {
            assert_eq!(split(line), Some((noon, rest)), "{line}");
        }
    }

    #[test]
    fn lines_without_a_time_have_none() {
        for line in [
            "",
            "  at src/main.rs:7",
            "8377:signal-handler (1795954333) Received SIGTERM",
            "2026-01-15 12:00:00.250 CET [8] LOG:  ready",
            "2026-01-15",
            "2026-13-15T12:00:00Z x",
            "83:M 15 Foo 2026 12:00:00.250 * Ready",
            "1ö",
            "7:ö 15 Jan",
            "2026-01-15 12:00:00.250 +ö1 x",
        ] {
            assert_eq!(split(line), None, "{line}");
        }
    }

    #[test]
    fn a_time_is_asked_for_by_how_long_ago_it_was_or_by_its_name() {
        let now = time("2026-01-15T12:00:00Z");
        for (text, expected) in [
            ("30s", "2026-01-15T11:59:30Z"),
            ("5m", "2026-01-15T11:55:00Z"),
            ("1h", "2026-01-15T11:00:00Z"),
            ("2d", "2026-01-13T12:00:00Z"),
            ("2026-01-15T09:30:00Z", "2026-01-15T09:30:00Z"),
            ("2026-01-15T09:30:00+01:00", "2026-01-15T08:30:00Z"),
            ("2026-01-15 09:30", "2026-01-15T09:30:00Z"),
            ("2026-01-15T09:30:01.5", "2026-01-15T09:30:01.5Z"),
            ("2026-01-15", "2026-01-15T00:00:00Z"),
            ("09:30", "2026-01-15T09:30:00Z"),
            ("12:30", "2026-01-14T12:30:00Z"),
        ] {
            assert_eq!(asked(text, now), Ok(time(expected)), "{text}");
        }
        for text in ["", "5", "m", "5w", "-5m", "yesterday", "25:00", "5ö", "99999999999d"] {
            assert!(asked(text, now).is_err(), "{text}");
        }
    }
}
