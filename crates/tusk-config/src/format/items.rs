//! Marks and what stands between them, as items: entries, elements of lists, comments.

use super::gap::{Comment, Gap};
use crate::syntax::mark::{Form, Mark, What};

/// Something with a place of its own.
#[derive(Debug)]
pub(super) struct Item<'s> {
    /// A blank line stands above it.
    pub(super) blank: bool,
    pub(super) kind: Kind<'s>,
    /// Comments behind it on its line.
    pub(super) behind: Vec<&'s str>,
}

#[derive(Debug)]
pub(super) enum Kind<'s> {
    /// On a line of its own, or before what follows it on one line.
    Comment(&'s str),
    Section(&'s str),
    Entry(Entry<'s>),
    /// Of a list; after a dash or not.
    Element {
        dash: bool,
        before: Vec<Comment<'s>>,
        value: Value<'s>,
    },
}

#[derive(Debug)]
pub(super) struct Entry<'s> {
    pub(super) key: &'s str,
    pub(super) sign: char,
    /// Comments behind the key.
    pub(super) before: Vec<Comment<'s>>,
    /// The type in `key: type = value`, with the comments behind it.
    pub(super) kind: Option<(&'s str, Vec<Comment<'s>>)>,
    pub(super) value: Value<'s>,
}

#[derive(Debug)]
pub(super) enum Value<'s> {
    /// Copied as it stands; empty for `key:`.
    Plain(&'s str),
    Group(Group<'s>),
}

/// Entries or elements with what encloses them.
#[derive(Debug)]
pub(super) struct Group<'s> {
    pub(super) form: Form,
    /// Comments behind what opens it.
    pub(super) opening: Vec<&'s str>,
    pub(super) items: Vec<Item<'s>>,
    /// It goes over several lines.
    pub(super) lines: bool,
}

impl Form {
    /// Written by indentation, without brackets.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Indent | Self::Dashes)
    }

    /// Stands after its key without `:`.
    pub(super) fn follows_its_key(self) -> bool {
        matches!(self, Self::Brace | Self::BareList | Self::Angle)
    }
}

impl Entry<'_> {
    /// Its text stands right behind what is before it, because after a blank it would be a comment.
    pub(super) fn tight(&self) -> bool {
        self.begins_with("#") || self.begins_with("//")
    }

    /// Its text stands right behind its sign.
    pub(super) fn tight_sign(&self) -> bool {
        self.tight() && self.before.is_empty() && self.kind.is_none()
    }

    fn begins_with(&self, start: &str) -> bool {
        matches!(self.value, Value::Plain(text) if text.starts_with(start))
    }
}

impl<'s> Group<'s> {
    fn new(form: Form) -> Self {
        Self { form, opening: Vec::new(), items: Vec::new(), lines: form.is_open() }
    }

    fn add_comment(&mut self, comment: Comment<'s>) {
        match self.items.last_mut() {
            Some(item) if !comment.own_line => item.behind.push(comment.text),
            None if !comment.own_line => self.opening.push(comment.text),
            _ => self.add_before(comment),
        }
    }

    /// Below a dash, `a://b` is a text and `a=//b` an entry.
    fn shown_by_its_sign(&mut self) {
        let entry = self.items.iter_mut().find_map(|item| match &mut item.kind {
            Kind::Entry(entry) => Some(entry),
            _ => None,
        });
        let entry = entry.filter(|entry| entry.tight_sign() && entry.begins_with("//"));
        if let (Some(entry), Form::Indent) = (entry, self.form) {
            entry.sign = '=';
        }
    }

    /// Adds a comment that belongs to what follows it.
    fn add_before(&mut self, Comment { text, blank, .. }: Comment<'s>) {
        self.items.push(Item { blank, kind: Kind::Comment(text), behind: Vec::new() });
    }
}

pub(super) fn read<'s>(text: &'s str, marks: &[Mark]) -> Vec<Item<'s>> {
    let start = text.strip_prefix('\u{feff}').map_or(0, |rest| text.len() - rest.len());
    let mut reader = Reader { text, start, marks, next: 0, pos: start };
    let mut group = Group::new(Form::Indent);
    reader.fill(&mut group, 0);
    group.items
}

struct Reader<'s, 'm> {
    text: &'s str,
    /// Behind the byte order mark.
    start: usize,
    marks: &'m [Mark],
    next: usize,
    /// Up to here the text is read.
    pos: usize,
}

impl<'s> Reader<'s, '_> {
    fn peek(&self) -> Option<Mark> {
        self.marks.get(self.next).copied()
    }

    /// Takes a mark with its text.
    fn take(&mut self, mark: Mark) -> &'s str {
        self.next += 1;
        // Comments behind the end of a group may have been read with it.
        self.pos = self.pos.max(mark.end);
        &self.text[mark.start..mark.end]
    }

    fn gap(&mut self, end: usize) -> Gap<'s> {
        let gap = Gap::read(self.text, self.pos, end, self.start, |_| true);
        self.pos = self.pos.max(end);
        gap
    }

    /// Items up to the end of the group, its closing mark included. `owner`: the column of the key or
    /// the dash that the group belongs to.
    fn fill(&mut self, group: &mut Group<'s>, owner: usize) {
        loop {
            let mark = self.peek();
            let gap = self.gap(mark.map_or(self.text.len(), |mark| mark.start));
            group.lines |= gap.lines;
            let closes = mark.is_none_or(|mark| mark.what == What::Close);
            for comment in gap.comments {
                if comment.before && !closes {
                    group.add_before(comment);
                } else {
                    group.add_comment(comment);
                }
            }
            let Some(mark) = mark else { return };
            if closes {
                self.take(mark);
                if group.form.is_open() {
                    self.fill_end(group, owner);
                }
                return;
            }
            let kind = self.item(mark);
            group.lines |= kind.goes_over_lines();
            group.items.push(Item { blank: gap.blank, kind, behind: Vec::new() });
        }
    }

    /// Nothing closes a group by indentation, so the comments below it are its own as far as they
    /// stand as deep as an entry of it may.
    fn fill_end(&mut self, group: &mut Group<'s>, owner: usize) {
        let outer = |mark: &&Mark| mark.what != What::Close || mark.start < mark.end;
        let next = self.marks[self.next..].iter().find(outer);
        let end = next.map_or(self.text.len(), |mark| mark.start);
        let own = |comment: &Comment<'s>| !comment.own_line || comment.column > owner;
        for comment in Gap::read(self.text, self.pos, end, self.start, own).comments {
            self.pos = comment.end;
            group.add_comment(comment);
        }
    }

    fn item(&mut self, mark: Mark) -> Kind<'s> {
        match mark.what {
            What::Section => Kind::Section(self.take(mark)),
            What::Key => {
                let key = self.take(mark);
                let before = self.before();
                let kind = self.peek().filter(|mark| mark.what == What::Type);
                let kind = kind.map(|mark| (self.take(mark), self.before()));
                let value = self.value(mark.start);
                Kind::Entry(Entry { key, sign: ':', before, kind, value })
            }
            What::Dash => {
                self.take(mark);
                let before = self.before();
                let mut value = self.value(mark.start);
                if let Value::Group(group) = &mut value {
                    group.shown_by_its_sign();
                }
                Kind::Element { dash: true, before, value }
            }
            _ => Kind::Element { dash: false, before: Vec::new(), value: self.value(mark.start) },
        }
    }

    /// Comments up to the next mark.
    fn before(&mut self) -> Vec<Comment<'s>> {
        let end = self.peek().map_or(self.pos, |mark| mark.start);
        self.gap(end).comments
    }

    /// The value of what begins at `owner`.
    fn value(&mut self, owner: usize) -> Value<'s> {
        let Some(mark) = self.peek() else { return Value::Plain("") };
        let text = self.take(mark);
        let What::Open(form) = mark.what else { return Value::Plain(text) };
        let mut group = Group::new(form);
        // Only groups over lines ask for it, so that no line is walked over more than a few times.
        let column = if form.is_open() { self.column(owner) } else { 0 };
        self.fill(&mut group, column);
        Value::Group(group)
    }

    fn column(&self, at: usize) -> usize {
        at - self.text[..at].rfind('\n').map_or(self.start, |end| end + 1)
    }
}

impl Kind<'_> {
    fn goes_over_lines(&self) -> bool {
        match self {
            Self::Comment(text) | Self::Section(text) => text.contains('\n'),
            Self::Entry(Entry { key, before, kind, value, .. }) => {
                let behind = kind.iter().flat_map(|(_, comments)| comments);
                key.contains('\n') || over_lines(before.iter().chain(behind), value)
            }
            Self::Element { before, value, .. } => over_lines(before, value),
        }
    }
}

fn over_lines<'c>(comments: impl IntoIterator<Item = &'c Comment<'c>>, value: &Value<'_>) -> bool {
    let value = match value {
        Value::Plain(text) => text.contains('\n'),
        Value::Group(group) => group.lines,
    };
    value || comments.into_iter().any(|comment| comment.text.contains('\n'))
}
