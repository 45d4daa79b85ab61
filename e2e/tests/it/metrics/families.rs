//! Every metric of every service, as METRICS.md lists them.
//!
//! When a change of the list is meant, run
//! `UPDATE_GOLDEN=1 cargo dev test -- -E 'package(e2e) & test(metrics)'` and look at the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use testkit::config_dir;

use super::watched::Watched;

/// What Prometheus itself says of a scrape and of alerts.
const NOT_OURS: [&str; 3] = ["up", "scrape_", "ALERTS"];
/// Values of one label of one family at most, over all services.
const VALUES_MAX: usize = 32;
/// Longest value, in bytes.
const VALUE_BYTES_MAX: usize = 64;

/// What services show, by the names of families.
type Families = BTreeMap<String, Family>;

#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    /// The values of each label.
    labels: BTreeMap<String, BTreeSet<String>>,
}

#[tokio::test]
async fn the_metrics_are_those_of_the_list_and_no_label_grows_with_what_is_asked() {
    let watched = Watched::start().await;
    watched.walk_the_scenario().await;
    let mut shown = Families::new();
    for service in [&watched.system.users, &watched.system.payments, &watched.system.notifications]
    {
        let text = reqwest::get(service.url("/metrics")).await.unwrap().text().await.unwrap();
        assert_eq!(lint(&text), "", "promtool finds faults in the metrics of {}", service.name());
        read(&text, &mut shown);
    }

    let names: BTreeSet<&String> = shown.keys().collect();
    let scraped = scraped(&watched, &shown).await;
    assert_eq!(scraped.iter().collect::<BTreeSet<_>>(), names);
    let file = config_dir().join("observability/METRICS.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (head, _) = text.split_once("| family |").unwrap();
    let fresh = format!("{head}{}", table(&shown));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &fresh).unwrap();
    } else {
        assert_eq!(
            fresh, text,
            "METRICS.md says otherwise; when that is meant: \
             UPDATE_GOLDEN=1 cargo dev test -- -E 'package(e2e) & test(metrics)'"
        );
    }
    for (name, family) in &shown {
        for (label, values) in family.labels.iter().filter(|(label, _)| *label != "le") {
            assert!(values.len() <= VALUES_MAX, "{name} has {label} of {values:?}");
            let unbounded = values.iter().find(|value| !is_bounded(value));
            assert_eq!(unbounded, None, "{name} has an unbounded {label}");
        }
    }
}

/// What `promtool check metrics` finds: units, suffixes, help texts. Empty when all is well.
fn lint(text: &str) -> String {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool comes with Prometheus, which runs here");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    String::from_utf8(promtool.wait_with_output().unwrap().stderr).unwrap()
}

/// Whether a value can come from a closed set: no id, no address, no path but a template.
fn is_bounded(value: &str) -> bool {
    let is_number = |part: &str| part.len() > 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = value.split(|c: char| !c.is_ascii_alphanumeric());
    value.len() <= VALUE_BYTES_MAX
        && !value.contains(['@', '?', '%'])
        && !value.contains("no-such-thing")
        && !parts.any(is_number)
        && !value.split('/').any(|segment| uuid::Uuid::parse_str(segment).is_ok())
}

/// Reads the text format, as far as it is used: `# HELP`, `# TYPE`, then the series of a family.
fn read(text: &str, families: &mut Families) {
    let mut name = "";
    for line in text.lines() {
        if let Some((family, help)) = line.strip_prefix("# HELP ").and_then(|it| it.split_once(' '))
        {
            name = family;
            help.clone_into(&mut families.entry(name.to_owned()).or_default().help);
        } else if let Some((_, kind)) =
            line.strip_prefix("# TYPE ").and_then(|it| it.split_once(' '))
        {
            kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
        } else if let Some((_, labels)) = line.split_once('{') {
            let (labels, _) = labels.rsplit_once("\"}").unwrap();
            let family = families.entry(name.to_owned()).or_default();
            for label in labels.split("\",") {
                let (label, value) = label.split_once("=\"").unwrap();
                family.labels.entry(label.to_owned()).or_default().insert(value.to_owned());
            }
        }
    }
}

/// The families that Prometheus has.
async fn scraped(watched: &Watched, shown: &Families) -> BTreeSet<String> {
    let series = watched.ask("series", &[("match[]", "{part_of=\"tusk\"}")]).await;
    let names = series.as_array().unwrap().iter().map(|it| it["__name__"].as_str().unwrap());
    let ours = names.filter(|name| !NOT_OURS.iter().any(|other| name.starts_with(other)));
    let family = |name: &str| {
        let mut bases = ["_bucket", "_sum", "_count"].iter().filter_map(|it| name.strip_suffix(it));
        let is_histogram = |base: &&str| shown.get(*base).is_some_and(|it| it.kind == "histogram");
        bases.find(is_histogram).unwrap_or(name).to_owned()
    };
    ours.map(family).collect()
}

fn table(families: &Families) -> String {
    let head = ["| family | type | tells |", "|---|---|---|"].map(str::to_owned);
    let row = |(name, Family { kind, help, labels }): (&String, &Family)| {
        let labels = labels.keys().filter(|label| *label != "le").map(String::as_str);
        let labels = labels.collect::<Vec<_>>().join(", ");
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        format!("| `{name}{labels}` | {kind} | {help} |")
    };
    let rows: Vec<String> = head.into_iter().chain(families.iter().map(row)).collect();
    rows.join("\n") + "\n"
}
