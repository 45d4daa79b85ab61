#![allow(clippy::unwrap_used)]
use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{format, generate};
use crate::Severity;
use crate::notation::table;
use crate::source::Source;
use crate::syntax;

/// What is put into files.
const PIECES: [&str; 24] = [
    "",
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

/// Root, globals, and the warnings; `None` for a file with errors.
fn tree(text: &str) -> Option<(String, String, Vec<String>)> {
    let source = Arc::new(Source { name: "a.tsk".to_owned(), text: text.to_owned() });
    let document = syntax::parse(&source, 0);
    if document.faults.iter().any(|fault| fault.severity() == Severity::Error) {
        return None;
    }
    let warnings = document.faults.iter().map(|fault| fault.text().to_owned()).collect();
    Some((table(&document.root), table(&document.globals), warnings))
}

/// Formats a file and sees to it that it means the same and that once is enough.
fn formatted(text: &str) -> Option<String> {
    let before = tree(text)?;
    let once = format("a.tsk", text).unwrap();
    let after = tree(&once);
    assert!(after.as_ref() == Some(&before), "{text:?}\nbecame\n{once}\n{before:?}\n{after:?}");
    assert_eq!(format("a.tsk", &once).unwrap(), once, "{text:?}");
    Some(once)
}

fn files() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [root.join("tests/fixtures/seed"), root.join("../../config")];
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
    paths.map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn the_files_of_the_seed_and_of_this_workspace_are_in_the_layout() {
    let files = files();
    assert!(files.len() >= 18);
    for text in files {
        assert_eq!(formatted(&text).unwrap(), text);
    }
}

#[test]
fn every_form_has_its_layout() {
    let text = "\u{feff}\n\n[a]\r\nx=1;\ny : {a:1,b :[1,2 , 3]} # c\nz {\n q: 1\n}\nw { a: 1; b: 2 }
l: [\n 1, # one\n\n\n 2]\nt:int=5\nb:\n      c: 1 # d\n      e:\n        f: 2 # g\n      # h\nd:
- 1\n-   name: x # j\n    port: 2\n- - 1\n  - 2\n- # k\n  a: 1\n# own\n[b]\nang >\n   a: 1
   inner > /* c */\n  b: 2\n <\n<\ne:\nf: <<E\n x\nE\nempty: [ ]\ng: [ /* i */ 1 /* j */, {} ]\n\n\n\n# end";
    let expected = "[a]
x: 1
y: {a: 1, b: [1, 2, 3]} # c
z {
  q: 1
}
w {
  a: 1
  b: 2
}
l: [
  1 # one

  2
]
t: int = 5
b:
  c: 1 # d
  e:
    f: 2 # g
# h
d:
  - 1
  - name: x # j
    port: 2
  - - 1
    - 2
  - # k
    a: 1

# own
[b]
ang >
  a: 1
  inner > /* c */
    b: 2
  <
<
e:
f: <<E
 x
E
empty: []
g: [/* i */ 1 /* j */, {}]

# end
";
    assert_eq!(formatted(text).unwrap(), expected);
}

/// Found by fuzzing, each of them.
#[test]
fn what_looks_like_something_else_keeps_its_meaning() {
    let cases = [
        ("a:#x", "a:#x\n"),
        ("a://x", "a://x\n"),
        ("/*/a*/b=1", "/*/a*/\nb: 1\n"),
        ("a:\n-\n  b [1]", "a:\n  -\n    b [1]\n"),
    ];
    for (text, expected) in cases {
        assert_eq!(formatted(text).unwrap(), expected);
    }
    assert_eq!(formatted("-[]"), None);
}

#[test]
fn a_file_with_errors_is_left_alone() {
    let errors = format("a.tsk", "a: 1\nb: \"x\nc d").unwrap_err();
    assert_eq!(errors.len(), 2);
    assert!(errors.to_string().starts_with("a.tsk:2:4: this text has no closing"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_parses_to_what_its_author_meant_and_formatting_keeps_it(
        choices in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let generated = generate::file(&choices);
        let parsed = tree(&generated.text);
        prop_assert_eq!(parsed.map(|(root, ..)| root), Some(generated.tree), "{}", generated.text);
        let once = formatted(&generated.text).unwrap();
        for comment in generated.comments {
            prop_assert_eq!(once.matches(comment.as_str()).count(), 1, "{}\n{}", comment, once);
        }
    }

    #[test]
    fn a_real_file_with_a_piece_cut_out_or_put_in_keeps_its_meaning(
        file in 0_usize..18,
        at in 0_usize..900,
        length in 0_usize..30,
        piece in proptest::sample::select(&PIECES[..]),
    ) {
        let text = &files()[file];
        let start = at.min(text.len());
        let end = (start + length).min(text.len());
        prop_assume!(text.is_char_boundary(start) && text.is_char_boundary(end));
        formatted(&format!("{}{piece}{}", &text[..start], &text[end..]));
    }
}
