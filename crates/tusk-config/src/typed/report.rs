//! What is said about an error, and about keys that nobody asked for.

use super::error::{Error, Kind};
use super::hint::Hint;
use super::rounds::Rounds;
use super::session::{Content, ROOT, SlotId, State};
use crate::fault::Fault;
use crate::source::Location;
use crate::suggest::nearest;

/// A secret shorter than this is no text to look for in a message; such a message is not shown.
const SECRET_MIN: usize = 4;

/// How many known keys a help line lists.
const KNOWN_SHOWN_MAX: usize = 12;

impl Rounds<'_, '_> {
    /// Puts the fault of an error on the list, unless it comes from a placeholder.
    pub(super) fn report(&mut self, slot: SlotId, error: &Error) {
        if self.session.is_poisoned(slot) {
            return;
        }
        let fault = match &error.kind {
            Kind::Own(fault) => fault.as_deref().cloned(),
            Kind::Missing(name) => Some(self.missing_key(slot, name)),
            Kind::UnknownField { name, known } => Some(self.unknown_key(slot, name, known)),
            Kind::UnknownVariant { name, known } => Some(self.unknown_variant(slot, name, known)),
            Kind::Invalid { expected, .. } | Kind::Tagged { expected, .. } => {
                Some(self.mismatch(slot, &plain(expected)))
            }
            Kind::Custom(text) => Some(self.custom(slot, text)),
        };
        self.faults.extend(fault.map(|fault| self.redacted(fault)));
    }

    fn location(&self, slot: SlotId) -> Option<Location> {
        self.session.span(slot).and_then(|span| self.session.context.location(span))
    }

    fn key_location(&self, slot: SlotId) -> Option<Location> {
        let span = self.session.get(slot, |slot| slot.key_span);
        span.and_then(|span| self.session.context.location(span)).or_else(|| self.location(slot))
    }

    fn missing_key(&self, slot: SlotId, name: &str) -> Fault {
        let context = self.session.context;
        if slot == ROOT && self.session.whole {
            let files: Vec<&str> = context.sources.names().collect();
            let shown = name.replace(":*", ":…");
            let fault = Fault::error(None, format!("missing section `[{shown}]`"));
            return fault.help(match nearest(name, context.root.keys()) {
                Some(near) => format!("`{near}` is there; did you mean `{shown}`?"),
                None if files.is_empty() => "no file was given".to_owned(),
                None => format!("give it in {}", files.join(" or ")),
            });
        }
        let table = self.session.name(slot);
        let text = format!("missing key `{name}` in `{table}`");
        Fault::error(self.location(slot), text).label("missing in here")
    }

    fn unknown_key(&self, slot: SlotId, name: &str, known: &[&str]) -> Fault {
        let fault = Fault::error(self.key_location(slot), format!("unknown key `{name}`"));
        let fault = fault.label("nothing reads it");
        let read_it = self.how_to_read(slot);
        if let Some(near) = nearest(name, known.iter().copied()) {
            let text = format!("unknown key `{name}`, did you mean `{near}`?");
            return Fault { text, ..fault }.help(read_it);
        }
        let shown: Vec<_> = known.iter().take(KNOWN_SHOWN_MAX).copied().collect();
        let more = if known.len() > KNOWN_SHOWN_MAX { ", …" } else { "" };
        if shown.is_empty() {
            return fault.help(format!("remove it or correct its name; {read_it}"));
        }
        fault.help(format!("known here: {}{more}; {read_it}", shown.join(", ")))
    }

    /// What whoever means a key that nothing reads has to change in the program.
    fn how_to_read(&self, key: SlotId) -> String {
        let table = self.session.get(key, |key| key.parent);
        match self.session.get(table, |table| table.struct_name) {
            "" => "a new key is read by a field of the struct that this is read as".to_owned(),
            name => format!("a new key is read by a field of the struct `{name}`"),
        }
    }

    fn unknown_variant(&self, slot: SlotId, name: &str, known: &[&str]) -> Fault {
        let fault = self.mismatch(slot, &format!("one of {}", known.join(", ")));
        match nearest(name, known.iter().copied()) {
            Some(near) => fault.help(format!("did you mean `{near}`?")),
            None => fault,
        }
    }

    fn mismatch(&self, slot: SlotId, expected: &str) -> Fault {
        let error = match self.session.value(slot) {
            Ok(evaluated) => self.session.mismatch(slot, &evaluated, expected),
            Err(error) => error,
        };
        match error.kind {
            Kind::Own(Some(fault)) => *fault,
            _ => Fault::error(self.location(slot), format!("expected {expected}")),
        }
    }

    /// In the words of the type.
    fn custom(&self, slot: SlotId, text: &str) -> Fault {
        let variable = self.session.evaluate(slot).ok().and_then(|evaluated| evaluated.variable);
        let text = match variable {
            _ if slot == ROOT => text.to_owned(),
            Some(variable) => format!("{variable}: {text}"),
            None => format!("`{}`: {text}", self.session.name(slot)),
        };
        Fault::error(self.location(slot), text)
    }

    /// Words of a type may quote the value; a secret is taken out of them.
    fn redacted(&self, mut fault: Fault) -> Fault {
        for secret in self.session.secrets.borrow().iter().filter(|secret| !secret.is_empty()) {
            let escaped = secret.escape_debug().to_string();
            if secret.len() < SECRET_MIN && fault.text.contains(secret.as_str()) {
                "a value here cannot be used".clone_into(&mut fault.text);
            }
            fault.text = fault.text.replace(secret.as_str(), "[secret]");
            fault.text = fault.text.replace(&escaped, "[secret]");
        }
        fault
    }

    /// All faults. Their source lines are shown only where no secret stands in them: a file may hold
    /// one as plain text.
    pub(super) fn all(self) -> Vec<Fault> {
        let secrets = self.session.secrets.borrow();
        let lines = || secrets.iter().flat_map(|secret| secret.lines()).map(str::trim);
        let shows = |fault: &Fault| {
            let line = fault.location().map_or("", Location::source_line);
            lines().any(|secret| !secret.is_empty() && line.contains(secret))
        };
        let hide = |fault: Fault| if shows(&fault) { fault.hide() } else { fault };
        self.faults.into_iter().map(hide).collect()
    }

    /// Keys inside what was read that nothing asked for. Sections at the root that the type does not
    /// name are no faults, since several services read the same files; they are given.
    pub(super) fn report_unknown_keys(&mut self) -> Vec<Box<str>> {
        self.unknown_keys_in(ROOT);
        if !self.session.whole {
            return Vec::new();
        }
        let sections = self.session.children(ROOT).into_iter();
        let (unread, read): (Vec<SlotId>, Vec<SlotId>) =
            sections.partition(|slot| self.is_unread(*slot));
        let kinds: Vec<String> = read
            .into_iter()
            .filter_map(|slot| match self.session.get(slot, |slot| slot.content.clone()) {
                Content::View(kind) => Some(kind),
                _ => None,
            })
            .collect();
        let names = unread.into_iter().map(|slot| self.session.name(slot));
        let unread = names.filter(|name| !kinds.iter().any(|kind| name.starts_with(kind)));
        unread.map(Into::into).collect()
    }

    fn unknown_keys_in(&mut self, table: SlotId) {
        let report = table != ROOT || !self.session.whole;
        let known = self.session.get(table, |table| table.fields.unwrap_or(&[]));
        let mut names: Vec<&str> = known.to_vec();
        names.extend(self.session.get(table, |table| table.added.clone()));
        for slot in self.session.children(table) {
            if self.session.is_poisoned(slot) {
                continue;
            }
            let name = self.session.name(slot);
            if self.is_unread(slot) {
                // Named and left alone on purpose, as by `IgnoredAny`.
                if report && !known.contains(&name.as_str()) {
                    let fault = self.unknown_key(slot, &name, &names);
                    self.faults.push(fault);
                }
            } else {
                self.unknown_keys_in(slot);
            }
        }
    }

    fn is_unread(&mut self, slot: SlotId) -> bool {
        let (ignored, captured) = self.session.get(slot, |slot| (slot.ignored, slot.captured));
        if !captured {
            return ignored;
        }
        if self.session.is_container(slot) {
            return !self.was_read(slot);
        }
        self.session.state(slot) == State::Plain
    }
}

/// The words of serde's own types, as this crate says them.
fn plain(expected: &str) -> String {
    let plain = match Hint::of(expected) {
        Hint::Integer { min, max } => return super::convert::range(min, max),
        Hint::Float => "a number",
        Hint::Bool => "true or false",
        Hint::Text => "a text",
        Hint::Char => "a single character",
        Hint::Duration => "a duration",
        Hint::Unread => "anything",
        Hint::Variant(_) => "the name of a variant",
        Hint::Natural(words) => match words.as_str() {
            "a map" => "a group of keys",
            "a sequence" => "a list",
            "string or map" => "the name of a variant",
            words if words.starts_with("struct ") => "a group of keys",
            _ => return words,
        },
    };
    plain.to_owned()
}
