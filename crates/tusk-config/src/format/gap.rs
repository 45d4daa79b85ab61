//! What stands between two marks: blanks, separators, comments.

/// A comment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comment<'s> {
    pub(super) text: &'s str,
    /// Where it ends in the file.
    pub(super) end: usize,
    /// Nothing but blanks stands before it on its line.
    pub(super) own_line: bool,
    /// How far it stands from the start of its line, when the line is its own.
    pub(super) column: usize,
    /// A blank line stands above it.
    pub(super) blank: bool,
    /// It stands behind a separator, and on the same line as what comes next.
    pub(super) before: bool,
}

impl Comment<'_> {
    /// It goes on to the end of its line.
    pub(super) fn ends_line(&self) -> bool {
        !self.text.starts_with("/*")
    }
}

#[derive(Debug)]
pub(super) struct Gap<'s> {
    pub(super) comments: Vec<Comment<'s>>,
    /// It goes over several lines.
    pub(super) lines: bool,
    /// A blank line stands right before its end.
    pub(super) blank: bool,
}

impl<'s> Gap<'s> {
    /// Reads from `pos` to `end`, or to the first comment that is not one of the `wanted`. `start`:
    /// where the file begins.
    pub(super) fn read(
        text: &'s str,
        mut pos: usize,
        end: usize,
        start: usize,
        wanted: impl Fn(&Comment<'s>) -> bool,
    ) -> Self {
        let bytes = text.as_bytes();
        let mut gap = Gap { comments: Vec::new(), lines: false, blank: false };
        // Line ends since the last comment, and where this line begins if it has only blanks so far.
        let mut breaks = 0;
        let mut line = (pos == start).then_some(start);
        // A separator stands on this line, and so many comments above it.
        let (mut separated, mut above) = (false, 0);
        while pos < end {
            match bytes[pos] {
                b'#' | b'/' => {
                    let rest = &text[pos..end];
                    let length = comment_length(rest);
                    let comment = Comment {
                        text: rest[..length].trim_end(),
                        end: pos + length,
                        own_line: line.is_some(),
                        column: line.map_or(0, |line| pos - line),
                        blank: breaks > 1,
                        before: separated,
                    };
                    if !wanted(&comment) {
                        break;
                    }
                    gap.lines |= comment.text.contains('\n');
                    gap.comments.push(comment);
                    pos += length;
                    (breaks, line) = (0, None);
                    continue;
                }
                b'\n' => {
                    breaks += 1;
                    line = Some(pos + 1);
                    gap.lines = true;
                    (separated, above) = (false, gap.comments.len());
                }
                b',' | b';' => separated = true,
                _ => {}
            }
            pos += 1;
        }
        gap.blank = breaks > 1;
        gap.comments[..above].iter_mut().for_each(|comment| comment.before = false);
        gap
    }
}

/// How long the comment is that begins here.
fn comment_length(rest: &str) -> usize {
    if let Some(inner) = rest.strip_prefix("/*") {
        return inner.find("*/").map_or(rest.len(), |at| at + 4);
    }
    rest.find('\n').unwrap_or(rest.len())
}
