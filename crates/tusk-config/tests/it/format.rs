//! The layout as whoever formats files sees it: every form in one file, windows files, large files.

use std::collections::BTreeMap;

use serde_json::Value;
use tusk_config::{Loader, Vars, format};

/// Every form, laid out as badly as the grammar allows.
const BEFORE: &str = r#"

# the head
   # of the file


$zone="eu" ;
name = "x";
[ server ]   # where it runs
port:int=3001   // typed
path:/var/lib ; /* a block */
url : "http://#{host}:#{port}/" # filled in
host=db.example.com
tags:[a,"b, c",]
limits:{cpu:2;memory = 64Mi}
nested: [{a:1}, {
 b : [1, 2] # two
}]



both [ 1, /* before two */ 2
]
disk { size:1; kind { fast: true } }
none { }
angle >
 a=1
     inner >
   b : 2 # deep
  <
<
# about the next section
[service:user-service]
    zones:
    - eu   # here
    -   name: us
        weight : 2

        in:
         a: 1
         # a: 2
    - - 1
      - 2
    -
       # below
       c {d:1}
    block:
          x: 1


          y: "two"
    motd: <<END
  Hello,   world.
   END
    text: """
  kept  as it is
"""
    level: @env(
      "LEVEL",   "info"
    )
    choice: $zone == "eu" ? 8 : 2
    empty:
"#;

const AFTER: &str = r#"# the head
# of the file

$zone: "eu"
name: "x"

[server] # where it runs
port: int = 3001 // typed
path: /var/lib /* a block */
url: "http://#{host}:#{port}/" # filled in
host: db.example.com
tags: [a, "b, c"]
limits: {cpu: 2, memory: 64Mi}
nested: [
  {a: 1}
  {
    b: [1, 2] # two
  }
]

both [
  1
  /* before two */
  2
]
disk {
  size: 1
  kind {
    fast: true
  }
}
none {}
angle >
  a: 1
  inner >
    b: 2 # deep
  <
<

# about the next section
[service:user-service]
zones:
  - eu # here
  - name: us
    weight: 2

    in:
      a: 1
      # a: 2
  - - 1
    - 2
  -
    # below
    c {
      d: 1
    }
block:
  x: 1

  y: "two"
motd: <<END
  Hello,   world.
   END
text: """
  kept  as it is
"""
level: @env(
      "LEVEL",   "info"
    )
choice: $zone == "eu" ? 8 : 2
empty:
"#;

fn values(text: &str) -> BTreeMap<String, Value> {
    Loader::new("config").text("a.tsk", text).vars(Vars::empty()).load().unwrap()
}

#[test]
fn every_form_in_one_file() {
    let formatted = format("a.tsk", BEFORE).unwrap();
    assert_eq!(formatted, AFTER);
    assert_eq!(values(AFTER), values(BEFORE));
    assert_eq!(format("a.tsk", AFTER).unwrap(), AFTER);
}

#[test]
fn windows_line_ends_stay_within_values_only() {
    let text = BEFORE.replace('\n', "\r\n");
    let formatted = format("a.tsk", &format!("\u{feff}{text}")).unwrap();
    assert_eq!(formatted.replace("\r\n", "\n"), AFTER);
    let kept: Vec<&str> = formatted.lines().collect();
    let kept = formatted.split('\n').zip(kept).filter(|(line, _)| line.ends_with('\r'));
    let kept: Vec<&str> = kept.map(|(_, line)| line.trim()).collect();
    let expected = [
        "motd: <<END",
        "Hello,   world.",
        "text: \"\"\"",
        "kept  as it is",
        "level: @env(",
        "\"LEVEL\",   \"info\"",
    ];
    assert_eq!(kept, expected);
}

#[test]
fn a_file_with_errors_is_refused_with_all_of_them() {
    let errors = format("a.tsk", "a: \"x\nb c\n\nd=1\nd=2\n").unwrap_err();
    let shown: Vec<String> = errors.iter().map(|fault| fault.text().to_owned()).collect();
    let expected = ["this text has no closing \"", "expected `:` or `=` after `b`, found `c`"];
    assert_eq!(shown, expected);
}

/// A million bytes of what a formatter could walk over again and again.
#[test]
fn a_megabyte_of_anything_is_formatted() {
    const MEGABYTE: usize = 1 << 20;
    let lines = (0..60).map(|depth| format!("{}a:\n", " ".repeat(depth)));
    let deep = [lines.collect::<Vec<_>>().concat(), " ".repeat(60), "b: 1\n".to_owned()].concat();
    let repeated = [
        ("", "#\n", "[s]\n"),
        ("", "/**/ ", ""),
        ("a: 1", "\n", "b: 2"),
        ("", "a:\n", ""),
        ("", "a{b:1}\n", ""),
        ("a: {", "a:,", "}"),
        ("a: [", "{b:},", "]"),
        ("a: [", "1, /**/ ", "]"),
        ("a: [", "1 # b\n", "]"),
        ("a:\n", "- b:\n    c: 1\n", ""),
        (&deep, "#\n", ""),
        (&deep, "                    #\n", "c: 1"),
    ];
    for (start, piece, end) in repeated {
        let text = format!("{start}{}{end}", piece.repeat(MEGABYTE / piece.len()));
        let formatted = format("a.tsk", &text).unwrap();
        assert!(formatted.len() < 3 * text.len(), "{start:.20}{piece}");
    }
}
