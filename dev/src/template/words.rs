//! The template's word in all its forms, and what takes its place.
//!
//! The template calls its thing `sample`. In a copy, each form of that word is the same form of the
//! new one. A form counts as a whole part of a name only: `sample_id` and `NewSample` have one,
//! `sampled` has none.
//!
//! What is added to a service that is there has a second word, in the same way: `occurred` for an
//! event, `aspect` for a route.

use super::names::Names;

/// The port that the template listens on.
const PORT: &str = "3999";

/// What is written otherwise of users, each of whom is his own.
const OWN: [(&str, &str); 4] = [
    ("sample_id, user_id: USER", "user_id: USER"),
    ("sample_id, user_id", "user_id"),
    ("sample.user_id", "user.id"),
    ("\"sample_id\":\"0197c1f0-5c00-7000-8000-000000000009\",\"user_id\"", "\"user_id\""),
];

/// A form of the template's word: what is replaced, and by what.
#[derive(Debug)]
struct Form {
    from: &'static str,
    to: String,
    /// With dashes, where the name stands in an address or a name with dashes.
    dashed: String,
}

/// Replaces the template's word.
#[derive(Debug)]
pub(super) struct Words {
    forms: Vec<Form>,
    /// How many of them, from the first, tell what is added from what is there.
    telling: usize,
}

impl Words {
    /// All in kebab-case: the service with `-service`, its thing, several of them.
    pub(super) fn new(service: &str, aggregate: &str, plural: &str, port: u16) -> Self {
        // As scopes call the service.
        let scope = |access: &str| {
            format!("{}:{access}", service.strip_suffix("-service").unwrap_or(service))
        };
        // What begins with another form comes before it.
        let forms = vec![
            same("sample:read", scope("read")),
            same("sample:write", scope("write")),
            same("sample:admin", scope("admin")),
            same("sample-service", service.to_owned()),
            same("sample_service", snake(service)),
            same("SampleService", pascal(service)),
            same("SAMPLE_SERVICE", snake(service).to_uppercase()),
            dashed("samples", plural),
            same("Samples", pascal(plural)),
            dashed("sample", aggregate),
            same("Sample", pascal(aggregate)),
            same("SAMPLE", snake(aggregate).to_uppercase()),
            same(PORT, port.to_string()),
        ];
        Self { telling: forms.len(), forms }
    }

    /// Of a service that is there, whose own names tell nothing new.
    pub(super) fn of_service(names: &Names) -> Self {
        let mut words = Self::new(&names.service, &names.aggregate, &names.plural, 0);
        words.telling = 0;
        let theirs = OWN.iter().map(|(from, to)| (*from, (*to).to_owned()));
        if names.is_owner() { words.and(theirs, false) } else { words }
    }

    /// The same with an event, in kebab-case. `tells`: it is what is added.
    pub(super) fn with_event(self, event: &str, tells: bool) -> Self {
        let forms = [dashed("occurred", event), same("Occurred", pascal(event))];
        self.with(forms.into(), tells)
    }

    /// The same with more words, and what takes their places; what begins with another stands before it. `tell`:
    /// they are what is added.
    pub(super) fn and(
        self,
        words: impl IntoIterator<Item = (&'static str, String)>,
        tell: bool,
    ) -> Self {
        self.with(words.into_iter().map(|(from, to)| same(from, to)).collect(), tell)
    }

    fn with(mut self, forms: Vec<Form>, tell: bool) -> Self {
        self.telling += if tell { forms.len() } else { 0 };
        self.forms.splice(..0, forms);
        self
    }

    /// The text with every form replaced.
    pub(super) fn rename(&self, text: &str) -> String {
        renamed(text, &self.forms)
    }

    /// Whether the text has any form in it that tells what is added.
    pub(super) fn are_in(&self, text: &str) -> bool {
        renamed(text, &self.forms[..self.telling]) != text
    }
}

fn renamed(text: &str, forms: &[Form]) -> String {
    let mut renamed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let before = &text[..text.len() - rest.len()];
        let found = forms.iter().find(|form| stands_at(form.from, before, rest));
        if let Some(form) = found {
            rest = &rest[form.from.len()..];
            let is_dashed = before.ends_with('-') || before.ends_with("/api/");
            let is_dashed = is_dashed || rest.starts_with('-');
            let word = if is_dashed { &form.dashed } else { &form.to };
            if form.to != form.dashed && is_prose(before, rest) {
                renamed.push_str(&form.dashed.replace('-', " "));
            } else {
                renamed.push_str(word);
            }
        } else {
            renamed.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    renamed
}

fn same(from: &'static str, to: String) -> Form {
    Form { from, dashed: to.clone(), to }
}

fn dashed(from: &'static str, to: &str) -> Form {
    Form { from, to: snake(to), dashed: to.to_owned() }
}

/// Whether a form stands at the begin of `rest`, as a whole part of a name.
fn stands_at(form: &str, before: &str, rest: &str) -> bool {
    let Some(after) = rest.strip_prefix(form) else {
        return false;
    };
    let before = before.chars().next_back();
    let after = after.chars().next();
    let is = |neighbour: Option<char>, what: fn(&char) -> bool| neighbour.is_some_and(|c| what(&c));
    let is_camel =
        form.chars().next().is_some_and(char::is_uppercase) && form.chars().any(char::is_lowercase);
    if is_camel {
        return !is(before, char::is_ascii_uppercase) && !is(after, char::is_ascii_lowercase);
    }
    let continues: fn(&char) -> bool = match form.chars().next() {
        Some('0'..='9') => char::is_ascii_alphanumeric,
        Some('A'..='Z') => char::is_ascii_alphabetic,
        _ => char::is_ascii_lowercase,
    };
    !is(before, char::is_ascii_alphanumeric) && !is(after, continues)
}

/// Whether a word of its own stands here, in a comment and not between backticks.
fn is_prose(before: &str, after: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let is_comment = line.trim_start().starts_with("//");
    let is_code = line.matches('`').count() % 2 == 1;
    let next = after.trim_start_matches(['.', ',', ';', ':', '?']).chars().next();
    is_comment && !is_code && line.ends_with(' ') && next.is_none_or(char::is_whitespace)
}

/// `order-items` as `order_items`.
pub(super) fn snake(kebab: &str) -> String {
    kebab.replace('-', "_")
}

/// `order-items` as `OrderItems`.
pub(super) fn pascal(kebab: &str) -> String {
    let words = kebab.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders() -> Words {
        Words::new("orders-service", "order", "orders", 3004)
    }

    #[test]
    fn each_form_is_replaced_by_the_same_form() {
        let words = orders();
        for (from, to) in [
            ("sample-service_db", "orders-service_db"),
            ("use sample_service::SampleService;", "use orders_service::OrdersService;"),
            ("SAMPLE_SERVICE_TOKEN", "ORDERS_SERVICE_TOKEN"),
            ("NewSample { sample_id }", "NewOrder { order_id }"),
            ("/api/samples/{id}", "/api/orders/{id}"),
            ("samples_user_id, SAMPLE, Samples", "orders_user_id, ORDER, Orders"),
            ("port 3999, not 39990", "port 3004, not 39990"),
            ("sample.created", "order.created"),
        ] {
            assert_eq!(words.rename(from), to);
        }
    }

    #[test]
    fn what_only_begins_like_it_stays() {
        for text in ["sampled", "resample", "Sampler", "SAMPLES_", "sampling", "13999"] {
            assert_eq!(orders().rename(text), text);
            assert!(!orders().are_in(text));
        }
    }

    #[test]
    fn several_words_are_joined_as_the_place_wants() {
        let words = Words::new("order-items-service", "order-item", "order-items", 3004);
        assert_eq!(words.rename("// Which sample."), "// Which order item.");
        assert_eq!(words.rename("// One sample: its id."), "// One order item: its id.");
        assert_eq!(words.rename("// of sample::ID"), "// of order_item::ID");
        assert_eq!(words.rename("// of `sample.created`"), "// of `order_item.created`");
        assert_eq!(words.rename("// Which sample.\nsample"), "// Which order item.\norder_item");
        assert_eq!(words.rename("/api/samples"), "/api/order-items");
        assert_eq!(
            words.rename("sample.created of sample_id"),
            "order_item.created of order_item_id"
        );
        assert_eq!(words.rename("a-sample, SampleView"), "a-order-item, OrderItemView");
    }
}
