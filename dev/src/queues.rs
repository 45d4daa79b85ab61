//! `cargo dev queues`: the dead-letter queues of the running services, over their admin routes.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::{
    admin::{self, Admin, Answers, Endpoint},
    project::Project,
    table,
};

const NOT_FOUND: &str = "error: no dead letter that was looked at has this id";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A message is dead-lettered when its consumer has given up on it. `list` shows no message's content; `peek` does, and
that may be personal data. `replay` and `discard` need a filter, or --all; they take the oldest that match, up to the
limit. `discard` shows what would go, and throws it away with --yes. One look sees the first 50,000 dead letters of a
queue and reads for six seconds; what it acts on leaves the queue, so that repeating it comes to the next.

`replay` leaves messages that failed longer ago than the service's [consumer] inbox_retention, less the time that all
attempts of one may take: if one had its effect before it was dead-lettered, nothing would keep it from having it
again. --beyond-inbox-retention replays them too.

A service that does not answer is named on standard error, and the others answer all the same. The exit code is 0 when
everything that was asked for was done or shown, and 1 when a service did not answer, `replay` left something that
matches or stopped early, or nothing has the id that was given.")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    asked: admin::Asked,
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
    Replay {
        #[command(flatten)]
        chosen: Chosen,
        /// Also those whose effect, if they had one, the inbox may have forgotten
        #[arg(long)]
        beyond_inbox_retention: bool,
    },
    /// Throws dead letters away
    Discard {
        #[command(flatten)]
        chosen: Chosen,
        /// Throws away what is shown otherwise
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Filter {
    #[command(flatten)]
    common: admin::Selection,
    /// Whose cause holds this text
    #[arg(long)]
    cause: Option<String>,
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
        let cause = self.cause.as_ref().map(|cause| json!(cause));
        self.common.json(&[("cause", cause), ("limit", self.limit.map(|limit| json!(limit)))])
    }
}

impl Chosen {
    fn json(&self) -> Result<Map<String, Value>> {
        let filter = self.filter.json();
        admin::check_chosen(&filter, self.all)?;
        Ok(filter)
    }
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let chosen = match &args.action {
        Action::List(filter) => filter.json(),
        Action::Peek { .. } => Map::new(),
        Action::Replay { chosen, .. } | Action::Discard { chosen, .. } => chosen.json()?,
    };
    let admin = Admin::find(project, args.asked.service.as_deref())?;
    Ok(admin::exit_code(match &args.action {
        Action::List(_) => list(&listed(&admin, &chosen), args.asked.json),
        Action::Peek { id } => peek(&admin, id),
        Action::Replay { beyond_inbox_retention: beyond, .. } => {
            replay(&admin, &chosen, *beyond, args.asked.json)
        }
        Action::Discard { yes, .. } => discard(&admin, &chosen, *yes, args.asked.json),
    }))
}

/// How much waits in each queue, and what was dead-lettered and why, without any message's content.
pub(crate) fn snapshot(project: &Project) -> Result<Value> {
    Ok(listed(&Admin::find(project, None)?, &Map::new()).json("service"))
}

/// The queues of all services that were asked for, each with how much waits there.
fn queues(admin: &Admin) -> Answers {
    let all =
        admin.each(|service| admin.call("GET", &format!("{}/admin/queues", service.url), None));
    all.items(|service, queue| {
        let name = queue["queue"].as_str().unwrap_or_default();
        let url = format!("{}/admin/queues/{name}", service.url);
        Endpoint { queue: name.to_owned(), url, ..service.clone() }
    })
}

/// What one queue answers, with its name.
fn call(admin: &Admin, queue: &Endpoint, action: &str, body: Option<&Value>) -> Result<Value> {
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut answer = admin.call(method, &format!("{}/{action}", queue.url), body)?;
    (answer["service"], answer["queue"]) = (json!(queue.service), json!(queue.queue));
    Ok(answer)
}

fn listed(admin: &Admin, filter: &Map<String, Value>) -> Answers {
    let action = format!("dead-letters?{}", admin::query(filter));
    queues(admin).then(|queue, known| {
        let mut answer = call(admin, queue, &action, None)?;
        answer["waiting"] = known["waiting"].clone();
        Ok(answer)
    })
}

/// Says whether all answered.
fn list(answers: &Answers, as_json: bool) -> bool {
    if as_json {
        return print_json(answers);
    }
    let counts = answers.given.iter().map(|(queue, answer)| {
        let shown = answer["items"].as_array().map_or(0, Vec::len).to_string();
        let [waiting, dead_letters] =
            ["waiting", "dead_letters"].map(|name| table::cell(&answer[name]));
        [queue.queue.clone(), waiting, dead_letters + &unseen(answer), shown]
    });
    table::columns(["queue", "waiting", "dead letters", "shown"], counts);
    let items = answers.given.iter().filter_map(|(_, answer)| answer["items"].as_array());
    let mut rows = items.flatten().map(row).peekable();
    if rows.peek().is_some() {
        println!();
        table::columns(["id", "type", "attempts", "last failed", "cause"], rows);
    }
    answers.tell_missing()
}

fn row(item: &Value) -> [String; 5] {
    let names = ["id", "type", "attempts", "last_failed_at", "cause"];
    names.map(|name| table::cell(&item[name]))
}

/// Says whether it was found.
fn peek(admin: &Admin, id: &str) -> bool {
    let answers = queues(admin).then(|queue, _| {
        let url = format!("{}/dead-letters/{}", queue.url, admin::escaped(id));
        let answer = admin.send("GET", &url, None)?;
        if answer.status == 404 { Ok(Value::Null) } else { admin::checked(&answer) }
    });
    if let Some((_, peeked)) = answers.given.iter().find(|(_, answer)| answer.is_object()) {
        println!("{peeked:#}");
        return true;
    }
    answers.tell_missing();
    eprintln!("{NOT_FOUND}");
    false
}

/// Says whether all answered, and everything that matches was replayed.
fn replay(admin: &Admin, filter: &Map<String, Value>, beyond: bool, as_json: bool) -> bool {
    let action = format!("replay?beyond_inbox_retention={beyond}");
    let answers = queues(admin).then(|queue, _| call(admin, queue, &action, Some(&json!(filter))));
    let is_done = answers
        .given
        .iter()
        .all(|(_, answer)| answer["stopped"].is_null() && answer["beyond_inbox_retention"] == 0);
    print(&answers, as_json, replayed) && is_done && is_found(&answers, filter, "replayed")
}

/// Whether a message that was named was there, unless it was left where it is for another reason; says so
/// when it was not.
fn is_found(answers: &Answers, filter: &Map<String, Value>, count: &str) -> bool {
    let is_one = |answer: &Value| {
        answer[count] != 0 || answer["beyond_inbox_retention"].as_u64().is_some_and(|it| it > 0)
    };
    let is_found = !filter.contains_key("id")
        || !answers.are_all()
        || answers.given.iter().any(|(_, answer)| is_one(answer));
    if !is_found {
        eprintln!("{NOT_FOUND}");
    }
    is_found
}

fn replayed(answer: &Value) -> String {
    let left = match answer["beyond_inbox_retention"].as_u64() {
        None | Some(0) => String::new(),
        Some(left) => format!(
            ", {left} left that failed longer ago than the inbox remembers \
             (--beyond-inbox-retention replays them, and may repeat their effect)"
        ),
    };
    format!("{} replayed{left}", answer["replayed"])
}

/// Says whether all answered.
fn discard(admin: &Admin, filter: &Map<String, Value>, yes: bool, as_json: bool) -> bool {
    let discard = |queue: &Endpoint, confirmation: &Value| {
        let body = json!({ "filter": filter, "confirmation": confirmation });
        call(admin, queue, "discard", Some(&body))
    };
    let asked = queues(admin).then(|queue, _| discard(queue, &Value::Null));
    if !yes {
        let is_shown = print(&asked, as_json, |answer| {
            format!("{} would be thrown away; repeat with --yes", answer["matched"])
        });
        return is_shown && is_found(&asked, filter, "matched");
    }
    let answers = asked.then(|queue, asked| discard(queue, &asked["confirmation"]));
    print(&answers, as_json, |answer| format!("{} thrown away", answer["discarded"]))
        && is_found(&answers, filter, "discarded")
}

/// Prints a sentence for each queue, or all as JSON; says whether all answered.
fn print(answers: &Answers, as_json: bool, sentence: impl Fn(&Value) -> String) -> bool {
    if as_json {
        return print_json(answers);
    }
    for (queue, answer) in &answers.given {
        println!("{}: {}{}", queue.queue, sentence(answer), unseen(answer));
    }
    answers.tell_missing()
}

/// Prints all of it; says whether all answered.
fn print_json(answers: &Answers) -> bool {
    println!("{:#}", answers.json("service"));
    answers.are_all()
}

/// What was not seen, and why it ended early; empty when nothing is to be said.
fn unseen(answer: &Value) -> String {
    let seen = answer["seen"].as_u64();
    let dead_letters = answer["dead_letters"].as_u64();
    let mut remarks = Vec::new();
    if seen < dead_letters {
        remarks.push(format!(
            "{} of {} looked at",
            table::cell(&answer["seen"]),
            table::cell(&answer["dead_letters"])
        ));
    }
    remarks.extend(answer["stopped"].as_str().map(str::to_owned));
    if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join(": ")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::{Command, parse};

    fn chosen(line: &str) -> Result<Map<String, Value>> {
        let Command::Queues(args) = parse(line)? else { panic!("queues") };
        let Action::Replay { chosen, .. } = args.action else { panic!("a replay") };
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

    #[test]
    fn a_replay_says_what_it_left_and_why_it_ended() {
        let all = json!({"replayed": 2, "beyond_inbox_retention": 0, "seen": 2, "dead_letters": 2});
        assert_eq!(replayed(&all) + &unseen(&all), "2 replayed");
        let some = json!({"replayed": 2, "beyond_inbox_retention": 3, "seen": 5,
            "dead_letters": 9, "stopped": "time"});
        let said = replayed(&some) + &unseen(&some);
        assert!(said.starts_with("2 replayed, 3 left"), "{said}");
        assert!(said.contains("--beyond-inbox-retention"), "{said}");
        assert!(said.ends_with("(5 of 9 looked at: time)"), "{said}");
    }
}
