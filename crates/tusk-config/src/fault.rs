//! What is wrong, where, and what to do about it.
//!
//! A load reports everything that it finds, so the error of this crate is a list:
//!
//! ```text
//! config/auth.tsk:3:13: JWT_SECRET is not set
//!   3 | jwt_secret: @env.secure("JWT_SECRET")
//!     |             ^^^^^^^^^^^^^^^^^^^^^^^^^ required here
//!   help: set JWT_SECRET, or JWT_SECRET_FILE to the name of a file that holds it
//! ```

use std::fmt;

use crate::source::Location;

/// How much of a source line a report shows, in characters.
const LINE_SHOWN_MAX: usize = 160;

/// How long a message may be, in characters; names out of a file can be of any length.
const TEXT_SHOWN_MAX: usize = 1000;

/// How bad a [`Fault`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Odd, but it has a meaning.
    Warning,
    /// Nothing can be loaded with this.
    Error,
}

/// One thing that is wrong.
#[derive(Clone)]
pub struct Fault {
    pub(crate) severity: Severity,
    pub(crate) text: String,
    pub(crate) location: Option<Location>,
    pub(crate) help: Option<String>,
    /// Further places that belong to it, each with what it is.
    pub(crate) notes: Vec<(Location, String)>,
    /// What stands beside the carets.
    pub(crate) label: &'static str,
    /// The source line holds a secret.
    pub(crate) hidden: bool,
}

impl Fault {
    pub(crate) fn error(location: Option<Location>, text: impl Into<String>) -> Self {
        let severity = Severity::Error;
        let text = bounded(text.into());
        Self { severity, text, location, help: None, notes: Vec::new(), label: "", hidden: false }
    }

    pub(crate) fn warning(location: Option<Location>, text: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(location, text) }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn note(mut self, location: Option<Location>, text: impl Into<String>) -> Self {
        self.notes.extend(location.map(|location| (location, text.into())));
        self
    }

    /// Says in a few words what the carets point at.
    pub(crate) fn label(self, label: &'static str) -> Self {
        Self { label, ..self }
    }

    /// Does not show the source line, because a secret stands in it, nor those of its notes.
    pub(crate) fn hide(self) -> Self {
        Self { hidden: true, ..self }
    }

    /// Error or warning.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The message, without place, source line and help. Never the value of a secret.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it stands; `None` when it is about a file or a whole load.
    pub fn location(&self) -> Option<&Location> {
        self.location.as_ref()
    }

    /// What the place is, in a few words; may be empty.
    pub fn label_text(&self) -> &'static str {
        self.label
    }

    /// What to do about it.
    pub fn help_text(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Further places that belong to it, each with what it is.
    pub fn notes(&self) -> impl Iterator<Item = (&Location, &str)> {
        self.notes.iter().map(|(location, text)| (location, text.as_str()))
    }

    /// Order of reports: as in the files; what has no place comes first.
    pub(crate) fn position(&self) -> Option<(u32, u32)> {
        self.location.as_ref().map(|location| (location.span.source, location.span.start))
    }
}

/// At most [`TEXT_SHOWN_MAX`] characters of a message.
fn bounded(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(TEXT_SHOWN_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.text)?;
        if let Some(location) = self.location.as_ref().filter(|_| !self.hidden) {
            excerpt(f, location, self.label)?;
        }
        for (location, text) in &self.notes {
            if self.hidden {
                write!(f, "\n  {location}: {text}")?;
                continue;
            }
            let same = self.location.as_ref().is_some_and(|own| own.file() == location.file());
            if !same {
                write!(f, "\n  {location}:")?;
            }
            excerpt(f, location, text)?;
        }
        self.help.iter().try_for_each(|help| write!(f, "\n  help: {help}"))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The source line with its number, and a line of carets under the place with a label. Long lines
/// are shown as a window around it; control characters (a terminal would obey them) as dots; tabs
/// stay, so that carets fit.
fn excerpt(f: &mut fmt::Formatter<'_>, location: &Location, label: &str) -> fmt::Result {
    let column = location.column() - 1;
    let skipped = column.saturating_sub(LINE_SHOWN_MAX / 2);
    let visible = |c: char| if c.is_control() && c != '\t' { '·' } else { c };
    let shown: String =
        location.source_line().chars().skip(skipped).take(LINE_SHOWN_MAX).map(visible).collect();
    let blank = |c: char| if c == '\t' { '\t' } else { ' ' };
    let indent: String = shown.chars().take(column - skipped).map(blank).collect();
    let left = shown.chars().count().saturating_sub(column - skipped).max(1);
    let carets = "^".repeat(location.width().min(left));
    let line = location.line().to_string();
    let gutter = " ".repeat(line.len());
    write!(f, "\n  {line} | {}", shown.trim_end())?;
    write!(f, "\n  {gutter} | {}", format!("{indent}{carets} {label}").trim_end())
}

/// Everything that is wrong with a configuration; never empty.
///
/// Prints one paragraph per fault, in the order of the files. `Debug` prints the same, so that a
/// `main` that returns it shows something readable.
#[derive(Clone)]
pub struct Errors {
    faults: Vec<Fault>,
}

impl Errors {
    pub(crate) fn new(mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(Fault::position);
        faults.dedup_by(|a, b| a.position() == b.position() && a.text == b.text);
        Self { faults }
    }

    /// Each fault.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.faults.iter()
    }

    /// How many there are.
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.faults.len()
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Fault> for Errors {
    fn from(fault: Fault) -> Self {
        Self { faults: vec![fault] }
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "\n\n" })?;
            fmt::Display::fmt(fault, f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Errors {}
