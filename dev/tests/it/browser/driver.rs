//! Chromium and its driver, as far as the tests need them: to open a page, to run a script in it, to press
//! keys, to take a picture.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use testkit::native::{find::on_path, port};

/// How long the page may take to be as it should on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A browser window. It closes when the value is dropped.
pub(super) struct Browser {
    driver: Child,
    session: String,
}

impl Browser {
    pub(super) fn open(width: u32, height: u32) -> Self {
        let port = port::free(None);
        let driver = Command::new(on_path("chromedriver").expect("chromedriver is there"))
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let base = format!("http://127.0.0.1:{port}");
        let begin = Instant::now();
        while ureq::get(format!("{base}/status")).call().is_err() {
            assert!(begin.elapsed() < LIMIT, "chromedriver does not answer");
            thread::sleep(POLL);
        }
        let size = format!("--window-size={width},{height}");
        let options = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--no-proxy-server", "--hide-scrollbars", size,
            ]},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let mut browser = Self { driver, session: format!("{base}/session") };
        let session = browser.post("", &options);
        let id = session["sessionId"].as_str().unwrap();
        browser.session = format!("{base}/session/{id}");
        browser
    }

    fn post(&self, command: &str, body: &Value) -> Value {
        let url = format!("{}{command}", self.session);
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let mut answer = agent.post(&url).send_json(body).unwrap();
        let said: Value = answer.body_mut().read_json().unwrap();
        assert!(answer.status().is_success(), "{command}: {said}");
        said["value"].clone()
    }

    /// Opens a page and waits until it is loaded.
    pub(super) fn go(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// What a script in the page returns.
    pub(super) fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Whether an expression of the page is true.
    pub(super) fn is(&self, expression: &str) -> bool {
        self.run(&format!("return Boolean({expression})")) == true
    }

    /// Waits until an expression of the page is true.
    pub(super) fn until(&self, what: &str, expression: &str) {
        let begin = Instant::now();
        while !self.is(expression) {
            let shown = || self.run("return document.body.innerText");
            assert!(begin.elapsed() < LIMIT, "{what}: not within {LIMIT:?}\n{}", shown());
            thread::sleep(POLL);
        }
    }

    /// Clicks the first element of this selector that holds this text.
    pub(super) fn click(&self, selector: &str, text: &str) {
        let selector = json!(selector);
        let text = json!(text);
        let find = format!(
            "Array.from(document.querySelectorAll({selector})).find(it => it.innerText.includes({text}))"
        );
        self.until(&format!("{selector} with {text} is there"), &find);
        self.run(&format!("{find}.click()"));
    }

    /// Presses one key after the other.
    pub(super) fn press(&self, keys: &str) {
        let presses = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})));
        let presses: Vec<Value> = presses.collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": presses});
        self.post("/actions", &json!({ "actions": [keyboard] }));
    }

    /// Sends a command of Chromium's own protocol.
    pub(super) fn chromium(&self, command: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// What the browser complained of since the last call.
    pub(super) fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", &json!({"type": "browser"}));
        let entries = log.as_array().into_iter().flatten();
        entries.filter_map(|entry| entry["message"].as_str().map(str::to_owned)).collect()
    }

    /// Writes a picture of what is seen.
    pub(super) fn picture(&self, file: &Path) {
        let url = format!("{}/screenshot", self.session);
        let mut answer = ureq::get(&url).call().unwrap();
        let said: Value = answer.body_mut().with_config().limit(64 << 20).read_json().unwrap();
        let bytes = BASE64_STANDARD.decode(said["value"].as_str().unwrap()).unwrap();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser is the driver's child, and ends with its session.
        let _gone_already = ureq::delete(&self.session).call();
        let _gone_already = self.driver.kill();
        let _gone_already = self.driver.wait();
    }
}
