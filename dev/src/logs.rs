//! `cargo dev logs`: what all processes wrote, and what they write now, as one log in the order of time.
//!
//! The files are read by [`log_files`]; here they are shown as a person reads them, or as tools do.

mod show;

use std::{
    collections::{BTreeSet, VecDeque},
    path::Path,
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use chrono::Utc;

use log_files::{Entry, Filter, Level, Log, Merge, Source, Term, Trace, asked as parse_time};

use self::show::Style;
use crate::{interrupt::Interrupt, project::Project};

pub(crate) use self::show::printable;

/// How often it is looked for what was added.
const POLL: Duration = Duration::from_millis(200);
/// How many of the last entries are shown where nothing narrows them down.
const LINES: usize = 100;
/// How much is written to the output at once.
const OUTPUT: usize = 32 * 1024;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Entries of all logs are shown in the order of their times, which are UTC. A line without a time belongs
to the line before it. Without --since, --until, --trace, --level or --grep the last 100 entries are
shown, with them all that match. Of a log that has become too large, what was written before is read from NAME.log.1.

`cargo dev smoke` prints the id of its trace; an answer's X-Request-Id will do as well:
  cargo dev logs --trace 13a21241
  cargo dev logs --level warn --since 10m --follow")]
pub(crate) struct Args {
    /// Services and servers (`user-service`, `postgres`, …); all of them when none is given
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Keeps showing what is added, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// How many of the last entries that match
    #[arg(long, short = 'n', value_name = "LINES")]
    lines: Option<usize>,
    /// What was written since: 30s, 5m, 1h, 2d ago, or a time (2026-01-15T09:30:00Z, 09:30)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// What was written before that
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// What belongs to this trace (its id, or the first 8 digits or more), or to the trace of this request
    #[arg(long, value_name = "ID")]
    trace: Option<String>,
    /// What is as bad as that, or worse; what does not tell is info
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    level: Option<Level>,
    /// What answers all words of a question, as the dashboard takes it: service:payment level:warn
    /// payment.id:p-1 -text
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    filter: Option<String>,
    /// What holds this text
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// Prints one JSON object a line
    #[arg(long)]
    json: bool,
}

/// A level by its name.
fn level(name: &str) -> Result<Level, String> {
    let level = Level::ALL.into_iter().find(|level| level.name() == name);
    level.ok_or_else(|| "there are trace, debug, info, warn and error".to_owned())
}

impl Args {
    fn filter(&self) -> Result<Filter> {
        let now = Utc::now();
        let time = |name: &str, text: &Option<String>| {
            let time = text.as_ref().map(|text| parse_time(text, now)).transpose();
            time.map_err(|error| anyhow::anyhow!("{name}: {error}"))
        };
        let trace = self.trace.as_deref().map(Trace::parse).transpose();
        let terms = Term::parse_all(self.filter.as_deref().unwrap_or_default());
        Ok(Filter {
            terms: terms.map_err(|error| anyhow::anyhow!("--filter: {error}"))?,
            since: time("--since", &self.since)?,
            until: time("--until", &self.until)?,
            level: self.level,
            grep: self.grep.clone(),
            trace: trace.map_err(|error| anyhow::anyhow!("--trace: {error}"))?,
        })
    }

    /// The logs that are asked for, of those that there are.
    fn choose(&self, project: &Project) -> Result<BTreeSet<String>> {
        let there = log_files::names(&project.dev("logs"));
        let asked: BTreeSet<String> = self.names.iter().cloned().collect();
        let may_come = |name: &String| self.follow && project.service(name).is_ok();
        if let Some(name) = asked.iter().find(|name| !there.contains(*name) && !may_come(name)) {
            let there = there.into_iter().collect::<Vec<_>>().join(", ");
            bail!("no log of `{}`; there are: {there}", printable(name));
        }
        if there.is_empty() && !self.follow {
            bail!("no logs yet; start the system with: {}", project.command("up"));
        }
        Ok(asked)
    }
}

pub(crate) fn run(project: &Project, args: &Args, interrupt: &Interrupt) -> Result<ExitCode> {
    let mut filter = args.filter()?;
    let asked = args.choose(project)?;
    let last = args.lines.or_else(|| filter.is_empty().then_some(LINES));
    if filter.traces().any(|trace| trace.may_be_request()) {
        learn(project, &mut filter)?;
    }
    let mut logs = Vec::new();
    add(project, &asked, args.follow, &mut logs)?;
    if let Some(last) = last.filter(|_| filter.is_empty()) {
        logs.iter_mut().try_for_each(|log| log.skip_to_last(last))?;
    }
    let is_one = asked.len() == 1 || (asked.is_empty() && logs.len() == 1);
    let widths = logs.iter().map(|log| log.name.chars().count());
    let name_width = widths.max().filter(|_| !is_one).unwrap_or_default();
    let mut out = Output::new(name_width);
    if args.json {
        out.style = Style::Json;
    }
    show_there(&mut logs, &mut filter, last, || interrupt.is_set(), &mut out)?;
    while args.follow && !interrupt.is_set() {
        thread::sleep(POLL);
        for log in &mut logs {
            log.look_again()?;
        }
        add(project, &asked, true, &mut logs)?;
        show_there(&mut logs, &mut filter, None, || interrupt.is_set(), &mut out)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Lines of a log as a person reads them, for who tells why a process has ended.
pub(crate) fn shown(lines: &str) -> String {
    let style = Style::Plain { name_width: 0, is_coloured: false };
    let mut text = String::new();
    for line in lines.lines() {
        match Entry::begin(line) {
            Some(entry) => show::write(&mut text, "", 0, &entry, style),
            None => text.extend([&printable(line), "\n"]),
        }
    }
    text.trim_end().to_owned()
}

/// What is added to one log, shown by whoever waits for its process.
pub(crate) struct Follow {
    log: [Log; 1],
    filter: Filter,
    out: Output,
}

impl Follow {
    /// What is written from now on.
    pub(crate) fn from_here(name: &str, path: &Path) -> Result<Self> {
        let reading = || format!("read {}", path.display());
        let mut log = Log::open(name.to_owned(), path, true).with_context(reading)?;
        log.skip_to_last(0).with_context(reading)?;
        Ok(Self { log: [log], filter: Filter::default(), out: Output::new(0) })
    }

    /// Shows what was added since the last call.
    pub(crate) fn show(&mut self) -> Result<()> {
        self.log[0].look_again()?;
        show_there(&mut self.log, &mut self.filter, None, || false, &mut self.out)
    }
}

/// Text on its way to the standard output.
struct Output {
    text: String,
    style: Style,
}

impl Output {
    /// For people.
    fn new(name_width: usize) -> Self {
        let style = Style::Plain { name_width, is_coloured: show::is_coloured() };
        Self { text: String::new(), style }
    }

    fn add(&mut self, name: &str, place: usize, entry: &Entry) {
        show::write(&mut self.text, name, place, entry, self.style);
        if self.text.len() >= OUTPUT {
            self.flush();
        }
    }

    fn flush(&mut self) {
        print!("{}", self.text);
        self.text.clear();
    }
}

/// Shows what there is now; of it the last so many, if a number is given.
fn show_there(
    logs: &mut [Log],
    filter: &mut Filter,
    last: Option<usize>,
    is_to_end: impl Fn() -> bool,
    out: &mut Output,
) -> Result<()> {
    let names: Vec<String> = logs.iter().map(|log| log.name.clone()).collect();
    let mut merge = Merge::new(logs).context("read the logs")?;
    let mut kept = VecDeque::new();
    while let Some((place, entry)) = merge.next().context("read the logs")? {
        if is_to_end() {
            break;
        }
        filter.traces().for_each(|trace| trace.learn(&entry));
        if !filter.admits(&names[place], &entry) {
            continue;
        }
        match last {
            None => out.add(&names[place], place, &entry),
            Some(last) => {
                kept.push_back((place, entry));
                if kept.len() > last {
                    kept.pop_front();
                }
            }
        }
    }
    for (place, entry) in kept {
        out.add(&names[place], place, &entry);
    }
    out.flush();
    Ok(())
}

/// Finds out to which traces a request belongs: the line that names it is its last one.
fn learn(project: &Project, filter: &mut Filter) -> Result<()> {
    let mut logs = Vec::new();
    add(project, &BTreeSet::new(), false, &mut logs)?;
    for mut log in logs {
        while let Some(entry) = log.next().context("read the logs")? {
            filter.traces().for_each(|trace| trace.learn(&entry));
        }
    }
    Ok(())
}

/// Adds those of these names that are not there yet; all of them when there is none.
fn add(
    project: &Project,
    asked: &BTreeSet<String>,
    follows: bool,
    logs: &mut Vec<Log>,
) -> Result<()> {
    log_files::open_new(&project.dev("logs"), asked, follows, logs).context("read the logs")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_end_of_a_log_is_shown_as_a_person_reads_it() {
        let log = "{\"timestamp\":\"2026-01-15T12:00:00Z\",\"level\":\"ERROR\",\"message\":\"no\"}\n  at \u{1b}[1m\n";
        assert_eq!(super::shown(log), "2026-01-15T12:00:00.000Z ERROR no\n  at \\u{1b}[1m");
    }
}
