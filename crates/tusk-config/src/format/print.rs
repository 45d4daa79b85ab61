//! Items as text.

use super::items::{Group, Item, Kind, Value};
use crate::syntax::mark::Form;

/// Blanks for each level.
const STEP: usize = 2;

pub(super) fn file(items: &[Item<'_>]) -> String {
    let mut printer = Printer { out: String::new() };
    for (index, item) in items.iter().enumerate() {
        let above = &items[..index];
        let blank = if begins_section(&items[index..]) {
            // A comment under a comment of the same section does not begin it again.
            item.blank || !matches!(above.last().map(|item| &item.kind), Some(Kind::Comment(_)))
        } else {
            item.blank
        };
        if blank && index > 0 {
            printer.out.push('\n');
        }
        printer.line(item, 0);
    }
    printer.out
}

/// A section, or the first of the comments that stand right above one.
fn begins_section(items: &[Item<'_>]) -> bool {
    let comment = |item: &&Item<'_>| matches!(item.kind, Kind::Comment(_));
    let comments = items.iter().take_while(comment).count();
    let joined = items.iter().take(comments + 1).skip(1).all(|item| !item.blank);
    joined && items.get(comments).is_some_and(|item| matches!(item.kind, Kind::Section(_)))
}

/// The first item can stand behind a dash: only `:` shows there that it is an entry.
fn begins_behind_dash(group: &Group<'_>) -> bool {
    match group.items.first().map(|item| &item.kind) {
        Some(Kind::Entry { value: Value::Group(group), .. }) => !group.form.follows_its_key(),
        Some(Kind::Comment(_)) => false,
        _ => true,
    }
}

struct Printer {
    out: String,
}

impl Printer {
    /// An item on lines of its own.
    fn line(&mut self, item: &Item<'_>, indent: usize) {
        self.indent(indent);
        self.item(item, indent, true);
        self.behind(&item.behind);
        self.out.push('\n');
    }

    fn lines(&mut self, items: &[Item<'_>], indent: usize) {
        for (index, item) in items.iter().enumerate() {
            if item.blank && index > 0 {
                self.out.push('\n');
            }
            self.line(item, indent);
        }
    }

    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    fn behind(&mut self, comments: &[&str]) {
        for comment in comments {
            self.out.push(' ');
            self.out.push_str(comment);
        }
    }

    /// `lines`: what is around it is spread over lines.
    fn item(&mut self, item: &Item<'_>, indent: usize, lines: bool) {
        match &item.kind {
            Kind::Comment(text) | Kind::Section(text) => self.out.push_str(text),
            Kind::Entry { key, before, kind, value } => {
                self.out.push_str(key);
                let blocks = matches!(value, Value::Group(group) if group.form.follows_its_key());
                if !blocks {
                    self.out.push(':');
                }
                if let Some(kind) = kind {
                    self.out.push(' ');
                    self.out.push_str(kind);
                    self.out.push_str(" =");
                }
                self.behind(before);
                match value {
                    Value::Plain("") => {}
                    Value::Group(group) if group.form.is_open() => self.open(group, indent),
                    // After a blank it would be a comment.
                    Value::Plain(text)
                        if ["#", "//", "/*"].iter().any(|sign| text.starts_with(sign)) =>
                    {
                        self.out.push_str(text);
                    }
                    value => {
                        self.out.push(' ');
                        self.value(value, indent, lines);
                    }
                }
            }
            Kind::Element { dash: true, before, value } => self.dash(before, value, indent),
            Kind::Element { dash: false, before, value } => {
                for comment in before {
                    self.out.push_str(comment);
                    self.out.push(' ');
                }
                self.value(value, indent, lines);
            }
        }
    }

    /// `- value`; a group by indentation begins on the line of its dash.
    fn dash(&mut self, before: &[&str], value: &Value<'_>, indent: usize) {
        self.out.push('-');
        self.behind(before);
        let below = before.iter().any(|comment| !comment.starts_with("/*"));
        let begin = self.out.len();
        match value {
            Value::Group(group) if group.form.is_open() => {
                self.open(group, indent);
                if before.is_empty() && group.opening.is_empty() && begins_behind_dash(group) {
                    // The first item moves up behind the dash.
                    let first = begin + 1 + indent + STEP;
                    self.out.replace_range(begin..first, " ");
                }
            }
            value if below => {
                self.out.push('\n');
                self.indent(indent + STEP);
                self.value(value, indent + STEP, true);
            }
            value => {
                self.out.push(' ');
                self.value(value, indent + STEP, true);
            }
        }
    }

    /// A group by indentation or dashes, on the lines below; the last line is left open.
    fn open(&mut self, group: &Group<'_>, indent: usize) {
        self.behind(&group.opening);
        self.out.push('\n');
        self.lines(&group.items, indent + STEP);
        self.out.pop();
    }

    fn value(&mut self, value: &Value<'_>, indent: usize, lines: bool) {
        match value {
            Value::Plain(text) => self.out.push_str(text),
            Value::Group(group) if group.form.is_open() => self.open(group, indent),
            Value::Group(group) => self.enclosed(group, indent, lines),
        }
    }

    fn enclosed(&mut self, group: &Group<'_>, indent: usize, lines: bool) {
        let (opening, closing) = group.form.brackets();
        self.out.push(opening);
        let spread =
            group.lines || group.form == Form::Angle || (group.form == Form::Brace && lines);
        if spread && !(group.items.is_empty() && group.opening.is_empty() && closing != '<') {
            self.behind(&group.opening);
            self.out.push('\n');
            self.lines(&group.items, indent + STEP);
            self.indent(indent);
        } else {
            self.on_one_line(group, indent);
        }
        self.out.push(closing);
    }

    fn on_one_line(&mut self, group: &Group<'_>, indent: usize) {
        let mut first = true;
        for comment in &group.opening {
            self.out.push_str(if first { "" } else { " " });
            self.out.push_str(comment);
            first = false;
        }
        for (index, item) in group.items.iter().enumerate() {
            let separator = if index > 0 {
                ", "
            } else if first {
                ""
            } else {
                " "
            };
            self.out.push_str(separator);
            self.item(item, indent, false);
            self.behind(&item.behind);
        }
    }
}

impl Form {
    /// Stands after its key without `:`.
    fn follows_its_key(self) -> bool {
        matches!(self, Self::Brace | Self::BareList | Self::Angle)
    }

    fn brackets(self) -> (char, char) {
        match self {
            Self::List | Self::BareList => ('[', ']'),
            Self::Angle => ('>', '<'),
            _ => ('{', '}'),
        }
    }
}
