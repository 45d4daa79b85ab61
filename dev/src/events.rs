//! `cargo dev events`: the events that the running services have sent, over their admin routes.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::{
    admin::{self, Admin, Endpoint},
    project::Project,
    table,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Events are kept where [outbox] archive says for how long; what they say is not shown. `republish` needs a
filter, or --all, and a target: --queue feeds one reader, and no other gets them; --everyone sends them
through their exchange again, where each reader drops what its inbox remembers and has the rest twice. It
shows how many match, and sends them with --yes. Ids stay as they are.")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    asked: admin::Asked,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Lists events in the order in which they were written
    List {
        #[command(flatten)]
        filter: Filter,
        /// Those behind this position
        #[arg(long, value_name = "POSITION", allow_negative_numbers = true)]
        after: Option<i64>,
        /// How many of each service at most, 1 to 1000; 100 when not given
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: Option<u16>,
    },
    /// Sends events again
    Republish {
        #[command(flatten)]
        filter: Filter,
        /// All events that are kept
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        target: Target,
        /// Sends what is counted otherwise
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Filter {
    #[command(flatten)]
    common: admin::Selection,
    /// Events of this aggregate
    #[arg(long, value_name = "ID")]
    aggregate: Option<String>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// To this queue only: payment-service.events
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// To all readers that are bound
    #[arg(long)]
    everyone: bool,
}

/// Events of one page while all are sent again.
const PAGE: u16 = 1_000;

impl Filter {
    fn json(&self, more: &[(&str, Option<Value>)]) -> Map<String, Value> {
        let aggregate = self.aggregate.as_ref().map(|aggregate| json!(aggregate));
        self.common.json(&[&[("aggregate", aggregate)], more].concat())
    }
}

impl Target {
    fn json(&self) -> Value {
        self.queue.as_ref().map_or_else(|| json!("all"), |queue| json!({ "queue": queue }))
    }
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let admin = Admin::find(project, args.asked.service.as_deref())?;
    Ok(admin::exit_code(match &args.action {
        Action::List { filter, after, limit } => {
            let after = after.map(|after| json!(after));
            let limit = limit.map(|limit| json!(limit));
            list(&admin, &filter.json(&[("after", after), ("limit", limit)]), args.asked.json)
        }
        Action::Republish { filter, all, target, yes } => {
            let filter = filter.json(&[]);
            admin::check_chosen(&filter, *all)?;
            republish(&admin, &filter, &target.json(), *yes, args.asked.json)
        }
    }))
}

/// Prints what those list that answer, and says who does not.
fn list(admin: &Admin, filter: &Map<String, Value>, as_json: bool) -> bool {
    let pages = admin.each(|Endpoint { service, url, .. }| {
        let url = format!("{url}/admin/events?{}", admin::query(filter));
        let mut page = admin.call("GET", &url, None)?;
        page["service"] = json!(service);
        Ok(page)
    });
    if as_json {
        println!("{:#}", pages.json("service"));
        return pages.are_all();
    }
    let rows =
        pages.given.iter().flat_map(|(_, page)| page["items"].as_array().into_iter().flatten());
    let names = ["position", "id", "type", "aggregate", "sent_at", "bytes"];
    table::columns(names, rows.map(|item| names.map(|name| table::cell(&item[name]))));
    for (place, page) in pages.given.iter().filter(|(_, page)| page["next"].is_i64()) {
        println!("more of {}: --after {}", place.service, page["next"]);
    }
    pages.tell_missing()
}

/// Says whether all was sent.
fn republish(
    admin: &Admin,
    filter: &Map<String, Value>,
    target: &Value,
    yes: bool,
    as_json: bool,
) -> bool {
    let answers = admin.each(|Endpoint { service, url, .. }| {
        let url = format!("{url}/admin/events/republish");
        let mut sent = Sent::default();
        let sending = sent.all(|body| admin.call("POST", &url, Some(body)), filter, target, yes);
        // What was sent before has been sent.
        sent.stopped = sent.stopped.or(sending.err().map(|error| format!("{error:#}")));
        if !as_json {
            println!("{service}: {}", sent.sentence(yes));
        }
        Ok(sent.json(service))
    });
    if as_json {
        println!("{:#}", answers.json("service"));
    }
    let is_done = answers.given.iter().all(|(_, sent)| sent["stopped"].is_null());
    answers.tell_missing() && is_done
}

/// What became of all pages of one service.
#[derive(Debug, Default)]
struct Sent {
    matched: u64,
    republished: u64,
    stopped: Option<String>,
}

impl Sent {
    /// Asks page by page, and with `yes` sends each after it was asked for.
    fn all(
        &mut self,
        call: impl Fn(&Value) -> Result<Value>,
        filter: &Map<String, Value>,
        target: &Value,
        yes: bool,
    ) -> Result<()> {
        let mut page = filter.clone();
        page.insert("limit".to_owned(), json!(PAGE));
        loop {
            let mut body = json!({ "filter": page, "target": target });
            let mut answer = call(&body)?;
            if yes {
                body["confirmation"] = answer["confirmation"].take();
                answer = call(&body)?;
            }
            self.matched += answer["matched"].as_u64().unwrap_or(0);
            self.republished += answer["republished"].as_u64().unwrap_or(0);
            self.stopped = answer["stopped"].as_str().map(str::to_owned);
            match answer["next"].as_i64() {
                Some(next) if self.stopped.is_none() => {
                    page.insert("after".to_owned(), json!(next))
                }
                _ => return Ok(()),
            };
        }
    }

    fn sentence(&self, yes: bool) -> String {
        let Self { matched, republished, stopped } = self;
        match stopped {
            Some(why) => format!("{republished} republished, then stopped: {why}"),
            None if yes => format!("{republished} republished"),
            None => format!("{matched} would be republished; repeat with --yes"),
        }
    }

    fn json(&self, service: &str) -> Value {
        let Self { matched, republished, stopped } = self;
        json!({
            "service": service, "matched": matched, "republished": republished, "stopped": stopped,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::cli::{Command, parse};

    fn republished(line: &str) -> Result<(Map<String, Value>, Value)> {
        let Command::Events(args) = parse(line)? else { panic!("events") };
        let Action::Republish { filter, target, .. } = args.action else { panic!("a republish") };
        Ok((filter.json(&[]), target.json()))
    }

    #[test]
    fn everything_and_everyone_are_meant_only_when_they_are_said() {
        assert!(republished("events republish --all").is_err());
        assert!(republished("events republish --all --queue q --everyone").is_err());
        let (filter, target) = republished("events republish --all --everyone").unwrap();
        assert_eq!((json!(filter), target), (json!({}), json!("all")));
        let (filter, target) =
            republished("events republish --type user.created --queue q").unwrap();
        assert_eq!(json!(filter), json!({"type": "user.created"}));
        assert_eq!(target, json!({"queue": "q"}));
    }

    #[test]
    fn each_page_is_asked_for_before_it_is_sent_until_there_is_none() {
        let bodies = RefCell::new(Vec::new());
        let call = |body: &Value| {
            bodies.borrow_mut().push(body.clone());
            let is_sent = body["confirmation"].is_string();
            let next = body["filter"]["after"].is_null().then_some(7);
            Ok(json!({
                "matched": 3, "republished": if is_sent { 3 } else { 0 }, "next": next,
                "confirmation": format!("c{}", body["filter"]["after"]),
            }))
        };
        let mut sent = Sent::default();
        sent.all(call, &Map::new(), &json!("all"), true).unwrap();

        assert_eq!((sent.matched, sent.republished), (6, 6));
        let given: Vec<Value> =
            bodies.borrow().iter().map(|body| body["confirmation"].clone()).collect();
        assert_eq!(given, [json!(null), json!("cnull"), json!(null), json!("c7")]);
        bodies.borrow_mut().clear();
        let mut counted = Sent::default();
        counted.all(call, &Map::new(), &json!("all"), false).unwrap();
        assert_eq!((counted.matched, counted.republished, bodies.borrow().len()), (6, 0, 2));
    }
}
