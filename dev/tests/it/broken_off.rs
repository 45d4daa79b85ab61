//! `cargo dev up`, ended at any moment: by SIGKILL, by Ctrl-C, by the end of its terminal.

use std::{
    env, fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use testkit::native::{ProcessId, Signal};

use crate::{
    system::{Running, Servers, System},
    up::is_known,
};

/// How often it is killed; `KILL_COUNT` gives another number.
const KILLS: u64 = 4;
/// Of the moments; `KILL_SEED` gives another.
const SEED: u64 = 16;

#[test]
#[allow(clippy::print_stdout, reason = "who looks into a failure needs the moments")]
fn a_system_is_whole_again_after_its_up_was_killed_at_any_moment() {
    let system = System::new();
    let start = Instant::now();
    system.succeeds(&["up", "--detach"]);
    let length = start.elapsed();
    system.succeeds(&["down"]);

    let number = |name: &str| env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seed = number("KILL_SEED").unwrap_or(SEED);
    let kills = number("KILL_COUNT").unwrap_or(KILLS);
    println!("KILL_SEED={seed} KILL_COUNT={kills}");
    let mut random = Random(seed);
    for number in 0..kills {
        let moment = length.mul_f64(random.share());
        println!("kill {number} after {moment:?} of {length:?}");
        let mut up = system.start(&["up", "--detach"]);
        thread::sleep(moment);
        up.kill();
        is_known(&system);
        // Half of them start from nothing, half from what the last one has left.
        if random.share() < 0.5 {
            system.succeeds(&["down"]);
            system.is_down();
        }
    }

    // Once more, so that surely something is left, and the next one says what it does about it.
    system.succeeds(&["down"]);
    let mut up = system.start(&["up", "--detach"]);
    system.until("a service", || system.count("user-service") > 0);
    up.kill();
    let left = system.status();
    let unrecorded: Vec<&str> = left
        .iter()
        .filter(|line| line["recorded"] == false)
        .filter_map(|line| line["name"].as_str().filter(|name| *name != "epmd"))
        .collect();
    let said = system.succeeds(&["up", "--detach"]);
    for name in unrecorded {
        assert!(said.contains(&format!("stopped {name}, which was left over")), "{name}: {said}");
    }
    is_known(&system);
    system.succeeds(&["smoke"]);
    system.succeeds(&["down"]);
    system.is_down();
}

#[test]
fn ctrl_c_at_any_moment_of_a_start_ends_everything() {
    let servers = Servers::start();
    let system = servers.system();
    let start = Instant::now();
    system.succeeds(&["up", "--detach"]);
    let length = start.elapsed();
    system.succeeds(&["down"]);

    for share in [0.02, 0.2, 0.4, 0.6, 0.8, 0.95] {
        let mut up = system.start(&["up"]);
        thread::sleep(length.mul_f64(share));
        up.interrupt();
        system.is_down();
    }
    // While the slowest server starts, too.
    let system = System::new();
    let mut up = system.start(&["up"]);
    system.until("the broker starts", || system.count("beam.smp") > 0);
    assert!(!up.interrupt(), "{}", system.said());
    system.is_down();
}

#[test]
fn up_and_down_at_once_leave_one_of_the_two() {
    let servers = Servers::start();
    let system = servers.system();
    for head_start in [0, 50, 400] {
        let mut up = system.start(&["up", "--detach"]);
        thread::sleep(Duration::from_millis(head_start));
        let mut down = system.start(&["down"]);
        let came = up.wait();
        let went = down.wait();
        assert!(came || went, "{}", system.said());
        is_known(&system);
        if came && !went {
            system.succeeds(&["status"]);
        }
        system.succeeds(&["down"]);
        system.is_down();
    }
}

#[test]
fn a_closed_terminal_ends_a_foreground_up_and_leaves_a_detached_system() {
    let servers = Servers::start();
    let system = servers.system();
    let mut terminal = Terminal::open(&system, "up");
    system.until("it watches", || terminal.said().contains("Ctrl-C stops everything"));
    terminal.close();
    system.is_down();

    // In the middle of a start, too.
    let mut terminal = Terminal::open(&system, "up");
    system.until("a service", || system.count("user-service") > 0);
    terminal.close();
    system.is_down();

    let mut terminal = Terminal::open(&system, "up --detach; sleep 600");
    system.until("it is up", || terminal.said().contains("stop it with: cargo dev down"));
    terminal.close();
    system.succeeds(&["status"]);
    system.succeeds(&["down"]);
    system.is_down();
}

#[test]
fn an_up_that_is_to_outlive_its_terminal_goes_on_after_the_hang_up() {
    let servers = Servers::start();
    let system = servers.system();
    let tool = system.dev(&["up"]);
    let mut shell = Command::new("sh");
    // What nohup(1) does.
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(tool.get_program()).arg("up");
    let variables = tool.get_envs().filter_map(|(name, value)| Some((name, value?)));
    shell.envs(variables).current_dir(system.path(""));
    let said = fs::File::options().append(true).open(system.path("up.log")).unwrap();
    shell.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
    let mut up = Running::of(&mut shell);
    system.until("it watches", || system.said().contains("Ctrl-C stops everything"));
    up.signal(Signal::HUP);
    let pid = u32::try_from(system.pid("payment-service")).unwrap();
    ProcessId::of(pid).unwrap().signal(Signal::KILL).unwrap();
    system.until("it still watches", || system.said().contains("payment-service ended"));
    assert!(up.interrupt(), "{}", system.said());
    system.is_down();
}

/// A terminal in which the tool runs: the far end of it is held by `script`.
struct Terminal {
    script: Running,
    log: std::path::PathBuf,
}

impl Terminal {
    fn open(system: &System, words: &str) -> Self {
        let log = system.path("terminal.log");
        let _none_there = fs::remove_file(&log);
        let tool = system.dev(&["up"]);
        let line = format!("{} {words}", tool.get_program().display());
        let mut script = Command::new("script");
        script.args(["--quiet", "--flush", "--command", &line]).arg(&log);
        script.current_dir(system.path("")).stdin(Stdio::null()).stdout(Stdio::null());
        let variables = tool.get_envs().filter_map(|(name, value)| Some((name, value?)));
        script.envs(variables.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Self { script: Running::of(&mut script), log }
    }

    fn said(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Nobody has the far end any more, and the kernel hangs up (SIGHUP).
    fn close(&mut self) {
        self.script.kill();
    }
}

/// Numbers that are the same for the same seed (xorshift).
struct Random(u64);

impl Random {
    /// From 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a moment need not be exact")]
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % 1000) as f64 / 1000.0
    }
}
