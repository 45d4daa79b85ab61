//! What is in Redis: keys by their beginning, and the value of one. Nothing is changed, and nobody else
//! waits: `SCAN` in bounded steps instead of `KEYS`.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisResult, Value, cmd, pipe};

/// Keys on a page.
const KEYS_MAX: usize = 200;
/// Keys that a step of the search looks at, and how long it goes on in all.
const STEP: usize = 1_000;
const SEARCH_LIMIT: Duration = Duration::from_millis(500);
/// How long an answer is waited for.
const LIMIT: Duration = Duration::from_secs(1);
/// Bytes of a value, and members of one that has several.
const VALUE_MAX: usize = 16_384;
const MEMBERS_MAX: usize = 100;

/// A key in a line.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: String,
    /// `string`, `hash`, …
    pub(crate) kind: String,
    /// Milliseconds until it goes; negative for never.
    pub(crate) ttl: i64,
    /// Bytes in Redis' memory.
    pub(crate) bytes: i64,
}

/// Keys that were found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) keys: Vec<Key>,
    /// Keys of the whole database.
    pub(crate) count: u64,
    /// Whether the search has seen all of them.
    pub(crate) is_complete: bool,
}

/// The keys that begin like that, by their names.
///
/// # Errors
/// A sentence: Redis does not answer.
pub(crate) async fn find(address: &str, prefix: &str) -> Result<Found, String> {
    bounded(async {
        let mut connection = connect(address).await?;
        let (names, is_complete) = names(&mut connection, prefix).await?;
        let count = cmd("DBSIZE").query_async(&mut connection).await?;
        let keys = describe(&mut connection, names).await?;
        Ok(Found { keys, count, is_complete })
    })
    .await
}

/// The value of a key, as far as it is shown; none where there is no such key.
///
/// # Errors
/// A sentence: Redis does not answer.
pub(crate) async fn value(address: &str, key: &str) -> Result<Option<String>, String> {
    bounded(async {
        let mut connection = connect(address).await?;
        let kind: String = cmd("TYPE").arg(key).query_async(&mut connection).await?;
        let last = MEMBERS_MAX - 1;
        let command = match kind.as_str() {
            "none" => return Ok(None),
            "string" => cmd("GETRANGE").arg(key).arg(0).arg(VALUE_MAX - 1).to_owned(),
            "hash" => cmd("HSCAN").arg(key).arg(0).arg("COUNT").arg(MEMBERS_MAX).to_owned(),
            "set" => cmd("SRANDMEMBER").arg(key).arg(MEMBERS_MAX).to_owned(),
            "zset" => cmd("ZRANGE").arg(key).arg(0).arg(last).arg("WITHSCORES").to_owned(),
            "list" => cmd("LRANGE").arg(key).arg(0).arg(last).to_owned(),
            other => return Ok(Some(format!("a {other} is not shown"))),
        };
        let value: Value = command.query_async(&mut connection).await?;
        let mut text = String::new();
        write(&value, &mut text);
        Ok(Some(text))
    })
    .await
}

async fn bounded<T>(work: impl Future<Output = RedisResult<T>>) -> Result<T, String> {
    match tokio::time::timeout(LIMIT * 2, work).await {
        Ok(Ok(done)) => Ok(done),
        // What an error of the address says may hold the password.
        Ok(Err(error)) => Err(format!("Redis does not answer: {}", error.category())),
        Err(_) => Err("Redis does not answer in time".to_owned()),
    }
}

async fn connect(address: &str) -> RedisResult<MultiplexedConnection> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(LIMIT))
        .set_response_timeout(Some(LIMIT));
    Client::open(address)?.get_multiplexed_async_connection_with_config(&config).await
}

/// Names, and whether all keys were looked at.
async fn names(
    connection: &mut MultiplexedConnection,
    prefix: &str,
) -> RedisResult<(Vec<Vec<u8>>, bool)> {
    let begun = Instant::now();
    let mut cursor = 0_u64;
    let mut names = Vec::new();
    let pattern = format!("{}*", escaped(prefix));
    loop {
        let mut step = cmd("SCAN");
        step.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(STEP);
        let (next, found): (u64, Vec<Vec<u8>>) = step.query_async(connection).await?;
        names.extend(found);
        cursor = next;
        let is_complete = cursor == 0 && names.len() <= KEYS_MAX;
        if cursor == 0 || names.len() > KEYS_MAX || begun.elapsed() > SEARCH_LIMIT {
            names.sort();
            names.dedup();
            names.truncate(KEYS_MAX);
            return Ok((names, is_complete));
        }
    }
}

async fn describe(
    connection: &mut MultiplexedConnection,
    names: Vec<Vec<u8>>,
) -> RedisResult<Vec<Key>> {
    let asked = names.iter().fold(pipe(), |mut all: Pipeline, name| {
        all.cmd("TYPE").arg(name).cmd("PTTL").arg(name);
        all.cmd("MEMORY").arg("USAGE").arg(name).arg("SAMPLES").arg(1);
        all
    });
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let answers: Vec<Value> = asked.query_async(connection).await?;
    let keys = names.into_iter().zip(answers.chunks_exact(3)).map(|(name, answer)| Key {
        name: String::from_utf8_lossy(&name).into_owned(),
        kind: redis::from_redis_value_ref(&answer[0]).unwrap_or_default(),
        ttl: redis::from_redis_value_ref(&answer[1]).unwrap_or(-1),
        bytes: redis::from_redis_value_ref(&answer[2]).unwrap_or_default(),
    });
    // One that has gone in between has no type any more.
    Ok(keys.filter(|key| key.kind != "none").collect())
}

/// A text as a pattern that matches it alone.
fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for character in text.chars() {
        if "*?[]^-\\".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// A value as lines of text, up to the bound.
fn write(value: &Value, text: &mut String) {
    if text.len() > VALUE_MAX {
        return;
    }
    match value {
        Value::BulkString(bytes) => text.push_str(&String::from_utf8_lossy(bytes)),
        Value::SimpleString(line) => text.push_str(line),
        Value::Int(number) => text.push_str(&number.to_string()),
        Value::Double(number) => text.push_str(&number.to_string()),
        Value::Array(all) | Value::Set(all) => {
            for (at, one) in all.iter().enumerate() {
                if at > 0 {
                    text.push('\n');
                }
                write(one, text);
            }
        }
        _ => text.push('-'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_itself_alone() {
        assert_eq!(escaped("a*b[1]?\\"), "a\\*b\\[1\\]\\?\\\\");
    }

    #[test]
    fn a_value_of_several_members_is_shown_line_by_line() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let value = Value::Array(vec![bulk("0"), Value::Array(vec![bulk("a"), bulk("1")])]);
        let mut text = String::new();
        write(&value, &mut text);
        assert_eq!(text, "0\na\n1");
    }
}
