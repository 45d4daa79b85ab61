//! The three services together, as processes over real servers: see `tests/it`.
//!
//! | module | shows |
//! |---|---|
//! | `scenario` | the whole scenario |
//! | `traces` | the scenario as one trace, as a collector gets it |
//! | `calls` | an instance killed under load, slow answers: no caller sees an error, no storm of retries |
//! | `campaign` | thousands of events through processes and servers that are killed, frozen and cut off |
//! | `crashes` | processes killed between two steps: nothing is lost, nothing happens twice |
//! | `faults` | the faults of messaging, each by its name, and the tools that repair |
//! | `load` | the slow and the many: probes and signed-in users are served, and nothing of it stays |
//! | `metrics` | scraped by a real Prometheus: each metric, each alert rule, each panel of the dashboards |
//! | `registration` | instances that register in etcd come and drain under load |
//! | `pooler` | the whole system behind a `PgBouncer` in transaction mode |
//! | `privacy` | canaries through everything, seen in no log, span, metric or error |
//! | `startup` | settings with faults: all reported, no port opened |
