//! Entries: keys, what follows them, and what stands on lines of its own.

use super::{After, Author, DEPTH_MAX, braced};

/// Where an entry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// On a line of its own.
    Line,
    /// Between braces.
    Object,
    /// First below a dash: no comment stands between key and separator.
    BelowDash,
    /// First behind a dash: only a separator and a blank show that it is an entry.
    BehindDash,
}

impl Author<'_> {
    /// Entries on lines of their own, the first one at `indent`, none before the column `least`.
    fn entries(&mut self, mut indent: usize, least: usize) -> Vec<String> {
        let count = 1 + self.pick(4);
        let entries = (0..count).map(|_| {
            let entry = self.line_entry(indent);
            indent -= self.pick(4).saturating_sub(2).min(indent - least);
            entry
        });
        entries.collect()
    }

    pub(super) fn line_entry(&mut self, indent: usize) -> String {
        self.noise();
        self.indent(indent);
        self.entry_on_line(At::Line)
    }

    /// The entry that begins here, and the end of its line.
    fn entry_on_line(&mut self, at: At) -> String {
        let (entry, after) = self.entry(at, true);
        match after {
            After::Done(_) => {}
            After::Line => self.push("\n"),
            After::Nothing => self.end_line(),
            After::Anything => {
                if self.once_in(8) {
                    self.gap();
                    self.push(";");
                }
                self.end_line();
            }
        }
        entry
    }

    pub(super) fn object_entry(&mut self, lines: bool) -> (String, After) {
        self.entry(At::Object, lines)
    }

    /// `$name: value`
    pub(super) fn global(&mut self) -> String {
        let name = self.name('g');
        self.push(&format!("${name}"));
        self.sign(At::Line);
        let value = self.scalar();
        self.end_line();
        format!("{name}={value}")
    }

    fn entry(&mut self, at: At, lines: bool) -> (String, After) {
        let column = self.column();
        let (before, after) = self.key();
        let (value, end) = self.after_key(at, lines, column);
        (format!("{before}{value}{after}"), end)
    }

    /// What stands before and after the value of the key in the notation.
    fn key(&mut self) -> (String, &'static str) {
        let name = self.name('k');
        let (key, before, after) = match self.pick(10) {
            6 => (format!("\"{name} x\""), format!("{name} x="), ""),
            7 => (format!("'{name}#'"), format!("{name}#="), ""),
            8 => (format!("{name}-é"), format!("{name}-é="), ""),
            9 => (format!("{name}.in"), format!("{name}={{in="), "}"),
            _ => (name.clone(), format!("{name}="), ""),
        };
        self.push(&key);
        (before, after)
    }

    /// `:` or `=`, and what may stand around it.
    fn sign(&mut self, at: At) {
        match at {
            At::BehindDash => self.push_one(&[": ", " = ", ":\t", "=  "]),
            At::BelowDash => {
                self.blanks();
                self.push_one(&[":", "="]);
                self.gap();
            }
            At::Line | At::Object => {
                self.gap();
                self.push_one(&[":", "="]);
                self.gap();
            }
        }
    }

    fn after_key(&mut self, at: At, lines: bool, column: usize) -> (String, After) {
        let form = if self.depth == DEPTH_MAX { 0 } else { self.pick(20) };
        let separated = at == At::BehindDash;
        match form {
            10 if !separated => (self.block(at, lines), After::Anything),
            11 if !separated => {
                self.push_one(&["", " "]);
                (self.list(lines), After::Anything)
            }
            12 if !separated && lines => (self.angle(), After::Anything),
            13 if lines => (self.indented(column), After::Done(column)),
            14 | 15 if lines => (self.dashes_below(column), After::Done(column)),
            16 => (self.typed(at), After::Anything),
            17 => {
                self.push(":");
                self.warnings += 1;
                ("null".to_owned(), After::Nothing)
            }
            18 if !separated => (self.tight(at), After::Anything),
            _ => {
                self.sign(at);
                self.value(lines)
            }
        }
    }

    /// A text that would be a comment, if a blank stood before it.
    fn tight(&mut self, at: At) -> String {
        let signs: &[&str] = if at == At::BelowDash { &["="] } else { &[":", "="] };
        self.push_one(signs);
        let text = self.one(&["#t", "//t"]);
        self.push(text);
        format!("<{text}>")
    }

    fn typed(&mut self, at: At) -> String {
        self.push(if at == At::BehindDash { ": " } else { ":" });
        self.gap();
        let (name, text, tree) = [
            ("int", "5", "Int:5"),
            ("string", "a b", "Text:<a b>"),
            ("bool", "true", "Bool:true"),
            ("float", "1.5", "Float:1.5f"),
            ("list", "[ 1,2 ]", "List:[1 2]"),
            ("object", "{}", "Table:{}"),
            ("text", "//t", "Text:<//t>"),
        ][self.pick(7)];
        self.push(name);
        self.blanks();
        self.push("=");
        if name != "text" {
            self.gap();
        }
        self.push(text);
        tree.to_owned()
    }

    /// `key {…}`
    fn block(&mut self, at: At, lines: bool) -> String {
        if at == At::BelowDash {
            self.blanks();
        } else {
            self.gap();
        }
        self.object(lines)
    }

    /// `key >`, entries, `<`
    fn angle(&mut self) -> String {
        self.depth += 1;
        self.push(" >");
        self.end_line();
        let indent = self.pick(6);
        let entries = if self.once_in(4) { Vec::new() } else { self.entries(indent, 0) };
        self.noise();
        self.blanks();
        self.push("<");
        self.depth -= 1;
        braced(&entries)
    }

    /// `key:`, entries on deeper lines
    fn indented(&mut self, column: usize) -> String {
        self.depth += 1;
        self.push(":");
        self.end_line();
        let indent = column + 1 + self.pick(4);
        let entries = self.entries(indent, column + 1);
        self.depth -= 1;
        braced(&entries)
    }

    /// `key:`, items with dashes below
    fn dashes_below(&mut self, column: usize) -> String {
        self.push(":");
        self.end_line();
        self.noise();
        let dash = column + self.pick(4);
        self.indent(dash);
        self.dashes()
    }

    /// Items with dashes, the first one here: values, groups, lists.
    fn dashes(&mut self) -> String {
        self.depth += 1;
        let column = self.column();
        let count = 1 + self.pick(3);
        let items = (0..count).map(|index| {
            if index > 0 {
                self.noise();
                self.indent(column);
            }
            self.push("-");
            self.dash_item(column)
        });
        let items: Vec<String> = items.collect();
        self.depth -= 1;
        format!("[{}]", items.join(" "))
    }

    fn dash_item(&mut self, column: usize) -> String {
        let (below, group) = match self.pick(8) {
            0..=2 => (false, 0),
            3 => (true, 0),
            4 | 5 => (false, 1),
            6 => (true, 1),
            _ => (self.once_in(2), 2),
        };
        if below {
            self.end_line();
            self.noise();
            let indent = column + 1 + self.pick(4);
            self.indent(indent);
        } else {
            self.push_one(&[" ", "  ", " /**/ "]);
        }
        match group {
            1 if self.depth < DEPTH_MAX => self.dash_group(column, below),
            2 if self.depth < DEPTH_MAX => self.dashes(),
            // A heredoc begins behind its dash.
            _ if below => {
                let (value, _) = self.value(false);
                self.end_line();
                value
            }
            _ => {
                let (value, after) = self.value(true);
                if after == After::Line {
                    self.push("\n");
                } else {
                    self.end_line();
                }
                value
            }
        }
    }

    /// Entries that are one item; the first one begins here.
    fn dash_group(&mut self, column: usize, below: bool) -> String {
        let indent = self.column();
        let first = self.entry_on_line(if below { At::BelowDash } else { At::BehindDash });
        let mut entries = vec![first];
        if self.once_in(2) {
            entries.extend(self.entries(indent, column + 1));
        }
        braced(&entries)
    }
}
