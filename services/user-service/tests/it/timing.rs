//! Whether the time of an answer tells who is a user: for whoever wants the figures, and on a machine that
//! is busy with nothing else.
//!
//! ```console
//! $ cargo dev test -- -p user-service -E 'test(timing)' --run-ignored only --no-capture
//! ```
//!
//! Known and unknown addresses take turns. Beside the medians stands the z of the rank-sum test by Mann,
//! Whitney and Wilcoxon: of samples of one kind, nineteen of twenty lie within 1.96 of zero.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::{PASSWORD, Signed, TestApp};

/// Tries of each kind.
const TRIES: usize = 200;
/// Those before them, which find caches empty and connections closed.
const WARM_UP: usize = 20;

/// What was measured of a kind of request.
struct Measured {
    known: Vec<Duration>,
    unknown: Vec<Duration>,
}

impl Measured {
    /// Sends requests about an address that is known and one that is not, in turns.
    async fn of(
        app: &TestApp,
        path: &str,
        user: &Signed,
        body: impl Fn(&str) -> Value,
        statuses: [u16; 2],
    ) -> Self {
        let mut measured = Self { known: Vec::new(), unknown: Vec::new() };
        for number in 0..WARM_UP + TRIES {
            let unknown = format!("{}@example.com", Uuid::now_v7().simple());
            let kinds = [(&user.email, &mut measured.known), (&unknown, &mut measured.unknown)];
            for ((email, times), status) in kinds.into_iter().zip(statuses) {
                let body = body(email);
                let began = Instant::now();
                let answer = app.post(path, &body).await;
                let took = began.elapsed();
                assert_eq!(answer.status(), status, "{path}");
                if number >= WARM_UP {
                    times.push(took);
                }
            }
        }
        measured
    }

    /// How far the sum of the ranks of the known ones is from what chance would give, in its standard
    /// deviations.
    fn z(&self) -> f64 {
        let kinds = [(&self.known, true), (&self.unknown, false)];
        let mut all: Vec<(Duration, bool)> = Vec::new();
        for (times, is_known) in kinds {
            all.extend(times.iter().map(|time| (*time, is_known)));
        }
        all.sort();
        let ranks = (1_u32..).zip(&all).filter(|(_, (_, is_known))| *is_known);
        let sum: f64 = ranks.map(|(rank, _)| f64::from(rank)).sum();
        let [n, m] = [self.known.len(), self.unknown.len()]
            .map(|count| f64::from(u32::try_from(count).unwrap()));
        (sum - n * (n + m + 1.0) / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
    }

    #[expect(clippy::print_stderr, reason = "it is what the test is for")]
    fn print(&self, what: &str) {
        let [known, unknown] = [&self.known, &self.unknown].map(|times| median(times));
        eprintln!("{what}: known {known:?}, unknown {unknown:?}, z {:.2}", self.z());
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

#[tokio::test]
#[ignore = "prints how long requests take, which depends on what else the machine does"]
async fn requests_about_known_and_unknown_addresses_take_as_long() {
    let app = TestApp::start().await;
    let user = app.new_user().await;
    let sign_in = |email: &str| json!({"email": email, "password": "not the password"});
    Measured::of(&app, "/api/sessions", &user, sign_in, [401, 401]).await.print("sign-in");
    let reset = |email: &str| json!({"email": email});
    Measured::of(&app, "/api/password-resets", &user, reset, [202, 202]).await.print("reset");
    let register = |email: &str| json!({"email": email, "name": "Ada", "password": PASSWORD});
    Measured::of(&app, "/api/users", &user, register, [409, 201]).await.print("registration");
}

#[test]
fn a_difference_would_be_seen() {
    let times = |from: u64| (from..from + 200).map(Duration::from_micros).collect::<Vec<_>>();
    let of = |known, unknown| Measured { known: times(known), unknown: times(unknown) };
    assert!(of(1_000, 1_000).z().abs() < 0.2, "{}", of(1_000, 1_000).z());
    assert!(of(1_050, 1_000).z() > 1.96 && of(1_000, 1_050).z() < -1.96);
    assert_eq!(median(&times(1)), Duration::from_micros(101));
}
