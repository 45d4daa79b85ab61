//! Marks and what stands between them, as items: entries, elements of lists, comments.

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
    /// On a line of its own.
    Comment(&'s str),
    Section(&'s str),
    Entry {
        key: &'s str,
        /// Comments between key and value.
        before: Vec<&'s str>,
        kind: Option<&'s str>,
        value: Value<'s>,
    },
    /// Of a list; after a dash or not.
    Element {
        dash: bool,
        before: Vec<&'s str>,
        value: Value<'s>,
    },
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
    /// Some of its items stand on different lines.
    pub(super) lines: bool,
}

impl Form {
    /// Written by indentation, without brackets.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Indent | Self::Dashes)
    }
}

/// A comment between two marks.
#[derive(Clone, Copy)]
struct Comment<'s> {
    text: &'s str,
    own_line: bool,
    blank: bool,
}

/// What stands between two marks.
struct Gap<'s> {
    comments: Vec<Comment<'s>>,
    /// Line ends, comments apart.
    lines: bool,
    /// A blank line right before the next mark.
    blank: bool,
}

pub(super) fn read<'s>(text: &'s str, marks: &[Mark]) -> Vec<Item<'s>> {
    let mut reader = Reader { text, marks, next: 0, pos: 0 };
    let start = text.strip_prefix('\u{feff}').map_or(0, |rest| text.len() - rest.len());
    reader.pos = start;
    let mut group =
        Group { form: Form::Indent, opening: Vec::new(), items: Vec::new(), lines: true };
    reader.fill(&mut group, true);
    group.items
}

struct Reader<'s, 'm> {
    text: &'s str,
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
        self.pos = mark.end;
        &self.text[mark.start..mark.end]
    }

    /// Items up to the end of the group, its closing mark included.
    fn fill(&mut self, group: &mut Group<'s>, mut own_line: bool) {
        loop {
            let mark = self.peek();
            let gap = self.gap(mark.map_or(self.text.len(), |mark| mark.start), own_line);
            own_line = false;
            group.lines |= gap.lines;
            for comment in gap.comments {
                group.lines |= comment.own_line || !comment.text.starts_with("/*");
                group.add_comment(comment);
            }
            let Some(mark) = mark else { return };
            if mark.what == What::Close {
                self.take(mark);
                return;
            }
            let kind = self.item(mark);
            group.items.push(Item { blank: gap.blank, kind, behind: Vec::new() });
        }
    }

    fn item(&mut self, mark: Mark) -> Kind<'s> {
        match mark.what {
            What::Section => Kind::Section(self.take(mark)),
            What::Key => {
                let key = self.take(mark);
                let mut before = self.before();
                let kind = self.peek().filter(|mark| mark.what == What::Type);
                let kind = kind.map(|mark| self.take(mark));
                before.extend(self.before());
                let (before, value) = self.value(before);
                Kind::Entry { key, before, kind, value }
            }
            What::Dash => {
                self.take(mark);
                let before = self.before();
                let (before, value) = self.value(before);
                Kind::Element { dash: true, before, value }
            }
            _ => {
                let (before, value) = self.value(Vec::new());
                Kind::Element { dash: false, before, value }
            }
        }
    }

    /// Comments up to the next mark.
    fn before(&mut self) -> Vec<Comment<'s>> {
        let end = self.peek().map_or(self.pos, |mark| mark.start);
        self.gap(end, false).comments
    }

    /// A value, and the comments before it that do not go into it.
    fn value(&mut self, comments: Vec<Comment<'s>>) -> (Vec<&'s str>, Value<'s>) {
        let Some(mark) = self.peek() else { return (Vec::new(), Value::Plain("")) };
        let text = self.take(mark);
        let What::Open(form) = mark.what else {
            return (comments.iter().map(|comment| comment.text).collect(), Value::Plain(text));
        };
        let mut group = Group { form, opening: Vec::new(), items: Vec::new(), lines: false };
        let mut before = Vec::new();
        for comment in comments {
            if form.is_open() && comment.own_line {
                group.add_comment(comment);
            } else {
                before.push(comment.text);
            }
        }
        let own_line = !group.items.is_empty();
        self.fill(&mut group, own_line);
        (before, Value::Group(group))
    }

    /// Reads what stands up to `end`.
    fn gap(&mut self, end: usize, at_start: bool) -> Gap<'s> {
        let mut gap = Gap { comments: Vec::new(), lines: false, blank: false };
        let bytes = self.text.as_bytes();
        let (mut breaks, mut own_line) = (0, at_start);
        while self.pos < end {
            let rest = &self.text[self.pos..end];
            let length = match bytes[self.pos] {
                b'#' => line_length(rest),
                b'/' if rest.starts_with("//") => line_length(rest),
                b'/' if rest.starts_with("/*") => {
                    rest[2..].find("*/").map_or(rest.len(), |at| at + 4)
                }
                byte => {
                    breaks += usize::from(byte == b'\n');
                    gap.lines |= byte == b'\n';
                    own_line |= byte == b'\n';
                    self.pos += 1;
                    continue;
                }
            };
            let (text, blank) = (rest[..length].trim_end(), breaks > 1);
            gap.comments.push(Comment { text, own_line, blank });
            self.pos += length;
            (breaks, own_line) = (0, false);
        }
        gap.blank = breaks > 1;
        gap
    }
}

impl<'s> Group<'s> {
    fn add_comment(&mut self, comment: Comment<'s>) {
        let Comment { text, own_line, blank } = comment;
        match self.items.last_mut() {
            _ if own_line => {
                self.items.push(Item { blank, kind: Kind::Comment(text), behind: Vec::new() });
            }
            Some(item) => item.add_behind(text),
            None => self.opening.push(text),
        }
    }
}

impl<'s> Item<'s> {
    /// A comment behind a group that nothing closes is behind the last of its items.
    fn add_behind(&mut self, text: &'s str) {
        let value = match &mut self.kind {
            Kind::Entry { value, .. } | Kind::Element { value, .. } => Some(value),
            Kind::Comment(_) | Kind::Section(_) => None,
        };
        if let Some(Value::Group(group)) = value
            && group.form.is_open()
            && let Some(last) = group.items.last_mut()
        {
            return last.add_behind(text);
        }
        self.behind.push(text);
    }
}

/// Up to the end of the line.
fn line_length(rest: &str) -> usize {
    rest.find('\n').unwrap_or(rest.len())
}
