//! `cargo dev mcp`: the running system for assistants, by the Model Context Protocol over standard input
//! and output (<https://modelcontextprotocol.io/specification/2025-06-18>).
//!
//! Each message is a line of JSON-RPC 2.0. Whatever a tool tells, a command of `cargo dev` or the
//! dashboard's API tells, too: nothing is known here alone.

mod calls;
mod tools;

use std::{
    fmt::Write as _,
    io::{self, BufRead, Read, Write},
    process::ExitCode,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{interrupt::Interrupt, project::Project};
use tools::Tool;

/// The versions of the protocol that this speaks, the newest first.
const VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// The longest message, in bytes.
const MESSAGE_MAX: u64 = 1 << 20;
/// The longest answer of a tool, in bytes: an assistant reads all of it.
const ANSWER_MAX: usize = 100_000;
const POLL: Duration = Duration::from_millis(100);

/// JSON-RPC's codes.
const NOT_JSON: i64 = -32700;
const NO_REQUEST: i64 = -32600;
const NO_METHOD: i64 = -32601;
const WRONG_PARAMETERS: i64 = -32602;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
For an assistant that starts programs, such as in .mcp.json at the top of the checkout:
  {\"mcpServers\": {\"system\": {\"command\": \"cargo\", \"args\": [\"dev\", \"mcp\"]}}}")]
pub(crate) struct Args {}

pub(crate) fn run(project: &Project, interrupt: &Interrupt) -> Result<ExitCode> {
    let lines = lines();
    while !interrupt.is_set() {
        let line = match lines.recv_timeout(POLL) {
            Ok(line) => line.context("read a message")?,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        if let Some(answer) = answer(project, &line) {
            let mut out = io::stdout().lock();
            writeln!(out, "{answer}").and_then(|()| out.flush()).context("write an answer")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The lines of the input, read beside whoever waits for a signal, too.
fn lines() -> Receiver<io::Result<String>> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let read = match (&mut input).take(MESSAGE_MAX).read_until(b'\n', &mut line) {
                Ok(0) => return,
                // What is no text is no JSON either, and answered as such; of what is too long, the
                // rest is passed over, and it is answered once.
                Ok(_) if line.ends_with(b"\n") || (line.len() as u64) < MESSAGE_MAX => {
                    Ok(String::from_utf8_lossy(&line).into_owned())
                }
                Ok(_) => pass_over_line(&mut input).map(|()| "too long".to_owned()),
                Err(error) => Err(error),
            };
            if sender.send(read).is_err() {
                return;
            }
        }
    });
    lines
}

/// Reads to the end of the line and keeps nothing of it.
fn pass_over_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(buffer.len(), |end| end + 1);
        input.consume(length);
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}

/// The answer to a message; none to a notification.
fn answer(project: &Project, line: &str) -> Option<Value> {
    if line.trim().is_empty() {
        return None;
    }
    let Ok(message) = serde_json::from_str::<Value>(line) else {
        return Some(error(&Value::Null, NOT_JSON, "a message is one line of JSON"));
    };
    let Some(method) = message["method"].as_str() else {
        // An answer to something that was never asked.
        let is_answer = message.get("result").is_some() || message.get("error").is_some();
        return (!is_answer).then(|| error(&message["id"], NO_REQUEST, "the method is missing"));
    };
    let id = message.get("id").filter(|id| !id.is_null())?;
    let parameters = &message["params"];
    let outcome = match method {
        "initialize" => Ok(introduction(parameters)),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({"tools": Tool::all().map(Tool::described).collect::<Vec<_>>()})),
        "tools/call" => call(project, parameters),
        _ => Err((NO_METHOD, format!("there is no method `{method}`"))),
    };
    Some(match outcome {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err((code, text)) => error(id, code, &text),
    })
}

fn error(id: &Value, code: i64, text: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": text}})
}

fn introduction(parameters: &Value) -> Value {
    let asked = parameters["protocolVersion"].as_str().unwrap_or_default();
    let version = VERSIONS.into_iter().find(|version| *version == asked).unwrap_or(VERSIONS[0]);
    json!({
        "protocolVersion": version,
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "cargo-dev", "version": env!("CARGO_PKG_VERSION")},
        "instructions": "A system of microservices on this machine, run by `cargo dev up`. Begin with \
            `status`; a trace id in a log line leads to `trace`.",
    })
}

fn call(project: &Project, parameters: &Value) -> Result<Value, (i64, String)> {
    let name = parameters["name"].as_str().unwrap_or_default();
    let tool = Tool::all().find(|tool| tool.name == name);
    let tool = tool.ok_or_else(|| (WRONG_PARAMETERS, format!("there is no tool `{name}`")))?;
    let told = tool.call(project, &parameters["arguments"]);
    let is_error = told.is_err();
    let text = told.unwrap_or_else(|error| format!("{error:#}"));
    Ok(json!({"content": [{"type": "text", "text": cut(text)}], "isError": is_error}))
}

/// What an assistant can read at once, and how to ask for less.
fn cut(mut text: String) -> String {
    if text.len() > ANSWER_MAX {
        let left_out = text.len() - ANSWER_MAX;
        text.truncate(text.floor_char_boundary(ANSWER_MAX));
        let _never_fails =
            write!(text, "\n… {left_out} more bytes; ask for less by a filter or a limit");
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::*;

    fn asked(line: &str) -> Option<Value> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        answer(&Project::at(root).unwrap(), line)
    }

    #[test]
    fn a_client_is_told_what_there_is() {
        let said = asked(
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26"}}"#,
        );
        assert_eq!(said.unwrap()["result"]["protocolVersion"], "2025-03-26");
        let said = asked(
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"1"}}"#,
        );
        assert_eq!(said.unwrap()["result"]["protocolVersion"], VERSIONS[0]);
        assert_eq!(asked(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#), None);
        let listed = asked(r#"{"jsonrpc":"2.0","id":"a","method":"tools/list"}"#).unwrap();
        let tools = listed["result"]["tools"].as_array().unwrap();
        assert!(tools.iter().all(|tool| tool["inputSchema"]["type"] == "object"));
        assert_eq!(listed["id"], "a");
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_with_its_code() {
        for (line, code) in [
            ("{", NOT_JSON),
            (r#"{"jsonrpc":"2.0","id":1}"#, NO_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"method":"resources/list"}"#, NO_METHOD),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}"#,
                WRONG_PARAMETERS,
            ),
        ] {
            assert_eq!(asked(line).unwrap()["error"]["code"], code, "{line}");
        }
        assert_eq!(asked(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#), None);
        assert_eq!(asked("\n"), None);
    }

    #[test]
    fn a_long_answer_is_cut_at_a_sign_and_says_so() {
        let text = cut("ü".repeat(ANSWER_MAX));
        assert!(text.len() < ANSWER_MAX + 100 && text.contains("more bytes"));
    }
}
