//! Random files: written by rule, real ones with something changed, lines in any order.

use proptest::prelude::*;
use proptest::sample::select;

use super::kept::{files, formatted, said};
use crate::format::generate;

/// What is put into files.
const PIECES: [&str; 29] = [
    "`",
    "",
    "\r",
    "é",
    "\u{a0}",
    "\n",
    "\n\n\n",
    " ",
    "\t",
    ":",
    "=",
    "{",
    "}",
    "[",
    "]",
    ",",
    ";",
    "#",
    "//",
    " # c\n",
    "// c\n",
    "/* c */",
    "\n- ",
    "\n  ",
    "\nx:\n  y: 1\n",
    "\nx >\n<\n",
    "\n[s]\n",
    "<<E\n1\nE\n",
    "\r\n",
];

/// Lines that mean something else where they are deeper, or beside others.
const LINES: [&str; 47] = [
    "q: @query(\"a\").where(1).get()",
    "q: @query(\"a\")\n  .get()",
    "t: `a ${b}\n  c`",
    "a: 1",
    "b:",
    "c = x ; # d",
    "\"d\":",
    "e: # f",
    "f {\n}",
    "g: {\n}",
    "h: [\n]",
    "[\n]",
    "{\n}",
    "{\n  a: 1\n}, {\n}",
    "[1], [2",
    "], [",
    "i >\n<",
    "i > # i\n\n\n<",
    "-",
    "-\n",
    "- 1",
    "- j: 1",
    "- k:",
    "- - 2",
    "- [\n]",
    "- # l",
    "- /* m */ 3",
    "# n",
    "// o",
    "/* p */",
    "/* q */ r: 1",
    "/* s\nt */ u: 2",
    "/* u\n */ # v",
    "",
    "\n",
    "v:#w",
    "v=//w",
    "v: text =//w",
    "v = /* w */#x",
    "x y,",
    "1, /* z */ 2",
    ", 3",
    "aa: int = 5",
    "bb: {cc: 1, dd [2]}",
    "ee: \"\"\"\n\"\"\"",
    "$ff: @env(\n\"A\"\n)",
    "[gg]",
];

/// Makes each of the changes that leaves the file without errors, and formats what comes out. A
/// change puts a text in the place of so many bytes.
fn grow(
    mut text: String,
    changes: impl IntoIterator<Item = impl Fn(&str) -> (usize, usize, String)>,
) {
    for change in changes {
        let (at, length, piece) = change(&text);
        let start = at.min(text.len());
        let end = (start + length).min(text.len());
        if text.is_char_boundary(start) && text.is_char_boundary(end) {
            let changed = format!("{}{piece}{}", &text[..start], &text[end..]);
            if formatted(&changed).is_some() {
                text = changed;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_parses_to_what_its_author_meant_and_formatting_keeps_it(
        choices in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let generated = generate::file(&choices);
        let text = &generated.text;
        let said = said(text).map_err(|faults| TestCaseError::fail(format!("{faults}\n{text}")))?;
        prop_assert_eq!(said.root, generated.root, "{}", text);
        prop_assert_eq!(said.globals, generated.globals, "{}", text);
        prop_assert_eq!(said.warnings.len(), generated.warnings, "{}", text);
        let once = formatted(text).unwrap();
        for comment in generated.comments {
            prop_assert_eq!(once.matches(comment.as_str()).count(), 1, "{}\n{}", comment, once);
        }
    }

    #[test]
    fn a_real_file_with_pieces_cut_out_or_put_in_keeps_what_it_says(
        file in 0_usize..18,
        changes in proptest::collection::vec((0_usize..2_000, 0_usize..30, select(&PIECES[..])), 1..6),
    ) {
        grow(files()[file].clone(), changes.into_iter().map(|(at, length, piece)| {
            move |text: &str| (at % (text.len() + 1), length, piece.to_owned())
        }));
    }

    #[test]
    fn lines_in_any_order_keep_what_they_say(
        lines in proptest::collection::vec((0_usize..50, 0_usize..7, select(&LINES[..])), 0..30),
    ) {
        grow(String::new(), lines.into_iter().map(|(line, indent, piece)| move |text: &str| {
            let ends = text.match_indices('\n').map(|(at, _)| at + 1);
            let starts: Vec<usize> = std::iter::once(0).chain(ends).collect();
            (starts[line % starts.len()], 0, format!("{}{piece}\n", " ".repeat(indent)))
        }));
    }
}
