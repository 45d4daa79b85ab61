//! What was read well and does not fit what the program has: the name of a queue that nobody
//! declares, a rule for a route that is not there. Whoever knows the other side finds it; here it
//! gets its place.

use std::path::Path;

mod bounds;
mod tls;

pub use bounds::Bounded;
pub use tls::is_loopback;

use crate::config::Config;
use crate::fault::{Errors, Fault};
use crate::source::Span;
use crate::suggest::closest_name;
use crate::tree::Entry;

/// Something that the settings say and that does not fit.
///
/// ```
/// use tusk_config::{Loader, ValidationError, Vars};
///
/// let text = "[queues]\npayment_event: payments\n";
/// let loader = Loader::new("config").text("queue.tsk", text).vars(Vars::empty());
/// let config = loader.tree()?;
/// let error = ValidationError::missing("queues", "payment_events", "[queues] has no `payment_events`");
///
/// let errors = config.check([error]).unwrap_err().to_string();
/// assert!(errors.starts_with("queue.tsk:2:1: [queues] has no `payment_events`"), "{errors}");
/// assert!(errors.ends_with("help: did you mean `payment_events`?"), "{errors}");
/// # Ok::<(), tusk_config::Errors>(())
/// ```
#[derive(Debug, Clone)]
pub struct ValidationError {
    path: String,
    /// What is missing under the path.
    missing: Option<String>,
    text: String,
    is_secret: bool,
}

impl ValidationError {
    /// The section or key at `path`, keys joined with dots, does not fit. `text` says what is wrong;
    /// it never repeats a value that may be a secret.
    pub fn at(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), missing: None, text: text.into(), is_secret: false }
    }

    /// `section` (empty: the root) has no `key`. It stands at the key that may be a slip of it, else
    /// at the section.
    pub fn missing(
        section: impl Into<String>,
        key: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        let path = section.into();
        let missing = Some(key.into());
        Self { path, missing, text: text.into(), is_secret: false }
    }

    /// The section or key that it is about, keys joined with dots.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong there.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Does not show the source line: a secret may stand in it.
    #[must_use]
    pub fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }
}

impl Config {
    /// The sections of files of this name, overlays included, that are of none of these kinds; the
    /// kind of `[queue:payments]` is `queue`. For files that several programs share, where a section
    /// that is not read may be another's, and a misspelt one would be missed by nobody. `list` says
    /// where the program keeps the kinds, for whoever adds one.
    pub fn unknown_sections(&self, file: &str, kinds: &[&str], list: &str) -> Vec<ValidationError> {
        let unknown = self.entries_of(file).filter_map(|entry| {
            let kind = entry.key.split(':').next().unwrap_or_default();
            if entry.value.as_table().is_none() {
                return Some(in_no_section(entry));
            }
            if kinds.contains(&kind) {
                return None;
            }
            let meant = closest_name(kind, kinds.iter().copied());
            let meant = meant.map_or_else(
                || format!("; a new one is listed in {list}"),
                |meant| format!("; did you mean [{meant}]?"),
            );
            let text = format!("[{}] is no section of this file{meant}", entry.key);
            Some(ValidationError::at(&*entry.key, text))
        });
        unknown.collect()
    }

    /// The sections of files of this name, overlays included, that the last
    /// [`load_with_config`](crate::Loader::load_with_config) did not read, and keys above any section.
    /// For the file of one program, where nobody else reads what it leaves.
    pub fn unread(&self, file: &str) -> Vec<ValidationError> {
        let known =
            || self.root.keys().filter(|key| !self.unread.iter().any(|other| **other == **key));
        let unread = self.entries_of(file).filter(|entry| self.unread.contains(&entry.key));
        let error = |entry: &Entry| {
            if entry.value.as_table().is_none() {
                return in_no_section(entry);
            }
            let meant = closest_name(&entry.key, known());
            let meant = meant.map_or_else(
                || {
                    "; a new one is read by a field of the struct that holds the sections"
                        .to_owned()
                },
                |meant| format!("; did you mean [{meant}]?"),
            );
            ValidationError::at(&*entry.key, format!("nothing reads [{}]{meant}", entry.key))
        };
        unread.map(error).collect()
    }

    /// What begins in files of this name, at the root.
    fn entries_of<'c>(&'c self, file: &'c str) -> impl Iterator<Item = &'c Entry> {
        self.root.entries().iter().filter(move |entry| {
            let location = self.sources.location(entry.key_span);
            let path = location.as_ref().map(|location| Path::new(location.file()));
            path.and_then(Path::file_stem).is_some_and(|stem| stem == file)
        })
    }

    /// Gives what does not fit its place.
    ///
    /// # Errors
    /// Each of `errors`, as a fault.
    pub fn check(&self, errors: impl IntoIterator<Item = ValidationError>) -> Result<(), Errors> {
        let faults: Vec<Fault> = errors.into_iter().map(|error| self.fault(error)).collect();
        if faults.is_empty() { Ok(()) } else { Err(Errors::new(faults)) }
    }

    fn fault(&self, error: ValidationError) -> Fault {
        let ValidationError { path, missing, text, is_secret } = error;
        let entry = self.find(&path).ok().map(|(entry, _)| entry);
        let slip = missing.as_deref().and_then(|key| {
            let table = if path.is_empty() { Some(&self.root) } else { entry?.value.as_table() };
            table?.entry(closest_name(key, table?.keys())?)
        });
        let span = slip.map(|slip| slip.key_span).or_else(|| entry.map(shown));
        let fault = Fault::error(span.and_then(|span| self.sources.location(span)), text);
        let fault = if is_secret { fault.hide() } else { fault };
        match missing.filter(|_| slip.is_some()) {
            Some(key) => fault.help(format!("did you mean `{key}`?")),
            None => fault,
        }
    }
}

/// A key above the first section.
fn in_no_section(entry: &Entry) -> ValidationError {
    let text = format!("`{}` stands in no section, and nothing reads it", entry.key);
    // Whatever it was meant to be, it may be a secret.
    ValidationError::at(&*entry.key, text).secret()
}

/// Of a section its name, of a key whatever it says.
fn shown(entry: &Entry) -> Span {
    match entry.value.as_table() {
        Some(_) => entry.key_span,
        None => Span { end: entry.value.span.end, ..entry.key_span },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail loudly")]
mod tests {
    use std::collections::BTreeMap;

    use crate::{Config, Loader, ValidationError, Vars};

    #[test]
    fn a_section_that_its_file_does_not_know_is_an_error_and_one_of_another_file_is_none() {
        let text = "[queue]\na: 1\n[queue:payments]\na: 1\n[qeue:orders]\na: 1\n[mine]\na: 1\n";
        let own = "[anything]\na: 1\n";
        let loader = Loader::new("config").text("config/message_queue.tsk", text);
        let config = loader.text("config/own.tsk", own).vars(Vars::empty()).tree().unwrap();
        let kinds = ["queue", "queues"];
        let errors = config.unknown_sections("message_queue", &kinds, "KINDS of settings.rs");
        let errors = config.check(errors);
        let said: Vec<String> = errors.unwrap_err().iter().map(ToString::to_string).collect();
        let said = said.join("\n");
        assert!(
            said.contains(":5:1: [qeue:orders] is no section of this file; did you mean [queue]?"),
            "{said}"
        );
        let new =
            ":7:1: [mine] is no section of this file; a new one is listed in KINDS of settings.rs";
        assert!(said.contains(new), "{said}");
        assert_eq!(said.matches("is no section").count(), 2, "{said}");
    }

    #[test]
    fn what_does_not_fit_is_reported_where_it_stands_and_all_of_it_at_once() {
        let text = "[policy.orders]\n\"GET /a.json\": user\n[queue:a]\ntype: \"b\"\n[queue:b]\n";
        let loader = Loader::new("config").text("a.tsk", text).vars(Vars::empty());
        let config = loader.tree().unwrap();

        let errors = config.check([
            ValidationError::at("queue:a.type", "no such type"),
            ValidationError::at("policy.orders.GET /a.json", "no such route"),
            ValidationError::at("queue:b", "no such queue"),
            ValidationError::missing("", "queue:bb", "there is no [queue:bb]"),
            ValidationError::missing("policy", "payments", "there is no [policy.payments]"),
            ValidationError::at("elsewhere", "nowhere"),
        ]);

        let errors = errors.unwrap_err();
        let said: Vec<String> = errors
            .iter()
            .map(|fault| {
                let location =
                    fault.location().map(|location| (location.line(), location.column()));
                format!("{location:?} {} {}", fault.text(), fault.help_text().unwrap_or("-"))
            })
            .collect();
        assert_eq!(
            said,
            [
                "None nowhere -",
                "Some((1, 1)) there is no [policy.payments] -",
                "Some((2, 1)) no such route -",
                "Some((4, 1)) no such type -",
                "Some((5, 1)) no such queue -",
                "Some((5, 1)) there is no [queue:bb] did you mean `queue:bb`?",
            ]
        );
        assert!(config.check([]).is_ok());
    }

    #[test]
    fn what_nobody_reads_in_the_file_of_one_program_is_reported() {
        #[derive(serde::Deserialize)]
        struct Part {
            #[serde(rename = "queue:*")]
            queues: BTreeMap<String, BTreeMap<String, u8>>,
        }
        #[derive(serde::Deserialize)]
        struct Settings {
            server: BTreeMap<String, u16>,
            #[serde(flatten)]
            part: Part,
        }
        let own = "port: 1\n[server]\nport: 2\n[sever]\nport: 3\n[queue:a]\nx: 1\n";
        let shared = "[server]\nlimit: 1\n[elsewhere]\nx: 1\n";
        let loader = Loader::new("").text("own.tsk", own).text("shared.tsk", shared);
        let (settings, config): (Settings, Config) =
            loader.vars(Vars::empty()).load_with_config().unwrap();

        assert_eq!((settings.server["port"], settings.part.queues["a"]["x"]), (2, 1));
        let told = |file: &str| -> Vec<String> {
            config.unread(file).iter().map(|error| error.text().to_owned()).collect()
        };
        assert_eq!(
            told("own"),
            [
                "`port` stands in no section, and nothing reads it",
                "nothing reads [sever]; did you mean [server]?",
            ]
        );
        let new = "; a new one is read by a field of the struct that holds the sections";
        assert_eq!(told("shared"), [format!("nothing reads [elsewhere]{new}")]);
    }
}
