//! Random files with what they must parse to, in the notation of `crate::notation`. Written without
//! the parser, so that it tests the parser as well as the formatter.

/// A file and its tree.
#[derive(Debug)]
pub(super) struct Generated {
    pub(super) text: String,
    pub(super) tree: String,
    /// Each of its comments.
    pub(super) comments: Vec<String>,
}

/// Writes a file. Each decision takes one of `choices`; without any left, the simplest is taken, so
/// that fewer choices make a smaller file.
pub(super) fn file(choices: &[u8]) -> Generated {
    let mut author =
        Author { choices: choices.iter(), text: String::new(), count: 0, comments: Vec::new() };
    let windows = author.pick(8) == 7;
    let mut entries = author.entries(0);
    while author.pick(4) > 0 {
        author.noise(0);
        author.count += 1;
        let name = format!("s{}", author.count);
        let comment = author.comment_behind();
        author.push(&format!("[{name}]{comment}\n"));
        let inner = author.entries(0);
        entries.push(format!("{name}={{{}}}", inner.join(" ")));
    }
    author.noise(0);
    let text = if windows { author.text.replace('\n', "\r\n") } else { author.text };
    Generated { text, tree: format!("{{{}}}", entries.join(" ")), comments: author.comments }
}

struct Author<'c> {
    choices: std::slice::Iter<'c, u8>,
    text: String,
    count: usize,
    comments: Vec<String>,
}

impl Author<'_> {
    fn pick(&mut self, options: usize) -> usize {
        usize::from(self.choices.next().copied().unwrap_or(0)) % options
    }

    fn one<'a>(&mut self, options: &[&'a str]) -> &'a str {
        options[self.pick(options.len())]
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn blanks(&mut self) {
        let blanks = self.one(&["", " ", "  ", "\t"]);
        self.push(blanks);
    }

    fn comment(&mut self) -> String {
        let sign = self.one(&["# ", "// ", "#", "/* "]);
        let end = if sign == "/* " { " */" } else { "" };
        let text = format!("{sign}c{}:x, y]{end}", self.comments.len());
        self.comments.push(text.clone());
        text
    }

    fn comment_behind(&mut self) -> String {
        if self.pick(5) == 4 { format!(" {}", self.comment()) } else { String::new() }
    }

    /// Blank lines and comments on lines of their own.
    fn noise(&mut self, indent: usize) {
        for _ in 0..self.pick(8).saturating_sub(5) {
            if self.pick(2) == 1 {
                let comment = self.comment();
                self.push(&format!("{}{comment}\n", " ".repeat(indent)));
            } else {
                let line = self.one(&["\n", "  \n"]);
                self.push(line);
            }
        }
    }

    /// At least one entry, each on lines of its own.
    fn entries(&mut self, indent: usize) -> Vec<String> {
        let count = 1 + self.pick(4);
        (0..count).map(|_| self.line_entry(indent)).collect()
    }

    fn line_entry(&mut self, indent: usize) -> String {
        self.noise(indent);
        self.push(&" ".repeat(indent));
        self.entry_here(indent, false)
    }

    /// An entry whose key begins here, at the column `indent`, up to the end of its line. Behind a
    /// dash only `:` and `=` show that it is one.
    fn entry_here(&mut self, indent: usize, behind_dash: bool) -> String {
        let key = self.key();
        if behind_dash {
            self.push(": ");
            let value = self.inline(3);
            self.end_line(true);
            return format!("{key}={value}");
        }
        if indent > 24 {
            return format!("{key}={}", self.plain_entry());
        }
        let value = match self.pick(14) {
            0..=5 => self.plain_entry(),
            6 => self.block(indent, " {", "}"),
            7 => self.block(indent, " >", "<"),
            8 => self.indented(indent),
            9 => self.dashes(indent),
            10 => self.separated(|author| author.many(indent, "[", "]", Self::element_line)),
            11 => self.separated(|author| author.many(indent, "{", "}", Self::line_entry)),
            12 => self.bare_list(indent),
            _ => self.heredoc(),
        };
        format!("{key}={value}")
    }

    fn key(&mut self) -> String {
        self.count += 1;
        let (name, quoted) = (format!("k{}", self.count), self.pick(8) == 7);
        self.push(&if quoted { format!("\"{name}\"") } else { name.clone() });
        name
    }

    fn separated(&mut self, value: impl FnOnce(&mut Self) -> String) -> String {
        self.blanks();
        let sign = self.one(&[":", "="]);
        self.push(sign);
        self.blanks();
        let value = value(self);
        self.end_line(true);
        value
    }

    fn end_line(&mut self, semicolon: bool) {
        if semicolon && self.pick(8) == 7 {
            self.push(" ;");
        }
        let comment = self.comment_behind();
        self.push(&format!("{comment}\n"));
    }

    fn plain_entry(&mut self) -> String {
        if self.pick(12) == 11 {
            self.push(": int =");
            let value = self.separated_number();
            self.end_line(true);
            return format!("Int:{value}");
        }
        self.separated(|author| author.inline(3))
    }

    fn separated_number(&mut self) -> String {
        self.blanks();
        let value = self.one(&["5", "0x10", "1_000"]);
        self.push(value);
        match value {
            "0x10" => "16".to_owned(),
            value => value.replace('_', ""),
        }
    }

    /// A value on one line.
    fn inline(&mut self, depth: usize) -> String {
        let scalars = [
            ("5", "5"),
            ("-1.5", "-1.5f"),
            ("true", "true"),
            ("null", "null"),
            ("two words", "<two words>"),
            ("a#b", "<a#b>"),
            ("\"x, \\\"y\\\" # }\"", "\"x, \\\"y\\\" # }\""),
            ("'#{x} // ]'", "\"#{x} // ]\""),
            ("\"a#{b.c}d\"", "\"a\"#{b.c}\"d\""),
            ("\"${N:-d}\"", "${N Some(\"d\")}"),
            ("$g", "@$g"),
            ("@a.b", "@a.b"),
            ("@env(\"A\", 3001)", "env(A 3001)"),
            ("@env(\n  B , [ 1,2 ]\n)", "env(B [1 2])"),
            ("@http(\"GET\", \"http://x/\")", "http(\"GET\" \"http://x/\")"),
            ("1 + 2 * 3", "(Plus 1 (Times 2 3))"),
            ("$g == 1 ? \"a\" : b", "(? (Equal @$g 1) \"a\" <b>)"),
            ("8000-9000", "8000..9000"),
            ("\"\"\"\n x # 1\n\n\"\"\"", "\" x # 1\\n\\n\""),
            ("http://x/y", "<http://x/y>"),
        ];
        match self.pick(if depth > 0 { 24 } else { 20 }) {
            20 | 21 => self.on_line(depth, "[", "]", Author::inline),
            22 | 23 => self.on_line(depth, "{", "}", |author, depth| {
                let key = author.key();
                let sign = author.one(&[": ", " = ", ":"]);
                author.push(sign);
                format!("{key}={}", author.inline(depth))
            }),
            index => {
                self.push(scalars[index].0);
                scalars[index].1.to_owned()
            }
        }
    }

    /// A list or an object on one line.
    fn on_line(
        &mut self,
        depth: usize,
        opening: &str,
        closing: &str,
        item: impl Fn(&mut Self, usize) -> String,
    ) -> String {
        self.push(opening);
        let count = self.pick(4);
        let mut items = Vec::new();
        for index in 0..count {
            self.blanks();
            items.push(item(self, depth - 1));
            if index + 1 < count || self.pick(3) == 2 {
                self.blanks();
                self.push(",");
            }
        }
        self.blanks();
        self.push(closing);
        format!("{opening}{}{closing}", items.join(" "))
    }

    /// A list or an object over lines.
    fn many(
        &mut self,
        indent: usize,
        opening: &str,
        closing: &str,
        item: impl Fn(&mut Self, usize) -> String,
    ) -> String {
        let comment = self.comment_behind();
        self.push(&format!("{opening}{comment}\n"));
        let count = self.pick(4);
        let step = 1 + self.pick(3);
        let items: Vec<String> = (0..count).map(|_| item(self, indent + step)).collect();
        self.noise(indent);
        self.push(&format!("{}{closing}", " ".repeat(indent)));
        format!("{opening}{}{closing}", items.join(" "))
    }

    fn element_line(&mut self, indent: usize) -> String {
        self.noise(indent);
        self.push(&" ".repeat(indent));
        let value = self.inline(2);
        let comma = self.one(&["", ","]);
        let comment = self.comment_behind();
        self.push(&format!("{comma}{comment}\n"));
        value
    }

    fn block(&mut self, indent: usize, opening: &str, closing: &str) -> String {
        let comment = self.comment_behind();
        self.push(&format!("{opening}{comment}\n"));
        let count = self.pick(3);
        let entries: Vec<String> = (0..count).map(|_| self.line_entry(indent + 3)).collect();
        self.noise(indent);
        self.push(&format!("{}{closing}", " ".repeat(indent)));
        self.end_line(closing == "}");
        format!("{{{}}}", entries.join(" "))
    }

    fn bare_list(&mut self, indent: usize) -> String {
        self.push(" ");
        let list = self.many(indent, "[", "]", Self::element_line);
        self.end_line(true);
        list
    }

    fn indented(&mut self, indent: usize) -> String {
        let comment = self.comment_behind();
        self.push(&format!(":{comment}\n"));
        let step = 1 + self.pick(4);
        format!("{{{}}}", self.entries(indent + step).join(" "))
    }

    /// Items with dashes: plain ones, groups, lists in lists.
    fn dashes(&mut self, indent: usize) -> String {
        let comment = self.comment_behind();
        self.push(&format!(":{comment}\n"));
        let column = indent + self.pick(3);
        let count = 1 + self.pick(3);
        let items: Vec<String> = (0..count).map(|_| self.dash(column)).collect();
        format!("[{}]", items.join(" "))
    }

    fn dash(&mut self, column: usize) -> String {
        self.noise(column);
        self.push(&format!("{}-", " ".repeat(column)));
        match self.pick(4) {
            0 | 1 => {
                self.push(" ");
                let value = self.inline(2);
                self.end_line(false);
                value
            }
            2 => {
                self.push(" ");
                let mut entries = vec![self.entry_here(column + 2, true)];
                let count = self.pick(3);
                entries.extend((0..count).map(|_| self.line_entry(column + 2)));
                format!("{{{}}}", entries.join(" "))
            }
            _ => {
                let comment = self.comment_behind();
                self.push(&format!("{comment}\n"));
                format!("{{{}}}", self.entries(column + 2).join(" "))
            }
        }
    }

    fn heredoc(&mut self) -> String {
        self.push(": <<END\n  x: #{y} # z\n\n]\nEND\n");
        "\"  x: #{y} # z\\n\\n]\"".to_owned()
    }
}
