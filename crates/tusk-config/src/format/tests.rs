#![allow(clippy::unwrap_used)]
mod kept;
mod random;

use super::format;
use kept::{files, formatted};

#[test]
fn the_files_of_the_guide_and_of_this_workspace_are_in_the_layout() {
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
        ("a: b ; ;", "a: b\n"),
        ("a:\n- b: /x", "a:\n  - b: /x\n"),
        ("a:#x", "a:#x\n"),
        ("a://x", "a://x\n"),
        ("/*/a*/b=1", "/*/a*/\nb: 1\n"),
        ("a:\n-\n  b [1]", "a:\n  -\n    b [1]\n"),
        ("a:\n-\n  b:#x", "a:\n  -\n    b:#x\n"),
        ("a:\n-\n  b=//x\n  c=//y", "a:\n  -\n    b=//x\n    c://y\n"),
        ("a:\n-\n  b: text =//x", "a:\n  - b: text =//x\n"),
        ("a:\n-\n  b=/**///x", "a:\n  - b: /**///x\n"),
    ];
    for (text, expected) in cases {
        assert_eq!(formatted(text).unwrap(), expected);
    }
    assert_eq!(formatted("-[]"), None);
}

#[test]
fn a_comment_stays_with_what_it_is_about() {
    let cases = [
        // Below a group, as long as it is deeper than the group's key.
        ("a:\n - 1\n # - 2\nb: 1", "a:\n  - 1\n  # - 2\nb: 1\n"),
        ("a:\n - b: 1\n   # c\n # d\n# e\n", "a:\n  - b: 1\n    # c\n  # d\n# e\n"),
        ("a:\n- 1\n# c\nb: 1", "a:\n  - 1\n# c\nb: 1\n"),
        ("a {\n b:\n   c: 1\n   # d\n}", "a {\n  b:\n    c: 1\n    # d\n}\n"),
        // Before and behind the items of one line.
        ("a: [ /* b */ 1,/* c */2 /* d */ ]", "a: [/* b */ 1, /* c */ 2 /* d */]\n"),
        ("a: [1, /* c */ 2, # d\n]", "a: [\n  1\n  /* c */\n  2 # d\n]\n"),
        // Between a dash and its value.
        ("a:\n-\n # b\n # c\n 1", "a:\n  -\n    # b\n    # c\n    1\n"),
        ("a:\n- # b\n  1", "a:\n  - # b\n    1\n"),
        ("a:\n- /* b */ c: 1\n  d: 2", "a:\n  - /* b */\n    c: 1\n    d: 2\n"),
        // Around a type.
        ("a /* b */ : int =/* c */ 5; /* d */", "a: /* b */ int = /* c */ 5 /* d */\n"),
        // Over lines.
        ("a: 1\r\n  /* b \r\n   c */\r\n", "a: 1\n/* b\n   c */\n"),
    ];
    for (text, expected) in cases {
        assert_eq!(formatted(text).unwrap(), expected);
    }
}

#[test]
fn a_group_that_goes_over_lines_has_a_line_for_each_item() {
    let cases = [
        ("a: [{\n b: 1 }, {c: 2}]", "a: [\n  {\n    b: 1\n  }\n  {c: 2}\n]\n"),
        ("a: {b: [1,\n2], c: 3}", "a: {\n  b: [\n    1\n    2\n  ]\n  c: 3\n}\n"),
        ("a: {b >\n<, c: 1}", "a: {\n  b >\n  <\n  c: 1\n}\n"),
        ("a: [@env(\nB), 1]", "a: [\n  @env(\nB)\n  1\n]\n"),
        ("a: {b {c: 1}}", "a: {b {c: 1}}\n"),
        ("a: [\n\n]\nb {\n}", "a: []\nb {}\n"),
    ];
    for (text, expected) in cases {
        assert_eq!(formatted(text).unwrap(), expected);
    }
}

#[test]
fn a_blank_line_stands_above_a_section_and_its_comments() {
    let cases = [
        ("[a]\n[ b ]\n", "[a]\n\n[b]\n"),
        ("a: 1\n# b\n# c\n[b]", "a: 1\n\n# b\n# c\n[b]\n"),
        ("a: 1\n# b\n\n\n# c\n[b]", "a: 1\n# b\n\n# c\n[b]\n"),
        ("a: 1\n# b\n\n[b]", "a: 1\n# b\n\n[b]\n"),
        ("\n\n# a\n[b]\n\n\n", "# a\n[b]\n"),
        ("a {\n\n\n b: 1\n\n}\n\n", "a {\n  b: 1\n}\n"),
        ("\n \n", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(formatted(text).unwrap(), expected);
    }
}

#[test]
fn a_file_with_errors_is_left_alone() {
    let errors = format("a.tsk", "a: 1\nb: \"x\nc d").unwrap_err();
    assert_eq!(errors.len(), 2);
    assert!(errors.to_string().starts_with("a.tsk:2:4: this text has no closing"));
}
