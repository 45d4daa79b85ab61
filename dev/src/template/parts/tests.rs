//! Pieces go in and come out again, and the rest of the file stays as it is.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::template::names::Names;

fn words() -> Words {
    Words::new("orders-service", "order", "orders", 3004)
}

fn laid(language: Language, text: &str, fragment: &str) -> String {
    laid_by(&words(), language, text, fragment)
}

/// Adds what the fragment has, and gives the new text once it is proven that taking it away again
/// gives the old one.
fn laid_by(words: &Words, language: Language, text: &str, fragment: &str) -> String {
    let pieces = language.pieces(fragment, words).unwrap();
    let mut new = text.to_owned();
    for piece in &pieces {
        assert!(!language.has(&new, piece).unwrap());
        new = language.add(&new, piece).unwrap();
        assert!(language.has_unchanged(&new, piece).unwrap());
    }
    let mut old = new.clone();
    for piece in &pieces {
        old = language.take(&old, piece).unwrap();
    }
    assert_eq!(old, text);
    new
}

#[test]
fn settings_get_sections_entries_and_items() {
    let text = "\
# who
[services]
user_service_token: a # one

# policies
[policy.user-service]
\"GET /api/users/{id}\": [user, payment-service] # some

[policy.payment-service]
\"POST /api/payments\": user
";
    let fragment = "\
[services]
sample_service_token: b # what sample-service proves itself with

[policy.user-service]
\"GET /api/users/{id}\": [user, payment-service, sample-service]

# ours
[policy.sample-service]
\"POST /api/samples\": user
";
    let expected = "\
# who
[services]
user_service_token: a # one
orders_service_token: b # what orders-service proves itself with

# policies
[policy.user-service]
\"GET /api/users/{id}\": [user, payment-service, orders-service] # some

[policy.payment-service]
\"POST /api/payments\": user

# ours
[policy.orders-service]
\"POST /api/orders\": user
";
    assert_eq!(laid(Language::Tsk, text, fragment), expected);
}

#[test]
fn lines_and_modules_are_sorted_in() {
    assert_eq!(
        laid(Language::Lines, "a -> b\nz -> b\n", "sample -> b\n"),
        "a -> b\norder -> b\nz -> b\n"
    );
    let text = "//! mod none;\n\npub mod notification;\n#[cfg(test)]\nmod payment; // why\n\nfn main() {}\n";
    let expected = text.replace("#[cfg", "pub mod order;\n#[cfg");
    assert_eq!(laid(Language::Rust, text, "pub mod sample;\n"), expected);
}

#[test]
fn rust_gets_lines_of_its_head_items_variants_arms_and_calls_beside_their_kin() {
    let text = "\
//! Orders.
//!
//! | `GET /api/orders` | lists |
//! | `/debug` | how it fares |

use contracts::order::{OrderCreated, OrderSent};

/// What happened.
pub enum Event {
    /// Made.
    Created, // first
    Sent { by: String },
}

impl Order {
    pub const MAX: usize = { 7 };

    pub fn new() -> Self {}

    fn helper() {}
}

pub(crate) async fn enqueue(events: Vec<Event>) {
    for event in events {
        let id = new_id();
        match event {
            Event::Created => {}
            Event::Sent { by } => send(id, by).await?,
        }
    }
}

fn router() -> Router {
    Router::new()
        .routes(routes!(orders::list))
        .merge(admin())
}
";
    let fragment = "\
//! | `PUT /api/samples/occurred` | new |
use contracts::sample::SampleOccurred;
pub enum Event {
    Occurred,
}
impl Sample {
    pub fn mark_occurred(self) {}
}
pub(crate) async fn enqueue() {
    for event in events {
        match event {
            Event::Occurred => tell(SampleOccurred).await?,
        }
    }
}
fn router() {
    x
        .routes(routes!(occurred::answer))
}
";
    let expected = text
        .replace("lists |\n", "lists |\n//! | `PUT /api/orders/lost` | new |\n")
        .replace("OrderSent}", "OrderSent, OrderLost}")
        .replace("String },\n", "String },\n    Lost,\n")
        .replace("Self {}\n", "Self {}\n\n    pub fn mark_lost(self) {}\n")
        .replace(
            "by).await?,\n",
            "by).await?,\n            Event::Lost => tell(OrderLost).await?,\n",
        )
        .replace("list))\n", "list))\n        .routes(routes!(lost::answer))\n");
    let words = Words::of_service(&Names::new("orders", None).unwrap()).with_event("lost", true);
    assert_eq!(laid_by(&words, Language::Rust, text, fragment), expected);

    let piece = &Language::Rust.pieces("use contracts::sample::Occurred;\n", &words).unwrap()[0];
    let alone = Language::Rust.add("use contracts::order::Created;\n", piece).unwrap();
    assert_eq!(alone, "use contracts::order::{Created, Lost};\n");
}

#[test]
fn a_file_that_lacks_the_place_says_what_to_add() {
    let piece = &Language::Tsk.pieces("[queues]\nsample: a\n", &words()).unwrap()[0];
    let error = Language::Tsk.add("[exchanges]\nuser: b\n", piece).unwrap_err().to_string();
    assert!(error.contains("queues") && error.contains("order: a"), "{error}");
}

#[test]
fn an_entry_that_somebody_changed_is_distinguished() {
    let piece = &Language::Tsk.pieces("[a]\nsample: 1\n", &words()).unwrap()[0];
    assert!(!Language::Tsk.has_unchanged("[a]\norder: 2\n", piece).unwrap());
    assert_eq!(Language::Tsk.take("[a]\nx: 1\norder: 2\n", piece).unwrap(), "[a]\nx: 1\n");
}
