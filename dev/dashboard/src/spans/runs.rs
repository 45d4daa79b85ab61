//! The last runs of a system.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use serde::{Deserialize, Serialize};

use super::RUNS_MAX;
use super::edges::Edges;
use super::import::Import;
use super::run::{Lines, Run};
use super::span::{Span, service};
use crate::system::State;

/// By which process a run is known: as long as any of them lives, the run goes on.
#[derive(Debug, Serialize, Deserialize)]
struct Marks {
    /// Process ids and start times.
    processes: Vec<(u32, u64)>,
}

/// For how long an earlier run is kept in memory after somebody has looked at it.
const EARLIER_KEPT: Duration = Duration::from_secs(60);

/// Earlier runs that are in memory at once: two, to compare them.
const EARLIER_MAX: usize = 2;

/// A run that is kept, without what is in it.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) name: String,
    pub(crate) is_current: bool,
    /// Of its files.
    pub(crate) bytes: u64,
}

/// The current run, and those before it.
#[derive(Debug)]
pub(crate) struct Runs {
    folder: PathBuf,
    current: Mutex<Run>,
    /// Earlier ones that somebody has looked at, and when; the last one looked at stands last.
    earlier: Mutex<Vec<(Arc<Run>, Instant)>>,
    edges: Mutex<Edges>,
}

impl Runs {
    /// Goes on with the last run when a process of it is still there; else begins another.
    pub(crate) fn open(folder: &Path, state: &State) -> Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("create {}", folder.display()))?;
        let goes_on = names(folder).into_iter().find(|name| {
            let marks = fs::read(folder.join(name).join("run.json")).ok();
            let marks = marks.and_then(|text| serde_json::from_slice::<Marks>(&text).ok());
            marks.is_some_and(|marks| {
                state.processes.iter().any(|it| marks.processes.contains(&(it.pid, it.started)))
            })
        });
        let name =
            goes_on.unwrap_or_else(|| chrono::Utc::now().format("%Y%m%dT%H%M%SZ").to_string());
        let run = Run::open(&folder.join(&name)).with_context(|| format!("open run {name}"))?;
        let runs = Self {
            folder: folder.to_owned(),
            current: Mutex::new(run),
            earlier: Mutex::default(),
            edges: Mutex::default(),
        };
        runs.mark(state);
        runs.remove_old().context("remove an old run")?;
        Ok(runs)
    }

    /// Removes what is more than the last runs, of the system's own and of those that were imported each;
    /// never the current one.
    fn remove_old(&self) -> std::io::Result<()> {
        let current = self.current().name.clone();
        let is_own = |name: &String| self.folder.join(name).join("run.json").exists();
        let (own, imported): (Vec<String>, Vec<String>) =
            names(&self.folder).into_iter().partition(is_own);
        let old = own.into_iter().skip(RUNS_MAX).chain(imported.into_iter().skip(RUNS_MAX));
        old.filter(|name| *name != current)
            .try_for_each(|name| fs::remove_dir_all(self.folder.join(name)))
    }

    /// Notes by which processes the run is known.
    pub(crate) fn mark(&self, state: &State) {
        let processes = state.processes.iter().map(|it| (it.pid, it.started)).collect();
        let marks = serde_json::to_vec(&Marks { processes }).unwrap_or_default();
        let file = self.folder.join(&self.current().name).join("run.json");
        // The next start begins a run of its own then.
        let _not_needed_to_go_on = fs::write(file, marks);
    }

    /// Takes what a service has exported.
    pub(crate) fn receive(&self, received: Vec<ResourceSpans>) -> std::io::Result<()> {
        let mut spans = Vec::new();
        for of_process in received {
            let service = service(&of_process.resource.unwrap_or_default().attributes);
            let all = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
            spans.extend(all.filter_map(|span| Span::of(span, &service)));
        }
        let now = Instant::now();
        {
            let mut edges = self.edges();
            for span in &spans {
                edges.observe(span, now);
            }
        }
        // Written down before the run is taken, which pages want to look at meanwhile.
        let lines = Lines::of(&spans)?;
        self.current().add(&spans, &lines)
    }

    /// The run that is under way.
    pub(crate) fn current(&self) -> MutexGuard<'_, Run> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes over each edge of the system.
    pub(crate) fn edges(&self) -> MutexGuard<'_, Edges> {
        self.edges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a run: the one of this name, or the current one, which takes in nothing meanwhile. None
    /// where there is no such run. An earlier one is read first, which takes up to a second or two: for
    /// threads that may wait.
    pub(crate) fn with<T>(&self, name: Option<&str>, look: impl FnOnce(&Run) -> T) -> Option<T> {
        match name {
            Some(name) if !name.is_empty() && name != self.current().name => {
                Some(look(&*self.earlier(name)?))
            }
            _ => Some(look(&self.current())),
        }
    }

    fn earlier(&self, name: &str) -> Option<Arc<Run>> {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        let known = earlier.iter().position(|(run, _)| run.name == name);
        let run = if let Some(place) = known {
            earlier.remove(place).0
        } else {
            // Only what is there: a name may hold anything.
            let name = self.names().into_iter().find(|there| there == name)?;
            // Before the next one is read: it is memory.
            if earlier.len() >= EARLIER_MAX {
                earlier.remove(0);
            }
            Arc::new(Run::open(&self.folder.join(name)).ok()?)
        };
        earlier.push((Arc::clone(&run), Instant::now()));
        Some(run)
    }

    /// Gives back the memory of an earlier run that nobody looks at any more.
    pub(crate) fn forget_earlier(&self) {
        // While it is locked somebody looks.
        if let Ok(mut earlier) = self.earlier.try_lock() {
            earlier.retain(|(_, looked_at)| looked_at.elapsed() < EARLIER_KEPT);
        }
    }

    /// Begins a run of spans from elsewhere.
    ///
    /// # Errors
    /// Its folder cannot be made.
    pub(crate) fn import(&self) -> std::io::Result<Import> {
        // A run of its own in the order of time; its name tells it from those of this system.
        let name = chrono::Utc::now().format("%Y%m%dT%H%M%S%3fZ-imported").to_string();
        Import::begin(&self.folder.join(name))
    }

    /// Keeps what was imported; gives the run's name.
    ///
    /// # Errors
    /// Nothing in it was a span, or it cannot be kept.
    pub(crate) fn imported(&self, import: Import) -> std::io::Result<(String, usize)> {
        let kept = import.keep()?;
        self.remove_old()?;
        Ok(kept)
    }

    /// The runs that there are, with their sizes, the newest first.
    pub(crate) fn kept(&self) -> Vec<Kept> {
        let current = self.current().name.clone();
        let size = |name: &String| {
            let files = fs::read_dir(self.folder.join(name)).into_iter().flatten().flatten();
            files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
        };
        let names = self.names().into_iter();
        names.map(|name| Kept { is_current: name == current, bytes: size(&name), name }).collect()
    }

    /// The runs that there are, the newest first.
    pub(crate) fn names(&self) -> Vec<String> {
        names(&self.folder)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let items = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = items.filter(|item| item.path().is_dir());
    let mut names: Vec<String> =
        folders.filter_map(|item| item.file_name().into_string().ok()).collect();
    names.sort_unstable_by(|one, other| other.cmp(one));
    names
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::print_stdout)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
    use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span as Received};

    use super::*;
    use crate::spans::Query;

    fn pair(key: &str, value: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(Value::StringValue(value.into())) });
        KeyValue { key: key.into(), value, ..KeyValue::default() }
    }

    /// Spans as a service exports them, ten in each trace.
    fn exported(first: u64, count: u64) -> Vec<ResourceSpans> {
        let span = |number: u64| Received {
            trace_id: u128::from(number / 10 + 1).to_be_bytes().to_vec(),
            span_id: (number + 1).to_be_bytes().to_vec(),
            parent_span_id: if number.is_multiple_of(10) {
                vec![]
            } else {
                (number / 10 * 10 + 1).to_be_bytes().to_vec()
            },
            name: format!("GET /api/v1/users/{}", number % 10),
            kind: 2,
            start_time_unix_nano: 1_800_000_000_000_000_000 + number * 1_000,
            end_time_unix_nano: 1_800_000_000_000_900_000 + number * 1_000,
            attributes: (0..8)
                .map(|at| pair(&format!("http.attribute.{at}"), "some value of it"))
                .collect(),
            ..Received::default()
        };
        let mut of_process = ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: (first..first + count).map(span).collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        };
        of_process.resource.get_or_insert_default().attributes =
            vec![pair("service.name", "user-service")];
        vec![of_process]
    }

    #[test]
    fn an_imported_run_is_looked_at_by_its_name_and_the_current_one_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::default();
        let runs = Runs::open(folder.path(), &state).unwrap();
        runs.receive(exported(0, 25)).unwrap();
        let text: Vec<u8> =
            runs.current().files().iter().flat_map(|(file, _)| fs::read(file).unwrap()).collect();
        let mut import = runs.import().unwrap();
        // As it comes over a wire: in parts that end anywhere.
        for part in text.chunks(1_000) {
            import.push(part).unwrap();
        }
        let (name, spans) = runs.imported(import).unwrap();
        assert_eq!(spans, 25);
        assert_eq!(runs.with(Some(&name), Run::counts), Some((3, 25)));
        assert_eq!(runs.names().len(), 2);
        assert!(runs.with(Some("../elsewhere"), |_| ()).is_none());
        fs::remove_dir_all(folder.path().join(&name)).unwrap();
        assert_eq!(runs.with(Some(&name), Run::counts), Some((3, 25)), "it is read once");

        let mut import = runs.import().unwrap();
        import.push(b"no span\n").unwrap_err();
        drop(import);
        runs.imported(runs.import().unwrap()).unwrap_err();
        assert_eq!(runs.names().len(), 1, "of what holds no spans nothing stays");
    }

    /// Prints what 50,000 spans cost:
    /// `cargo test -p dashboard -- --ignored --nocapture fifty`.
    #[test]
    #[ignore = "a measurement"]
    fn fifty_thousand_spans_are_taken_in_while_somebody_looks() {
        const SPANS: u64 = 50_000;
        let memory = || {
            let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
            let line =
                text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or_default() / 1024
        };
        let folder = tempfile::tempdir().unwrap();
        let runs = Runs::open(folder.path(), &State::default()).unwrap();
        let before = memory();
        let mut taking = Duration::ZERO;
        let mut longest_list = Duration::ZERO;
        let mut longest_trace = Duration::ZERO;
        let is_done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for first in (0..SPANS).step_by(500) {
                    let spans = exported(first, 500);
                    let begin = Instant::now();
                    runs.receive(spans).unwrap();
                    taking += begin.elapsed();
                }
                is_done.store(true, std::sync::atomic::Ordering::Relaxed);
            });
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                let begin = Instant::now();
                let (found, _) = runs.current().find(&Query::default(), 200);
                longest_list = longest_list.max(begin.elapsed());
                let Some(first) = found.first() else { continue };
                let begin = Instant::now();
                let located = runs.current().family(&first.trace);
                located.read();
                longest_trace = longest_trace.max(begin.elapsed());
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let counts = runs.current().counts();
        println!(
            "{counts:?} (traces, spans) in {taking:?}: {:.0} a second; memory {before} MiB, after {} MiB; \
             longest wait for the list {longest_list:?}, for a trace {longest_trace:?}",
            f64::from(u32::try_from(SPANS).unwrap_or_default()) / taking.as_secs_f64(),
            memory()
        );
        assert_eq!(counts.1, 50_000);
    }
}
