//! The load: wrk, whose clients each wait for their answer before they ask again.

use std::process::Command;

use serde::Deserialize;

use crate::process::{cpu_us, cpu_us_of_all};

const CLIENTS: &str = "-c32";
/// Asked for, but not measured: caches, prepared statements, memory.
const WARM_UP_SECONDS: u32 = 2;
pub(crate) const SECONDS: u32 = 8;

/// What is asked of whom.
pub(crate) struct Load<'a> {
    pub(crate) process: u32,
    pub(crate) port: u16,
    pub(crate) method: &'a str,
    pub(crate) base: &'a str,
    pub(crate) token: &'a str,
    /// A file with ids, one of which is put behind the base each time.
    pub(crate) ids: Option<&'a str>,
    pub(crate) body: &'a str,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// Answers in a second.
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// Microseconds of a processor for each answer.
    pub(crate) cpu_us: f64,
    /// The same of PostgreSQL, whatever it does meanwhile.
    pub(crate) database_us: f64,
    /// The same of the broker.
    pub(crate) broker_us: f64,
}

#[derive(Deserialize)]
struct Report {
    requests: f64,
    seconds: f64,
    failed: u64,
    p50_ms: f64,
    p99_ms: f64,
}

impl Load<'_> {
    /// The figures after a warm-up. Panics over any answer that is an error: a figure with errors is none.
    pub(crate) fn measure(&self) -> Figures {
        self.run(WARM_UP_SECONDS);
        self.run(SECONDS)
    }

    pub(crate) fn run(&self, seconds: u32) -> Figures {
        let times = || [cpu_us(self.process), cpu_us_of_all("postgres"), cpu_us_of_all("beam.smp")];
        let before = times();
        let report = self.wrk(seconds);
        let after = times();
        let [cpu_us, database_us, broker_us] =
            std::array::from_fn(|at| (after[at] - before[at]) / report.requests);
        let Report { requests, seconds, failed, p50_ms, p99_ms } = report;
        assert_eq!(failed, 0, "{} {}: {failed} of {requests} failed", self.method, self.base);
        Figures { rate: requests / seconds, p50_ms, p99_ms, cpu_us, database_us, broker_us }
    }

    fn wrk(&self, seconds: u32) -> Report {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/http/load.lua");
        let mut wrk = Command::new("wrk");
        wrk.args(["-t1", CLIENTS, &format!("-d{seconds}s"), "-s", script])
            .arg(format!("http://127.0.0.1:{}", self.port))
            .envs([("METHOD", self.method), ("BASE", self.base), ("TOKEN", self.token)])
            .envs([("BODY", self.body), ("RUN", &uuid::Uuid::now_v7().simple().to_string())])
            .envs(self.ids.map(|ids| ("IDS", ids)));
        let output = wrk.output().unwrap_or_else(|error| panic!("wrk: {error}"));
        let output = String::from_utf8_lossy(&output.stdout);
        let report = output.lines().find(|line| line.starts_with('{'));
        serde_json::from_str(report.unwrap_or_else(|| panic!("wrk: {output}"))).unwrap()
    }
}
