//! Random files with what they must parse to, in the notation of `crate::notation`. Written without
//! the parser, so that it tests the parser as well as the formatter.
//!
//! | module | writes |
//! |---|---|
//! | here | files, sections; blanks, comments and blank lines wherever they may stand |
//! | [`entries`] | keys and what follows them, blocks, lists with dashes |
//! | [`values`] | scalars, lists and objects, texts over lines |

mod entries;
mod values;

/// How deep groups nest.
const DEPTH_MAX: usize = 6;

/// A file and what it says.
#[derive(Debug)]
pub(super) struct Generated {
    pub(super) text: String,
    pub(super) root: String,
    pub(super) globals: String,
    /// One for each key without a value.
    pub(super) warnings: usize,
    /// Each of its comments.
    pub(super) comments: Vec<String>,
}

/// Writes a file. Each decision takes one of `choices`; without any left, the simplest is taken, so
/// that fewer choices make a smaller file.
pub(super) fn file(choices: &[u8]) -> Generated {
    let mut author = Author { choices: choices.iter(), ..Author::default() };
    let windows = author.once_in(8);
    let mark = author.once_in(16);
    let mut entries = author.file_entries();
    while author.pick(4) > 0 {
        entries.push(author.section());
    }
    author.noise();
    if author.once_in(8) {
        author.text.truncate(author.text.trim_end().len());
    }
    let text = if windows { author.text.replace('\n', "\r\n") } else { author.text };
    Generated {
        text: if mark { format!("\u{feff}{text}") } else { text },
        root: braced(&entries),
        globals: braced(&author.globals),
        warnings: author.warnings,
        comments: author.comments,
    }
}

fn braced(entries: &[String]) -> String {
    format!("{{{}}}", entries.join(" "))
}

/// What has to follow something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// The end of the line, or whatever may follow on it.
    Anything,
    /// The end of the line at once.
    Line,
    /// Nothing on a line below that is deeper than the key.
    Nothing,
    /// It has ended its line already; what follows must not be deeper than this column.
    Done(usize),
}

#[derive(Default)]
struct Author<'c> {
    choices: std::slice::Iter<'c, u8>,
    text: String,
    /// So many keys and sections have a name.
    names: usize,
    comments: Vec<String>,
    globals: Vec<String>,
    warnings: usize,
    /// Groups that are open.
    depth: usize,
}

impl Author<'_> {
    fn pick(&mut self, options: usize) -> usize {
        usize::from(self.choices.next().copied().unwrap_or(0)) % options
    }

    fn once_in(&mut self, options: usize) -> bool {
        self.pick(options) + 1 == options
    }

    fn one<'a>(&mut self, options: &[&'a str]) -> &'a str {
        options[self.pick(options.len())]
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn push_one(&mut self, options: &[&str]) {
        let text = self.one(options);
        self.push(text);
    }

    fn indent(&mut self, column: usize) {
        self.push(&" ".repeat(column));
    }

    fn column(&self) -> usize {
        self.text.len() - self.text.rfind('\n').map_or(0, |at| at + 1)
    }

    fn blanks(&mut self) {
        self.push_one(&["", " ", "  ", "\t"]);
    }

    fn comment(&mut self, (start, end): (&str, &str)) {
        let text = format!("{start}c{}:x, y]{end}", self.comments.len());
        self.push(&text);
        self.comments.push(text);
    }

    fn line_comment(&mut self) {
        let sign = self.one(&["# ", "// ", "#", "//"]);
        self.comment((sign, ""));
    }

    fn block_comment(&mut self) {
        let signs = [("/* ", " */"), ("/*", "*/"), ("/* # ", "\n   // */")];
        let sign = signs[self.pick(3)];
        self.comment(sign);
    }

    /// Blanks within a line, or a comment.
    fn gap(&mut self) {
        if self.once_in(12) {
            self.push(" ");
            self.block_comment();
            self.push_one(&[" ", "", "\t"]);
        } else {
            self.blanks();
        }
    }

    /// The rest of a line.
    fn end_line(&mut self) {
        while self.once_in(12) {
            self.push(" ");
            self.block_comment();
        }
        if self.once_in(6) {
            self.push(" ");
            self.line_comment();
        }
        self.push_one(&["\n", "\n", " \n", "\t\n"]);
    }

    /// Blank lines and comments on lines of their own, in any column.
    fn noise(&mut self) {
        for _ in 0..self.pick(8).saturating_sub(5) {
            if self.once_in(2) {
                let column = self.pick(9);
                self.indent(column);
                if self.once_in(3) {
                    self.block_comment();
                } else {
                    self.line_comment();
                }
            }
            self.push_one(&["\n", " \n", "\n\n", "\t\n\n \n"]);
        }
    }

    /// A name that nothing else has.
    fn name(&mut self, letter: char) -> String {
        self.names += 1;
        format!("{letter}{}", self.names)
    }

    fn section(&mut self) -> String {
        self.noise();
        let name = self.name('s');
        let (header, before, after) = match self.pick(5) {
            0 | 1 => (name.clone(), format!("{name}="), ""),
            2 => (format!("{name}.in"), format!("{name}={{in="), "}"),
            3 => (format!("kind:{name}-b.c"), format!("kind:{name}-b.c="), ""),
            _ => (format!("\"{name} x.y\""), format!("{name} x.y="), ""),
        };
        self.push_one(&["", "", " ", "\t"]);
        self.push("[");
        self.blanks();
        self.push(&header);
        self.blanks();
        self.push("]");
        self.end_line();
        let entries = if self.once_in(5) { Vec::new() } else { self.file_entries() };
        format!("{before}{}{after}", braced(&entries))
    }

    /// Entries of a section, and globals between them.
    fn file_entries(&mut self) -> Vec<String> {
        let mut indent = self.pick(4).saturating_sub(1);
        let mut entries = Vec::new();
        for _ in 0..=self.pick(5) {
            if self.once_in(10) {
                self.noise();
                self.indent(indent);
                let global = self.global();
                self.globals.push(global);
            } else {
                entries.push(self.line_entry(indent));
            }
            indent -= self.pick(4).saturating_sub(2).min(indent);
        }
        entries
    }
}
