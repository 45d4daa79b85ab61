//! Items as text.

use super::gap::Comment;
use super::items::{Entry, Group, Item, Kind, Value};
use crate::syntax::mark::Form;

/// Blanks for each level.
const STEP: usize = 2;

pub(super) fn file(items: &[Item<'_>]) -> String {
    let mut printer = Printer { out: String::new() };
    for (index, (item, begins)) in items.iter().zip(begin_section(items)).enumerate() {
        let below_comment = index > 0 && is_comment(&items[index - 1]);
        // A comment under a comment of the same section does not begin it again.
        if index > 0 && (item.blank || (begins && !below_comment)) {
            printer.out.push('\n');
        }
        printer.line(item, 0);
        printer.out.push('\n');
    }
    printer.out
}

/// Of each item, whether it is a section or one of the comments that stand right above one.
fn begin_section(items: &[Item<'_>]) -> Vec<bool> {
    let mut begin = vec![false; items.len()];
    // The item below is such a one, and no blank line is between.
    let mut joined = false;
    for (item, begins) in items.iter().zip(&mut begin).rev() {
        *begins = matches!(item.kind, Kind::Section(_)) || (joined && is_comment(item));
        joined = *begins && !item.blank;
    }
    begin
}

fn is_comment(item: &Item<'_>) -> bool {
    matches!(item.kind, Kind::Comment(_))
}

/// The first item can stand behind a dash: only `:` and a blank show there that it is an entry.
fn begins_behind_dash(group: &Group<'_>) -> bool {
    let first = match group.items.first().map(|item| &item.kind) {
        Some(Kind::Entry(Entry { value: Value::Group(group), .. })) => {
            !group.form.follows_its_key()
        }
        Some(Kind::Entry(entry)) => !entry.tight_sign(),
        Some(Kind::Comment(_)) => false,
        _ => true,
    };
    first && group.opening.is_empty()
}

struct Printer {
    out: String,
}

impl Printer {
    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
    }

    fn new_line(&mut self, indent: usize) {
        self.out.push('\n');
        self.indent(indent);
    }

    /// To a new line, or by a blank.
    fn step(&mut self, to_new_line: bool, indent: usize) {
        if to_new_line {
            self.new_line(indent);
        } else {
            self.out.push(' ');
        }
    }

    /// A comment of several lines keeps them, without blanks at their ends.
    fn comment(&mut self, text: &str) {
        for (index, line) in text.lines().enumerate() {
            if index > 0 {
                self.out.push('\n');
            }
            self.out.push_str(line.trim_end());
        }
    }

    fn behind(&mut self, comments: &[&str]) {
        for comment in comments {
            self.out.push(' ');
            self.comment(comment);
        }
    }

    fn between(&mut self, comments: &[Comment<'_>]) {
        for comment in comments {
            self.out.push(' ');
            self.comment(comment.text);
        }
    }

    /// An item on lines of its own, the last one left open.
    fn line(&mut self, item: &Item<'_>, indent: usize) {
        self.indent(indent);
        self.item(item, indent, true);
    }

    fn lines(&mut self, items: &[Item<'_>], indent: usize) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push('\n');
                self.out.push_str(if item.blank { "\n" } else { "" });
            }
            self.line(item, indent);
        }
    }

    /// An item with the comments behind it. `lines`: what is around it is spread over lines.
    fn item(&mut self, item: &Item<'_>, indent: usize, lines: bool) {
        match &item.kind {
            Kind::Comment(text) => self.comment(text),
            Kind::Section(header) => self.section(header),
            Kind::Entry(entry) => self.entry(entry, indent, lines),
            Kind::Element { dash: true, before, value } => self.dash(before, value, indent),
            Kind::Element { value, .. } => self.value(value, indent, lines),
        }
        self.behind(&item.behind);
    }

    fn section(&mut self, header: &str) {
        let name = header.trim_start_matches('[').trim_end_matches(']').trim();
        self.out.push('[');
        self.out.push_str(name);
        self.out.push(']');
    }

    fn entry(&mut self, entry: &Entry<'_>, indent: usize, lines: bool) {
        let Entry { key, sign, before, kind, value } = entry;
        self.out.push_str(key);
        if !matches!(value, Value::Group(group) if group.form.follows_its_key()) {
            self.out.push(*sign);
        }
        self.between(before);
        if let Some((kind, comments)) = kind {
            self.out.push(' ');
            self.out.push_str(kind);
            self.out.push_str(" =");
            self.between(comments);
        }
        match value {
            Value::Plain("") => return,
            Value::Group(group) if group.form.is_open() => return self.open(group, indent),
            _ if entry.tight() => {}
            _ => self.out.push(' '),
        }
        self.value(value, indent, lines);
    }

    /// `- value`; a group by indentation begins on the line of its dash if it can.
    fn dash(&mut self, before: &[Comment<'_>], value: &Value<'_>, indent: usize) {
        let inner = indent + STEP;
        self.out.push('-');
        let mut below = false;
        for comment in before {
            self.step(comment.own_line, inner);
            self.comment(comment.text);
            below |= comment.own_line || comment.ends_line();
        }
        match value {
            Value::Group(group) if group.form.is_open() => {
                let Some((first, rest)) = group.items.split_first() else { return };
                if !begins_behind_dash(group) {
                    return self.open(group, indent);
                }
                self.out.push(' ');
                self.item(first, inner, true);
                for item in rest {
                    self.out.push_str(if item.blank { "\n\n" } else { "\n" });
                    self.line(item, inner);
                }
            }
            value => {
                self.step(below, inner);
                self.value(value, inner, true);
            }
        }
    }

    /// A group by indentation or dashes, on the lines below.
    fn open(&mut self, group: &Group<'_>, indent: usize) {
        self.behind(&group.opening);
        self.out.push('\n');
        self.lines(&group.items, indent + STEP);
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
        let empty = group.items.is_empty() && group.opening.is_empty();
        let spread = match group.form {
            Form::Angle => true,
            Form::Brace => !empty && (group.lines || lines),
            _ => !empty && group.lines,
        };
        self.out.push(opening);
        if spread {
            self.behind(&group.opening);
            if !group.items.is_empty() {
                self.out.push('\n');
                self.lines(&group.items, indent + STEP);
            }
            self.new_line(indent);
        } else {
            self.on_one_line(group, indent);
        }
        self.out.push(closing);
    }

    fn on_one_line(&mut self, group: &Group<'_>, indent: usize) {
        for (index, comment) in group.opening.iter().enumerate() {
            self.out.push_str(if index > 0 { " " } else { "" });
            self.comment(comment);
        }
        let mut separator = if group.opening.is_empty() { "" } else { " " };
        for item in &group.items {
            self.out.push_str(separator);
            self.item(item, indent, false);
            separator = if is_comment(item) { " " } else { ", " };
        }
    }
}

impl Form {
    fn brackets(self) -> (char, char) {
        match self {
            Self::List | Self::BareList => ('[', ']'),
            Self::Angle => ('>', '<'),
            _ => ('{', '}'),
        }
    }
}
