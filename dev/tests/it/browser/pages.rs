//! What somebody sees and does on the dashboard of a system that runs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::driver::Browser;
use crate::system::{Servers, System};

/// Path, heading, and a word that is there once `cargo dev smoke` was walked.
const PAGES: [(&str, &str, &str); 10] = [
    ("/", "System", "notification-service"),
    ("/logs", "Logs", "request answered"),
    ("/traces", "Traces", "POST /api/"),
    ("/metrics", "Metrics", "payment-service"),
    ("/messages", "Messages", "user.events"),
    ("/calls", "Calls", "payment-provider"),
    ("/mails", "Mails", "smoke-"),
    ("/data", "Data", "payments"),
    ("/faults", "Faults", "postgres"),
    ("/settings", "Settings", "DATABASE_URL"),
];

/// Texts whose contrast with what is behind them is less than WCAG's AA asks for.
const FAINT: &str = r#"
const parse = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
  .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
  .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
const ground = (element) => {
  for (let it = element; it; it = it.parentElement) {
    const color = parse(getComputedStyle(it).backgroundColor);
    if (color.length === 3 || color[3] > 0.5) return color;
  }
  return parse(getComputedStyle(document.documentElement).backgroundColor);
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const faint = new Set();
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const element = node.parentElement;
  if (!node.textContent.trim() || !element.checkVisibility()) continue;
  if (element.closest(".skip, script, style, option")) continue;
  const style = getComputedStyle(element);
  const color = parse(element.closest("svg") ? style.fill : style.color);
  const [one, other] = [light(color), light(ground(element))].sort((a, b) => b - a);
  const ratio = (one + 0.05) / (other + 0.05);
  if (ratio < 4.5) faint.add(`${ratio.toFixed(2)} ${element.tagName} ${element.className} ${node.textContent.trim().slice(0, 40)}`);
}
return Array.from(faint);
"#;

/// What somebody who does not see the page, or has no mouse, would stumble over.
const UNREACHABLE: &str = r#"
const faults = [];
const all = (selector) => Array.from(document.querySelectorAll(selector));
if (all("main").length !== 1 || all("nav[aria-label]").length < 1 || all("h1").length !== 1) faults.push("landmarks");
if (document.documentElement.lang !== "en" || !document.title) faults.push("language or title");
let level = 1;
for (const heading of all("h1, h2, h3, h4")) {
  if (Number(heading.tagName[1]) > level + 1) faults.push(`heading ${heading.innerText}`);
  level = Number(heading.tagName[1]);
}
for (const field of all("input:not([type=hidden]), select, textarea")) {
  if (!field.labels?.length && !field.getAttribute("aria-label")) faults.push(`field ${field.name}`);
}
for (const link of all("a[href], button, summary")) {
  if (!link.textContent.trim() && !link.getAttribute("aria-label")) faults.push(`link ${link.outerHTML}`);
  // The points of a chart are too many to walk through; its legend and its link say the same.
  if (link.tabIndex < 0 && !link.closest("svg")) faults.push(`not by keyboard: ${link.outerHTML}`);
}
for (const table of all("table")) {
  if (table.tHead && Array.from(table.tHead.querySelectorAll("th")).some((head) => !head.scope)) faults.push(`table ${table.id}`);
}
const ids = all("[id]").map((it) => it.id);
ids.filter((id, at) => ids.indexOf(id) !== at).forEach((id) => faults.push(`twice: ${id}`));
return faults;
"#;

/// Whatever was loaded from elsewhere.
const FOREIGN: &str = "return performance.getEntriesByType('resource').map((it) => it.name)
    .filter((it) => !it.startsWith(location.origin) && !it.startsWith('data:'))";

struct Dashboard {
    base: String,
    token: String,
    browser: Browser,
}

impl Dashboard {
    /// Of a system that is up; opened by the URL that `status` prints.
    fn of(system: &System) -> Self {
        let printed = system.succeeds(&["status"]);
        let url = printed.split_whitespace().find(|word| word.contains("/?token=")).unwrap();
        let (base, token) = url.split_once("/?token=").unwrap();
        let browser = Browser::open(1280, 900);
        browser.go(url);
        assert!(browser.is("location.search === ''"), "the token does not stay in the address bar");
        Self { base: base.to_owned(), token: token.to_owned(), browser }
    }

    fn go(&self, page: &str) {
        self.browser.go(&format!("{}{page}", self.base));
    }

    fn picture(&self, name: &str) {
        self.browser.picture(&pictures().join(format!("{name}.png")));
    }

    /// The status of a request with these headers.
    fn status(&self, path: &str, headers: &[(&str, &str)]) -> u16 {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build()
            .into();
        let url = format!("{}{path}", self.base);
        let request = headers
            .iter()
            .fold(agent.get(&url), |request, (name, value)| request.header(*name, *value));
        request.call().unwrap().status().as_u16()
    }
}

/// Where the pictures of the run are.
fn pictures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("dashboard")
}

fn none(found: &Value) -> bool {
    found.as_array().is_some_and(Vec::is_empty)
}

#[test]
#[ignore = "needs Chromium and its driver: `cargo dev test` runs it where they are"]
fn every_page_shows_the_system_after_a_walk_through_it_and_its_buttons_act() {
    let servers = Servers::start();
    let system = servers.system();
    system.succeeds(&["up", "--detach"]);
    system.succeeds(&["smoke"]);
    let dashboard = Dashboard::of(&system);

    every_page_can_be_read(&dashboard);
    take_picture_of_readme(&dashboard);
    a_fault_is_seen(&dashboard);
    a_dead_letter_is_replayed(&system, &dashboard);
    a_service_is_restarted(&system, &dashboard);
    a_log_line_leads_to_its_trace_by_keyboard(&dashboard);
    strangers_are_turned_away(&dashboard);
    system.succeeds(&["down"]);
    system.is_down();
}

fn every_page_can_be_read(dashboard: &Dashboard) {
    let browser = &dashboard.browser;
    for (path, heading, word) in PAGES {
        dashboard.go(path);
        browser.until(
            heading,
            &format!("document.querySelector('h1')?.innerText.startsWith({})", json!(heading)),
        );
        browser.until(
            word,
            &format!("document.querySelector('main')?.innerText.includes({})", json!(word)),
        );
        browser.until("it is live", "document.querySelector('#state')?.innerText === 'live'");
        for scheme in ["light", "dark"] {
            let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
            browser.chromium("Emulation.setEmulatedMedia", &json!({ "features": features }));
            let faint = browser.run(FAINT);
            assert!(none(&faint), "{path} in {scheme}: {faint:#}");
            dashboard.picture(&format!("{}-{scheme}", heading.to_lowercase()));
        }
        let unreachable = browser.run(UNREACHABLE);
        assert!(none(&unreachable), "{path}: {unreachable:#}");
        // At 200 % a window of 1280 has 640 pixels.
        let narrow = json!({"width": 640, "height": 450, "deviceScaleFactor": 2, "mobile": false});
        browser.chromium("Emulation.setDeviceMetricsOverride", &narrow);
        let wide = browser.run("return document.documentElement.scrollWidth");
        assert!(wide.as_u64() <= Some(640), "{path} is {wide} wide at 200 %");
        browser.chromium("Emulation.clearDeviceMetricsOverride", &json!({}));
        let foreign = browser.run(FOREIGN);
        assert!(none(&foreign), "{path} loads {foreign}");
        assert_eq!(browser.complaints(), [""; 0], "{path}");
    }
}

/// The picture of docs/dashboard.md, which is copied to docs/dashboard.png when the page has changed.
fn take_picture_of_readme(dashboard: &Dashboard) {
    let browser = &dashboard.browser;
    let whole = json!({"width": 1560, "height": 900, "deviceScaleFactor": 1, "mobile": false});
    browser.chromium("Emulation.setDeviceMetricsOverride", &whole);
    let light = json!({"features": [{"name": "prefers-color-scheme", "value": "light"}]});
    browser.chromium("Emulation.setEmulatedMedia", &light);
    dashboard.go("/");
    browser.until("the graph is there", "document.querySelector('svg.graph')");
    dashboard.picture("readme");
    browser.chromium("Emulation.clearDeviceMetricsOverride", &json!({}));
}

/// A fault is begun with a button, and is seen on the graph until it is stopped.
fn a_fault_is_seen(dashboard: &Dashboard) {
    let browser = &dashboard.browser;
    dashboard.go("/faults");
    browser.click("button[value='freeze redis']", "freeze");
    browser.until("the fault is there", "document.querySelector('main')?.innerText.includes('⚡ On purpose') || document.querySelector('main td.bad')");
    dashboard.go("/");
    browser.until("the graph shows it", "document.querySelector('svg.graph .faulty')");
    dashboard.picture("fault");
    dashboard.go("/faults");
    browser.click("main button", "Stop all");
    browser.until(
        "it is stopped",
        "document.querySelector('main')?.innerText.includes('Nothing goes wrong on purpose')",
    );
}

/// A poison message is dead-lettered, and put back by a button.
fn a_dead_letter_is_replayed(system: &System, dashboard: &Dashboard) {
    let browser = &dashboard.browser;
    system.succeeds(&["fault", "poison", "notification-service"]);
    dashboard.go("/messages");
    browser.click("form[action='/messages/dead-letters/replay'] button", "Replay");
    browser.until("the command is shown", "document.body?.innerText.includes('queues replay')");
    dashboard.picture("replayed");
}

/// A service is replaced by a button.
fn a_service_is_restarted(system: &System, dashboard: &Dashboard) {
    let browser = &dashboard.browser;
    let before = system.pid("notification-service");
    dashboard.go("/");
    browser.click("form[action='/processes/notification-service'] button", "restart");
    system.until("it is another process", || {
        let pids = system.pids_of("notification-service");
        pids.len() == 1 && pids[0] != before
    });
}

/// By keyboard alone.
fn a_log_line_leads_to_its_trace_by_keyboard(dashboard: &Dashboard) {
    let browser = &dashboard.browser;
    dashboard.go("/");
    browser.press("2");
    browser.until("the key of the logs leads there", "location.pathname === '/logs'");
    browser.press("/");
    browser.until("the filter has the focus", "document.activeElement?.id === 'filter'");

    // From a line of the log to its trace.
    browser.press("service:payment-service answered\u{e007}");
    browser.until("the filter is in the address", "location.search.includes('payment-service')");
    browser.click("main a[href^='/traces/']", "");
    browser.until("the trace is there", "location.pathname.startsWith('/traces/')");
    browser.until(
        "with its spans",
        "document.querySelector('main')?.innerText.includes('payment-service')",
    );
    dashboard.picture("trace");
}

/// Nobody from elsewhere, and nobody without the token.
fn strangers_are_turned_away(dashboard: &Dashboard) {
    let pages = PAGES.iter().map(|(path, ..)| *path);
    let others = [
        "/live?page=/",
        "/assets/dashboard.js",
        "/api/traces",
        "/nothing",
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    ];
    for path in pages.chain(others) {
        let bearer = format!("Bearer {}", dashboard.token);
        for (name, value) in
            [("host", "evil.example"), ("origin", "http://evil.example"), ("origin", "null")]
        {
            let status = dashboard.status(path, &[(name, value), ("authorization", &bearer)]);
            assert_eq!(status, 403, "{path} with {name} {value}");
        }
    }
    for path in ["/", "/logs", "/live?page=/", "/api/traces"] {
        assert_eq!(dashboard.status(path, &[]), 401, "{path}");
    }
    // What is not there is nobody's.
    let bearer = format!("Bearer {}", dashboard.token);
    for path in ["/mails/nonsense", "/nothing"] {
        assert_eq!(dashboard.status(path, &[("authorization", &bearer)]), 404, "{path}");
    }
}
