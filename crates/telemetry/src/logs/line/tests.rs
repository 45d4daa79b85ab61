//! What lines look like.

use std::sync::{Arc, Mutex};

use tracing::Subscriber;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use super::*;

/// Keeps the lines that it writes.
#[derive(Clone)]
struct Kept {
    format: LineFormat,
    lines: Arc<Mutex<Vec<u8>>>,
}

impl<S: Subscriber> Layer<S> for Kept {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.format.event(&mut self.lines.lock().unwrap(), event);
    }
}

/// The lines of what `log` logs, without their times.
fn written(format: LogFormat, log: impl FnOnce()) -> Vec<String> {
    let format = LineFormat { format, service: "user-service".to_owned() };
    let kept = Kept { format, lines: Arc::default() };
    let subscriber = tracing_subscriber::registry().with(kept.clone());
    tracing::subscriber::with_default(subscriber, log);
    let lines = String::from_utf8(kept.lines.lock().unwrap().clone()).unwrap();
    lines.lines().map(|line| line.split_once('Z').unwrap().1.to_owned()).collect()
}

/// Formats itself piece by piece, with signs that JSON escapes.
struct Pieces;

impl fmt::Display for Pieces {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        ["a \"quote\"", "\n", "\u{1b}[31m", "Grüße\\"].iter().try_for_each(|it| out.write_str(it))
    }
}

#[test]
fn a_line_of_json_has_its_fields_in_their_order_and_escaped() {
    let lines = written(LogFormat::Json, || {
        let (none, nan) = (None::<u8>, f64::NAN);
        tracing::info!(
            z = %Pieces, a = ?Some("x\ty"), n = -1, f = 0.5, none, nan, on = true, text = "\"", "it is {}", Pieces
        );
        tracing::warn!(target: "a \"target\"", only = 1_u64);
    });
    let escaped = r#"a \"quote\"\n\u001b[31mGrüße\\"#;
    let head =
        r#"","level":"INFO","service":"user-service","target":"telemetry::logs::line::tests","#;
    assert_eq!(
        lines[0],
        format!(
            r#"{head}"message":"it is {escaped}","z":"{escaped}","a":"Some(\"x\\ty\")","n":-1,"f":0.5,"nan":null,"on":true,"text":"\""}}"#
        )
    );
    let head = r#"","level":"WARN","service":"user-service","target":"a \"target\"","#;
    assert_eq!(lines[1], format!(r#"{head}"message":"","only":1}}"#));
}

#[test]
fn a_line_for_people_puts_into_quotes_what_is_not_one_word_of_one_line() {
    let lines = written(LogFormat::Human, || {
        tracing::info!(word = "x", words = %"two words", lines = ?Some("a\nb"), cr = "a\rb", n = 1, "it is");
    });
    let fields = r#"word=x words="two words" lines=Some("a\nb") cr="a\rb" n=1"#;
    assert_eq!(lines, [format!("  INFO it is {fields}")]);
}
