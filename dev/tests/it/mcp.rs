//! `cargo dev mcp` on a running system, as an assistant speaks with it.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use serde_json::{Value, json};

use crate::system::{Servers, System};

struct Assistant {
    process: Child,
    input: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    asked: u64,
}

impl Assistant {
    fn of(system: &System) -> Self {
        let mut command = system.dev(&["mcp"]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, input, answers, asked: 0 }
    }

    fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.asked += 1;
        let message =
            json!({"jsonrpc": "2.0", "id": self.asked, "method": method, "params": parameters});
        writeln!(self.input, "{message}").unwrap();
        let answer: Value = serde_json::from_str(&self.answers.next().unwrap().unwrap()).unwrap();
        assert_eq!(answer["id"], self.asked, "{answer}");
        answer["result"].clone()
    }

    /// What a tool tells; fails when it is an error.
    fn tool(&mut self, name: &str, arguments: &Value) -> String {
        let result = self.ask("tools/call", &json!({"name": name, "arguments": arguments}));
        assert_eq!(result["isError"], false, "{name}: {result}");
        result["content"][0]["text"].as_str().unwrap().to_owned()
    }

    fn json(&mut self, name: &str, arguments: &Value) -> Value {
        let told = self.tool(name, arguments);
        serde_json::from_str(&told).unwrap_or_else(|_| panic!("{name} tells no JSON: {told}"))
    }
}

#[test]
fn an_assistant_sees_the_system_and_calls_a_route_with_a_token() {
    let servers = Servers::start();
    let system = servers.system();
    system.succeeds(&["up", "--detach"]);
    let mut assistant = Assistant::of(&system);
    let said = assistant.ask("initialize", &json!({"protocolVersion": "2025-06-18"}));
    assert_eq!(said["serverInfo"]["name"], "cargo-dev");

    let status = assistant.json("status", &json!({}));
    assert!(status.as_array().unwrap().iter().any(|line| line["name"] == "user-service"));
    let nobody = json!({"service": "user-service", "path": "/api/users"});
    assert_eq!(assistant.json("call_route", &nobody)["status"], 401);
    let admin = json!({"service": "user-service", "path": "/api/users", "role": "admin"});
    let answer = assistant.json("call_route", &admin);
    assert_eq!(answer["status"], 200, "{answer}");

    let request = answer["headers"]["x-request-id"].as_str().unwrap();
    let mut trace = Value::Null;
    system.until("the request has a trace", || {
        let found = assistant.json("traces", &json!({"name": "/api/users", "limit": 10}));
        trace = found["items"][0]["trace_id"].clone();
        trace.is_string()
    });
    let spans = assistant.tool("trace", &json!({ "id": trace }));
    assert!(spans.contains("user-service"), "{spans}");
    system.until("its line is in the log", || {
        let logs = assistant.tool("logs", &json!({"trace": request, "limit": 5}));
        logs.contains("request answered")
    });
    let settings = assistant.tool("settings", &json!({"service": "user-service"}));
    assert!(settings.contains("DATABASE_URL") && !settings.contains("postgres://"), "{settings}");
    system.until("the services have been asked for their metrics", || {
        assistant.tool("metrics", &json!({})).contains("http_server_request_duration")
    });
    assert!(assistant.tool("calls", &json!({})).contains("payment-provider"));
    assert!(assistant.tool("dead_letters", &json!({})).contains("user-service.events"));
    assistant.tool("events", &json!({"service": "user-service"}));

    // What is too long is answered once, and what comes after it as ever.
    writeln!(assistant.input, "{}", "x".repeat(3 << 20)).unwrap();
    let answer: Value = serde_json::from_str(&assistant.answers.next().unwrap().unwrap()).unwrap();
    assert_eq!(answer["error"]["code"], -32700, "{answer}");
    assert_eq!(assistant.ask("ping", &json!({})), json!({}));

    drop(assistant.input);
    assert!(assistant.process.wait().unwrap().success(), "it ends with its input");
    system.succeeds(&["down"]);
}
