//! `cargo dev export`: what somebody needs to find a fault of this system elsewhere, in one file, without
//! what is nobody else's: secrets, tokens and addresses of people are masked.
//!
//! It works with the system down, and with half of it; what could not be had is named in the file.

mod mask;
mod secrets;

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail};
use chrono::Utc;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;
use testkit::native::read_end;
use tusk_config::{Loader, Rendered, Vars};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use self::mask::{MASK, Mask, is_secret_name};
use crate::{
    data_version, doctor, fault, folder::names, origin, ports, programs, project::Project, queues,
    services, state::State, status,
};

/// How much of the end of each log and of the traces, in bytes.
const TAIL: u64 = 2 << 20;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
In it: versions, what `status` and `doctor` say, the settings of each service, the end of each log, the last traces,
the depths of the queues, and what was dead-lettered and why. Masked: the system's own secrets in every spelling, logins in addresses,
Authorization headers, tokens, keys, values of names such as `password`, and e-mail addresses. Not in it: databases,
messages, mails, key files. What a log says in words of its own may still be private: look at it before you send it.")]
pub(crate) struct Args {
    /// The file to write [default: bug-report-TIME.zip]
    file: Option<PathBuf>,
    /// Overwrites it
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(project: &Project, args: &Args) -> Result<ExitCode> {
    let name = || PathBuf::from(format!("bug-report-{}.zip", Utc::now().format("%Y%m%d-%H%M%S")));
    let file = args.file.clone().unwrap_or_else(name);
    if file.exists() && !args.force {
        bail!("{} is there already; --force overwrites it", file.display());
    }
    // Under another name until it is whole; readable by its owner alone.
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let written = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")));
    let written = written.with_context(|| format!("write {}", file.display()))?;
    let state = State::read(project).ok().flatten();
    let mask = Mask::of(secrets::known(project, state.as_ref()));
    let mut report =
        Report { zip: ZipWriter::new(written), mask, parts: Vec::new(), missing: Vec::new() };
    report.collect(project, state.as_ref())?;
    let Report { parts, missing, mask, .. } = &report;
    let said = said(parts, missing, mask);
    report.add("README.txt", &said)?;
    let written = report.zip.finish().context("write the archive")?;
    let kept = if args.force {
        written.persist(&file).map(drop)
    } else {
        written.persist_noclobber(&file).map(drop)
    };
    kept.with_context(|| format!("write {}", file.display()))?;
    print!("{said}");
    println!("written: {}", file.display());
    Ok(ExitCode::SUCCESS)
}

/// What is written, and what was left out of it.
struct Report {
    zip: ZipWriter<NamedTempFile>,
    mask: Mask,
    parts: Vec<String>,
    missing: Vec<String>,
}

impl Report {
    fn collect(&mut self, project: &Project, state: Option<&State>) -> Result<()> {
        self.json("versions.json", &versions(project))?;
        self.json("doctor.json", &doctor::examine(project.namespace().map(str::to_owned)))?;
        self.json("status.json", &status::lines(project).unwrap_or_default())?;
        self.json("faults.json", &fault::active(project))?;
        if state.is_none() {
            self.miss("what runs: nothing is up");
        }
        for service in project.services() {
            let name = format!("settings/{}.json", service.name);
            match settings(project, state, &service.name) {
                Ok(settings) => self.json(&name, &settings)?,
                Err(error) => self.miss(format!("{name}: {error:#}")),
            }
        }
        match queues::snapshot(project) {
            Ok(queues) => self.json("queues.json", &queues)?,
            Err(error) => self.miss(format!("queues.json: {error:#}")),
        }
        let folder = project.dev("logs");
        let mut logs = names(&folder);
        logs.retain(|name| folder.join(name).is_file());
        if logs.is_empty() {
            self.miss("logs: there are none");
        }
        for name in logs {
            match end_of(&folder.join(&name), TAIL) {
                Ok(text) => {
                    let text = self.mask.text(&text);
                    self.add(&format!("logs/{name}"), &text)?;
                }
                Err(error) => self.miss(format!("logs/{name}: {error:#}")),
            }
        }
        self.traces(project)
    }

    /// The end of the spans that the dashboard keeps of its newest run; its `/runs` page takes them in.
    fn traces(&mut self, project: &Project) -> Result<()> {
        let newest = |folder: &Path| {
            let names = names(folder).into_iter().rev();
            names.map(|name| folder.join(name)).collect::<Vec<PathBuf>>()
        };
        let runs = newest(&project.dev("runs"));
        let is_spans = |path: &PathBuf| path.extension().is_some_and(|it| it == "ndjson");
        let files = runs.iter().find_map(|run| {
            let files: Vec<PathBuf> = newest(run).into_iter().filter(is_spans).collect();
            (!files.is_empty()).then_some((run, files))
        });
        let Some((run, files)) = files else {
            self.miss("traces: there are none");
            return Ok(());
        };
        let mut texts = Vec::new();
        let mut left = TAIL;
        for file in files {
            let text = end_of(&file, left).with_context(|| format!("read {}", file.display()))?;
            left = left.saturating_sub(text.len() as u64);
            texts.push(text);
            if left == 0 {
                break;
            }
        }
        texts.reverse();
        let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = self.mask.text(&texts.concat());
        self.add(&format!("traces/{name}.ndjson"), &text)
    }

    fn miss(&mut self, what: impl AsRef<str>) {
        let what = self.mask.text(what.as_ref());
        self.missing.push(what);
    }

    fn json(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        let value = serde_json::to_value(value).with_context(|| format!("write {name}"))?;
        let value = self.masked(value);
        self.add(name, &format!("{value:#}\n"))
    }

    /// Texts are masked one by one, so that what comes out is still JSON.
    fn masked(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.mask.text(&text)),
            Value::Array(items) => items.into_iter().map(|item| self.masked(item)).collect(),
            Value::Object(entries) => {
                let entries = entries.into_iter().map(|(name, value)| {
                    let is_secret = is_secret_name(&name)
                        && (value.is_string() || value.is_array() || value.is_object());
                    let value = if is_secret { self.mask.named() } else { self.masked(value) };
                    (name, value)
                });
                Value::Object(entries.collect())
            }
            other => other,
        }
    }

    /// Adds a text from which nothing has to be taken out.
    fn add(&mut self, name: &str, text: &str) -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(0o600);
        let mut write = || {
            self.zip.start_file(name, options)?;
            self.zip.write_all(text.as_bytes())?;
            Ok::<_, zip::result::ZipError>(())
        };
        write().with_context(|| format!("write {name}"))?;
        self.parts.push(name.to_owned());
        Ok(())
    }
}

/// What is in it, what is not, and what was masked.
fn said(parts: &[String], missing: &[String], mask: &Mask) -> String {
    let masked = mask.counts.iter().map(|(kind, count)| format!("{kind}: {count}"));
    let lines =
        |items: &[String]| items.iter().fold(String::new(), |text, item| text + "  " + item + "\n");
    let masked = lines(&masked.collect::<Vec<_>>());
    let masked = if masked.is_empty() { "  nothing\n".to_owned() } else { masked };
    format!("in it:\n{}not in it:\n{}masked:\n{masked}", lines(parts), lines(missing))
}

fn versions(project: &Project) -> Value {
    let says = |program: &str, words: &[&str]| {
        programs::says(Command::new(program).args(words).current_dir(project.root()))
    };
    let changed = says("git", &["status", "--porcelain"]).map(|text| text.lines().count());
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    json!({
        "tool": env!("CARGO_PKG_VERSION"),
        "commit": says("git", &["rev-parse", "HEAD"]),
        "changed_files": changed,
        "rustc": says("rustc", &["--version"]),
        "cargo": says("cargo", &["--version"]),
        "system": system.map(|name| name.trim_matches('"')),
        "kernel": says("uname", &["-srm"]),
        "postgres": data_version::postgres_version(),
        "redis": says("redis-server", &["--version"]),
        "rabbitmq": data_version::rabbitmq_version(),
    })
}

/// What the files of a service's settings say, and which variables the system gives it: of what a
/// variable says in a setting, its name alone is shown.
fn settings(project: &Project, state: Option<&State>, service: &str) -> Result<Value> {
    let given =
        state.map(|state| variables(project, state, service)).transpose()?.unwrap_or_default();
    let inherited = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let all = inherited.chain(given.clone()).filter(|(name, _)| name != "CONFIG_DIR");
    let config = project.path("config");
    let mut loader = Loader::new(&config).vars(Vars::of(all));
    for file in origin::settings_files(project, service)? {
        if let Some(name) = file.file_stem().filter(|_| file.parent() == Some(&config)) {
            loader = loader.file(&name.to_string_lossy());
        }
    }
    let shown = loader.tree().map_err(|error| anyhow::anyhow!("{error}"))?.shown();
    let settings = shown.into_iter().map(|one| {
        let is_text = matches!(one.value, Some(Rendered::Text(_)));
        let value =
            if is_text && is_secret_name(&one.path) { json!(MASK) } else { json!(one.value) };
        let shown = if one.from.is_empty() { value } else { json!({ "from": one.from }) };
        (one.path, shown)
    });
    let settings: Map<String, Value> = settings.collect();
    let given: Map<String, Value> =
        given.into_iter().map(|(name, value)| (name, json!(value))).collect();
    Ok(json!({ "settings": settings, "variables": given }))
}

/// What `up` gives the service. No secret is made up for it.
fn variables(project: &Project, state: &State, service: &str) -> Result<Vec<(String, String)>> {
    if !project.dev("secrets.json").exists() {
        return Ok(Vec::new());
    }
    let secrets = crate::secrets::Secrets::load(project)?;
    let ports = ports::choose(project, Some(state));
    services::environment(project, &secrets, &state.addresses, &ports, project.service(service)?)
}

/// The last so many bytes of a file, from the beginning of a line on.
fn end_of(path: &Path, size: u64) -> Result<String> {
    let is_whole = fs::metadata(path)?.len() <= size;
    let text = read_end(path, 0, size)?;
    let cut = if is_whole { 0 } else { text.find('\n').map_or(0, |end| end + 1) };
    Ok(text[cut..].to_owned())
}
