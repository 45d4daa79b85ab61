//! Values, alone and in lists and objects.

use super::{After, Author, DEPTH_MAX, braced};

/// Values with what they say; none of them looks like an entry behind a dash.
const SCALARS: [(&str, &str); 30] = [
    ("5", "5"),
    ("two words", "<two words>"),
    ("\"q\"", "\"q\""),
    ("-1.5", "-1.5f"),
    ("0xFF", "255"),
    ("1_000", "1000"),
    ("true", "true"),
    ("null", "null"),
    ("a#b", "<a#b>"),
    ("/var/lib", "</var/lib>"),
    ("http://x/y", "<http://x/y>"),
    ("0 5 * * *", "<0 5 * * *>"),
    ("$5.00", "<$5.00>"),
    ("--flag", "<--flag>"),
    ("é/*x", "<é/*x>"),
    ("\"x, \\\"y\\\" # }\"", "\"x, \\\"y\\\" # }\""),
    ("'#{x} // ]'", "\"#{x} // ]\""),
    ("\"a#{b.c}d\"", "\"a\"#{b.c}\"d\""),
    ("\"${N:-d}\"", "${N Some(\"d\")}"),
    ("$g", "@$g"),
    ("@a.b", "@a.b"),
    ("@env.C", "env(C )"),
    ("@env(\"A\", 3001)", "env(A 3001)"),
    ("@env(\n  B , # no comment of the file\n [ 1,2 ]\n)", "env(B [1 2])"),
    ("@http(\"GET\", \"http://x/\")", "http(\"GET\" \"http://x/\")"),
    ("1 + 2 * 3", "(Plus 1 (Times 2 3))"),
    ("$g == 1 ? \"a\" : b", "(? (Equal @$g 1) \"a\" <b>)"),
    ("8000-9000", "8000..9000"),
    ("\"\"\"\n x # 1 \n\n\"\"\"", "\" x # 1 \\n\\n\""),
    ("'''\n  [s]\n- }'''", "\"  [s]\\n- }\""),
];

/// Texts that end their line, with what they say.
const HEREDOCS: [(&str, &str); 3] = [
    ("<<END\n  x: #{y} # z\n\n]\nEND", "\"  x: #{y} # z\\n\\n]\""),
    ("<<<\none \n>>>", "\"one \""),
    ("<<'E'\n    a\n   - b\n   E", "\" a\\n- b\""),
];

impl Author<'_> {
    pub(super) fn scalar(&mut self) -> String {
        let (text, tree) = SCALARS[self.pick(SCALARS.len())];
        self.push(text);
        tree.to_owned()
    }

    /// Any value. `lines`: it may go on over lines.
    pub(super) fn value(&mut self, lines: bool) -> (String, After) {
        if self.depth == DEPTH_MAX {
            return (self.scalar(), After::Anything);
        }
        let value = match self.pick(12) {
            8 => self.list(false),
            9 => self.object(false),
            10 if lines => {
                let (text, tree) = HEREDOCS[self.pick(HEREDOCS.len())];
                self.push(text);
                return (tree.to_owned(), After::Line);
            }
            11 if lines && self.once_in(2) => self.list(true),
            11 if lines => self.object(true),
            _ => self.scalar(),
        };
        (value, After::Anything)
    }

    /// `[…]`, on one line or over lines in any way.
    pub(super) fn list(&mut self, lines: bool) -> String {
        let items = self.enclosed(["[", "]"], lines, Self::value);
        format!("[{}]", items.join(" "))
    }

    /// `{…}`, on one line or over lines in any way.
    pub(super) fn object(&mut self, lines: bool) -> String {
        braced(&self.enclosed(["{", "}"], lines, Self::object_entry))
    }

    fn enclosed(
        &mut self,
        [opening, closing]: [&str; 2],
        lines: bool,
        item: fn(&mut Self, bool) -> (String, After),
    ) -> Vec<String> {
        self.depth += 1;
        self.push(opening);
        self.inside(lines);
        let count = self.pick(4);
        let items = (0..count).map(|index| {
            let (item, after) = item(self, lines);
            self.separator(after, lines, index + 1 == count, closing == "}");
            item
        });
        let items = items.collect();
        self.push(closing);
        self.depth -= 1;
        items
    }

    /// What may stand before an item and before the closing bracket.
    fn inside(&mut self, lines: bool) {
        if lines && !self.once_in(4) {
            self.end_line();
            self.noise();
            let column = self.pick(7);
            self.indent(column);
        } else {
            self.gap();
        }
    }

    fn separator(&mut self, after: After, lines: bool, last: bool, object: bool) {
        match after {
            After::Done(column) => {
                self.noise();
                let column = self.pick(column + 1);
                return self.indent(column);
            }
            After::Line => {
                self.push("\n");
                self.noise();
                return self.blanks();
            }
            After::Nothing if last => return self.blanks(),
            After::Nothing => self.push(","),
            After::Anything if lines && self.once_in(2) => {
                self.end_line();
                self.noise();
                return self.blanks();
            }
            After::Anything => {
                self.gap();
                if !last || self.once_in(3) {
                    self.push_one(if object { &[",", ";"] } else { &[","] });
                }
            }
        }
        self.inside(lines);
    }
}
