//! `cargo dev run` and `cargo dev env` on a running system.

use std::{
    env, fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use testkit::native::find::on_path;

use crate::system::{Servers, System};

#[test]
fn a_service_in_the_foreground_takes_the_place_of_the_one_that_runs_and_gives_it_back() {
    let servers = Servers::start();
    let system = servers.system();
    system.succeeds(&["up", "--detach"]);
    let before = system.pids();
    let address = of(&system, "user-service").unwrap()["url"].clone();

    let mut foreground = system.start(&["run", "user-service"]);
    system.until("the service is ready in the foreground", || {
        of(&system, "user-service")
            .is_some_and(|one| one["foreground"] == true && one["ready"] == true)
    });
    let [user, rest @ ..] = system.pids();
    assert_ne!(user, before[0]);
    assert_eq!(rest, before[1..], "the others go on");
    assert_eq!(of(&system, "user-service").unwrap()["url"], address);
    system.succeeds(&["smoke"]);
    let said = || fs::read_to_string(system.path("run.log")).unwrap();
    system.until("its log is shown", || said().contains("INFO request answered"));
    // What is in somebody's hands is left there.
    system.succeeds(&["up", "--detach"]);
    assert_eq!(system.pids(), [user, before[1], before[2], before[3]]);

    assert!(foreground.interrupt(), "{}", said());
    assert!(said().contains("give it back with: cargo dev up --detach"), "{}", said());
    assert!(of(&system, "user-service").is_none());
    let doctor = system.output(&["doctor", "--json"]).stdout;
    assert!(String::from_utf8_lossy(&doctor).contains("not up: user-service"));
    system.succeeds(&["up", "--detach"]);
    assert_eq!(of(&system, "user-service").unwrap()["foreground"], false);

    // Killed, it leaves a service that the next command finds.
    let mut foreground = system.start(&["run", "payment-service"]);
    system.until("the service runs in the foreground", || {
        of(&system, "payment-service").is_some_and(|one| one["foreground"] == true)
    });
    foreground.kill();
    assert_eq!(of(&system, "payment-service").unwrap()["foreground"], false);
    system.succeeds(&["down"]);
    system.is_down();
}

#[test]
fn a_debugger_shows_the_locals_of_a_handler() {
    let servers = Servers::start();
    let system = servers.system();
    system.succeeds(&["up", "--detach"]);
    let words = ["run", "payment-service", "--debugger", "gdb"];
    // A build that was made without the locals, as in continuous integration, has none to show.
    let has_locals = env::var_os("CARGO_PROFILE_DEV_DEBUG").is_none();
    if on_path("gdb").is_none() {
        let output = system.output(&words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        for line in ["gdb --quiet", "lldb ", "cargo dev env payment-service --vscode"] {
            assert!(error.contains(line), "{error}");
        }
        assert!(of(&system, "payment-service").is_some(), "what runs was left alone");
        return;
    }
    let mut run = system.dev(&words).stdin(Stdio::piped()).spawn().unwrap();
    let script = format!(
        "set pagination off\nset confirm off\nbreak {}\nrun\ninfo locals\nkill\nquit\n",
        breakpoint("let fingerprint = new.fingerprint()?;")
    );
    run.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    system.until("the service is ready under the debugger", || {
        of(&system, "payment-service")
            .is_some_and(|one| one["foreground"] == true && one["ready"] == true)
    });
    let smoke = system.start(&["smoke"]);
    assert!(run.wait().unwrap().success());
    drop(smoke);
    let said = fs::read_to_string(system.path("run.log")).unwrap();
    let locals = ["user_id = contracts::user::UserId", "amount: 1999", "\"pm_card_visa\""];
    for local in locals.iter().filter(|_| has_locals) {
        assert!(said.contains(local), "{local}: {said}");
    }
    assert!(of(&system, "payment-service").is_none());
    system.succeeds(&["down"]);
}

#[test]
fn what_a_service_is_given_is_told_to_shells_and_editors() {
    let servers = Servers::start();
    let system = servers.system();
    let down = system.output(&["env", "user-service"]);
    assert!(String::from_utf8_lossy(&down.stderr).contains("nothing is up"));
    system.succeeds(&["up", "--detach"]);

    let lines = system.succeeds(&["env", "user-service"]);
    let checked = Command::new("sh")
        .args(["-c", &format!("{lines}\nexec \"$0\" --check-config")])
        .arg(system.binary("user-service"))
        .current_dir(system.path(""))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let mut lines = lines.lines();
    let secret = lines.find_map(|line| line.strip_prefix("export JWT_SECRET=")).unwrap();
    let dotenv = system.succeeds(&["env", "user-service", "--dotenv"]);
    assert!(dotenv.contains(&format!("JWT_SECRET=\"{secret}\"\n")), "{dotenv}");

    let launch: Value =
        serde_json::from_str(&system.succeeds(&["env", "user-service", "--vscode"])).unwrap();
    let file = launch["configurations"][0]["envFile"].as_str().unwrap();
    let file = system.path(file.strip_prefix("${workspaceFolder}/").unwrap());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&file).unwrap(), dotenv);
    let unknown = system.output(&["env", "nobody"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there are: user-service"));
    system.succeeds(&["down"]);
}

/// A service in `cargo dev status`.
fn of(system: &System, name: &str) -> Option<Value> {
    system.status().into_iter().find(|one| one["name"] == name && one["running"] == true)
}

/// The place of this line in the routes of payments.
fn breakpoint(code: &str) -> String {
    let routes = Path::new(env!("CARGO_MANIFEST_DIR"));
    let routes = routes.with_file_name("services/payment-service/src/routes/payments.rs");
    let text = fs::read_to_string(routes).unwrap();
    let line = text.lines().position(|line| line.trim() == code);
    format!("payments.rs:{}", line.expect("the handler has this line") + 1)
}
