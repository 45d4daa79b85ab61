//! `cargo dev queues`: the dead-letter queues of the running services, over their admin routes.

mod dead_letter_queues;

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use crate::{
    project::Project,
    queues::dead_letter_queues::{DeadLetterQueue, DeadLetterQueues},
    table,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A message is dead-lettered when its consumer has given up on it. `list` shows no message's content; `peek` does, and
that may be personal data. `replay` and `discard` need a filter, or --all; `discard` shows what would go, and
throws it away with --yes. One look sees the first 50,000 dead letters of a queue; what it acts on leaves
the queue, so that repeating it comes to the next.")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    /// This service's queue only
    #[arg(long, global = true, value_name = "NAME")]
    service: Option<String>,
    /// Prints JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists dead letters, and how much waits in each queue
    List(Filter),
    /// Shows one dead letter with what it says
    Peek {
        /// The message's id, as `list` shows it
        id: String,
    },
    /// Puts dead letters back into their queue
    Replay(Chosen),
    /// Throws dead letters away
    Discard {
        #[command(flatten)]
        chosen: Chosen,
        /// Throws away what is shown otherwise
        #[arg(long)]
        yes: bool,
    },
}

/// Which messages are meant: those that match all of it.
#[derive(Debug, clap::Args)]
struct Filter {
    /// The message with this id
    #[arg(long)]
    id: Option<String>,
    /// Events of this type: user.created
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Whose cause holds this text
    #[arg(long)]
    cause: Option<String>,
    /// Whose last attempt failed at this time or later: 2026-01-15T09:30:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Whose last attempt failed before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// How many of each queue at most, 1 to 1000; 100 when not given
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
}

#[derive(Debug, clap::Args)]
struct Chosen {
    #[command(flatten)]
    filter: Filter,
    /// All that is dead-lettered, up to the limit
    #[arg(long)]
    all: bool,
}

impl Filter {
    fn json(&self) -> Map<String, Value> {
        let text = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| (name.to_owned(), json!(value)))
        };
        let texts = [
            text("id", &self.id),
            text("type", &self.event_type),
            text("cause", &self.cause),
            text("since", &self.since),
            text("until", &self.until),
        ];
        let limit = self.limit.map(|limit| ("limit".to_owned(), json!(limit)));
        texts.into_iter().flatten().chain(limit).collect()
    }
}

impl Chosen {
    fn json(&self) -> Result<Map<String, Value>> {
        let filter = self.filter.json();
        if !self.all && filter.keys().all(|name| name == "limit") {
            bail!("say which messages: by --id, --type, --cause, --since, --until, or --all");
        }
        Ok(filter)
    }
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let chosen = match &args.action {
        Action::List(filter) => filter.json(),
        Action::Peek { .. } => Map::new(),
        Action::Replay(chosen) | Action::Discard { chosen, .. } => chosen.json()?,
    };
    let dlqs = DeadLetterQueues::find(project, args.service.as_deref())?;
    match &args.action {
        Action::List(_) => list(&dlqs, &chosen, args.json),
        Action::Peek { id } => peek(&dlqs, id),
        Action::Replay(_) => replay(&dlqs, &chosen, args.json),
        Action::Discard { yes, .. } => discard(&dlqs, &chosen, *yes, args.json),
    }
}

fn list(dlqs: &DeadLetterQueues, filter: &Map<String, Value>, as_json: bool) -> Result<ExitCode> {
    let mut answers = Vec::new();
    for dlq in &dlqs.all {
        let mut answer = dlqs.list(dlq, filter)?;
        answer["service"] = json!(dlq.service);
        answer["queue"] = json!(dlq.queue);
        answer["waiting"] = json!(dlq.waiting);
        answers.push(answer);
    }
    if as_json {
        println!("{:#}", json!(answers));
        return Ok(ExitCode::SUCCESS);
    }
    let counts = answers.iter().map(|answer| {
        let items = answer["items"].as_array().map_or(0, Vec::len).to_string();
        [text(&answer["queue"]), text(&answer["waiting"]), text(&answer["dead_letters"]), items]
    });
    table::columns(["queue", "waiting", "dead_letters", "shown"], counts);
    let items = answers.iter().flat_map(|answer| answer["items"].as_array().into_iter().flatten());
    let mut rows = items.map(row).peekable();
    if rows.peek().is_some() {
        println!();
        table::columns(["id", "type", "attempts", "last failed", "cause"], rows);
    }
    Ok(ExitCode::SUCCESS)
}

fn row(item: &Value) -> [String; 5] {
    let names = ["id", "type", "attempts", "last_failed_at", "cause"];
    names.map(|name| text(&item[name]))
}

fn peek(dlqs: &DeadLetterQueues, id: &str) -> Result<ExitCode> {
    for dlq in &dlqs.all {
        if let Some(peeked) = dlqs.peek(dlq, id)? {
            println!("{peeked:#}");
            return Ok(ExitCode::SUCCESS);
        }
    }
    bail!("no dead letter has this id")
}

fn replay(dlqs: &DeadLetterQueues, filter: &Map<String, Value>, as_json: bool) -> Result<ExitCode> {
    let answers = dlqs.each(|dlq| dlqs.act(dlq, "replay", &json!(filter)))?;
    let has_stopped = answers.iter().any(|(_, answer)| answer["stopped"].is_string());
    print(&answers, as_json, |answer| {
        let stopped = answer["stopped"].as_str().map(|why| format!(", then stopped: {why}"));
        format!("{} replayed{}", answer["replayed"], stopped.unwrap_or_default())
    });
    Ok(if has_stopped { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn discard(
    dlqs: &DeadLetterQueues,
    filter: &Map<String, Value>,
    yes: bool,
    json: bool,
) -> Result<ExitCode> {
    let asked = dlqs.each(|dlq| dlqs.act(dlq, "discard", &json!({ "filter": filter })))?;
    if !yes {
        print(&asked, json, |answer| {
            format!("{} would be thrown away; repeat with --yes", answer["matched"])
        });
        return Ok(ExitCode::SUCCESS);
    }
    let mut answers = Vec::new();
    for (dlq, asked) in asked {
        let body = json!({ "filter": filter, "confirmation": asked["confirmation"] });
        answers.push((dlq, dlqs.act(dlq, "discard", &body)?));
    }
    print(&answers, json, |answer| format!("{} thrown away", answer["discarded"]));
    Ok(ExitCode::SUCCESS)
}

fn print(
    answers: &[(&DeadLetterQueue, Value)],
    as_json: bool,
    sentence: impl Fn(&Value) -> String,
) {
    if as_json {
        let answers = answers.iter().map(|(dlq, answer)| {
            let mut answer = answer.clone();
            answer["queue"] = json!(dlq.queue);
            answer
        });
        println!("{:#}", json!(answers.collect::<Vec<_>>()));
        return;
    }
    for (dlq, answer) in answers {
        let (seen, dead_letters) = (answer["seen"].as_u64(), answer["dead_letters"].as_u64());
        let seen = if seen < dead_letters {
            format!(" ({} of {} looked at)", text(&answer["seen"]), text(&answer["dead_letters"]))
        } else {
            String::new()
        };
        println!("{}: {}{seen}", dlq.queue, sentence(answer));
    }
}

/// A value as a cell of a table.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn chosen(line: &str) -> Result<Map<String, Value>> {
        let line = Line::try_parse_from(line.split(' ')).unwrap();
        let Action::Replay(chosen) = line.args.action else { panic!("a replay") };
        chosen.json()
    }

    #[test]
    fn everything_is_meant_only_when_it_is_said() {
        assert!(chosen("queues replay").is_err());
        assert!(chosen("queues replay --limit 5").is_err());
        assert!(chosen("queues replay --all").unwrap().is_empty());
        let filter = chosen("queues replay --type user.created --limit 5").unwrap();
        assert_eq!(json!(filter), json!({"type": "user.created", "limit": 5}));
    }
}
