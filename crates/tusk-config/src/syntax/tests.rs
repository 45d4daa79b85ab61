#![allow(clippy::unwrap_used)]
mod blocks;
mod expressions;

use std::sync::Arc;

use super::{DEPTH_MAX, Document, parse};
use crate::notation::table;
use crate::source::Source;

fn document(text: &str) -> Document {
    parse(&Arc::new(Source { name: "a.tsk".to_owned(), text: text.to_owned() }), 0)
}

/// The tree in a short notation; the file has to be free of faults.
fn tree(text: &str) -> String {
    let document = document(text);
    assert!(document.faults.is_empty(), "{:?}", document.faults);
    table(&document.root)
}

fn faults(text: &str) -> Vec<String> {
    let document = document(text);
    let shown = |fault: &crate::Fault| {
        let location = fault.location().unwrap();
        format!("{}:{} {}", location.line(), location.column(), fault.text())
    };
    document.faults.iter().map(shown).collect()
}

#[test]
fn a_section_name_with_a_colon_is_one_key() {
    assert_eq!(
        tree("[service:user-service]\na: 1\n[service:b.c]\n"),
        "{service:user-service={a=1} service:b.c={}}"
    );
}

#[test]
fn a_section_name_with_a_dot_is_nested() {
    assert_eq!(tree("[a.b]\nx: 1\n[a]\ny: 2\n[\"a.b\"]\nz: 3"), "{a={b={x=1} y=2} a.b={z=3}}");
}

#[test]
fn colon_and_equals_sign_are_the_same() {
    assert_eq!(tree("a: 1\nb = 2\nc=3\nd:4;\n"), "{a=1 b=2 c=3 d=4}");
}

#[test]
fn keys_may_be_quoted_dotted_or_dashed() {
    assert_eq!(tree("\"a b\": 1\nc.d: 2\nc.e: 3\nf-g: 4"), "{a b=1 c={d=2 e=3} f-g=4}");
}

#[test]
fn comments_of_every_kind() {
    let text = "# a\n// b\n/* c\n d */ x: 1 # e\ny: two # f\nz: \"#g\" // h\nu: http://x//y\nv: a#b /* i */\n";
    assert_eq!(tree(text), "{x=1 y=<two> z=\"#g\" u=<http://x//y> v=<a#b>}");
}

#[test]
fn texts_in_every_kind_of_quotes() {
    assert_eq!(
        tree(r#"a: "x\n\t\\\"\x41\u00e9\u{1F600}\$\#{}""#),
        "{a=\"x\\n\\t\\\\\\\"Aé😀$#{}\"}"
    );
    assert_eq!(tree(r"a: 'x\n#{y}'"), r#"{a="x\\n#{y}"}"#);
    assert_eq!(tree("a: \"\"\"\nx\r\n  y \"z\"\n\"\"\"\nb: 1"), r#"{a="x\n  y \"z\"\n" b=1}"#);
    assert_eq!(tree("a: '''\nx #{y}\n'''"), r#"{a="x #{y}\n"}"#);
    assert_eq!(tree("a: \"\"\nb: ''"), r#"{a="" b=""}"#);
}

#[test]
fn interpolation_in_double_quotes() {
    assert_eq!(
        tree(r#"a: "x#{b.c}y${D:-e}${F}${g}$h #$""#),
        r##"{a="x"#{b.c}"y"${D Some("e")}${F None}#{g}$h" #$"}"##
    );
    assert_eq!(tree("a: ${B:-c d # e}\nf: $g"), "{a=${B Some(\"c d # e\")} f=@$g}");
}

#[test]
fn words_without_quotes_are_texts_unless_they_mean_something() {
    let text =
        "a: user-service.events\nb: true\nc: null\nd: 1_000\ne: hello, world\nf: $5.00\ng: truely";
    let expected =
        "{a=<user-service.events> b=true c=null d=1000 e=<hello, world> f=<$5.00> g=<truely>}";
    assert_eq!(tree(text), expected);
}

#[test]
fn a_range_needs_digits_and_a_date_is_a_text() {
    assert_eq!(
        tree("a: 8000-9000\nb: 2024-01-15\nc: 007\nd: 1.2.3"),
        "{a=8000..9000 b=<2024-01-15> c=<007> d=<1.2.3>}"
    );
}

#[test]
fn lists_and_objects_over_lines_or_in_one() {
    assert_eq!(
        tree("a: [1, two, \"three\",]\nb: [\n 1\n 2, # x\n [3]\n]\nc: []"),
        "{a=[1 <two> \"three\"] b=[1 2 [3]] c=[]}"
    );
    assert_eq!(
        tree("a: {b: 1, c = two, d: {}}\ne: {\n f: x y\n g: [1]; h: 2\n}"),
        "{a={b=1 c=<two> d={}} e={f=<x y> g=[1] h=2}}"
    );
    assert_eq!(tree("a {\n b: 1\n c { d: 2 }\n}\ne [1, 2]"), "{a={b=1 c={d=2}} e=[1 2]}");
}

#[test]
fn operators_with_their_arguments() {
    let text = "a: @env(\"A\", 3001)\nb: @env(B)\nc: @env.C\nd: @env.secure(\"D\")\ne: @env(\n  \"E\",\n  default: [a, b]\n)";
    assert_eq!(
        tree(text),
        "{a=env(A 3001) b=env(B ) c=env(C ) d=env(D secure) e=env(E [<a> <b>])}"
    );
    let text = "a: @http(\"GET\", \"http://#{h}/\")\nb: @http(http://x/y)\nc: @http(url: \"u\", method: POST)";
    assert_eq!(
        tree(text),
        "{a=http(\"GET\" \"http://\"#{h}\"/\") b=http( <http://x/y>) c=http(<POST> \"u\")}"
    );
    assert_eq!(
        tree("a: @query(\"select (1)\", limit: [\")\"])\nb: @cache.ttl"),
        "{a=@query(\"select (1)\" limit:[\")\"]) b=@cache.ttl}"
    );
}

#[test]
fn globals_are_no_part_of_the_output() {
    let document = document("$base: 1\n[a]\n$other = x\nb: $base");
    assert_eq!(
        (table(&document.root), table(&document.globals)),
        ("{a={b=@$base}}".to_owned(), "{base=1 other=<x>}".to_owned())
    );
}

#[test]
fn byte_order_mark_windows_line_ends_and_tabs_are_accepted() {
    assert_eq!(tree("\u{feff}[a]\r\n\tb:\tx y \t\r\n\tc: \"z\"\r\n"), "{a={b=<x y> c=\"z\"}}");
    let found = faults("\u{feff}a: \"\r\n");
    assert_eq!(found, ["1:4 this text has no closing \""]);
    assert_eq!(faults("\n\u{feff}a: 1"), ["2:1 expected a key, found `\\u{feff}`"]);
}

#[test]
fn a_duplicate_key_is_a_warning_and_duplicate_sections_merge() {
    let document = document("[a]\nb: 1\n[c]\n[a]\nd: 2\nb: 3\n");
    assert_eq!(table(&document.root), "{a={b=3 d=2} c={}}");
    let [fault] = &document.faults[..] else { panic!("{:?}", document.faults) };
    let expected = "a.tsk:6:1: warning: `b` is given twice; this one counts\n  6 | b: 3\n    | ^\n  2 | b: 1\n    | ^ the other one is here";
    assert_eq!(fault.to_string(), expected);
}

#[test]
fn a_key_without_a_value_is_null_and_a_warning() {
    let document = document("a:\nb: # x\nc: {d:\n e:,}");
    assert_eq!(table(&document.root), "{a=null b=null c={d=null e=null}}");
    assert_eq!(document.faults.len(), 4);
    assert!(document.faults.iter().all(|fault| fault.severity() == crate::Severity::Warning));
}

#[test]
fn all_faults_of_a_file_come_out_and_the_rest_is_read() {
    let text = "a: \"x\nb: 1\nc d\n[e f]\ng: 2\n[h]\ni: [1, }\n  j]\nk: @env(1)\nl: 3";
    let found = faults(text);
    let expected = [
        "1:4 this text has no closing \"",
        "3:3 expected `:` or `=` after `c`, found `d`",
        "4:1 `e f` is no name of a section",
        "7:8 expected an entry or `]`, found `}`",
        "9:9 expected the name of a variable",
    ];
    assert_eq!(found, expected);
    assert_eq!(table(&document(text).root), "{a=broken b=1 c=broken h={i=broken k=broken l=3}}");
}

#[test]
fn constructs_that_are_not_read_are_named() {
    let cases = [
        ("- 1\nd: 1", "1:1 an item with a dash belongs to no key"),
        ("a > b\n<\nd: 1", "1:5 a block in angle brackets begins on the next line"),
        (
            "a: npm install && npm test\nd: 1",
            "1:4 this is neither a text nor an expression with `&&`",
        ),
        ("a: is it ok ? yes : no\nd: 1", "1:4 this is neither a text nor an expression with `? :`"),
        ("a: @env(\"X\") ? 1\nd: 1", "1:14 this `?` has no `:`"),
        ("a: \"x\" y\nd: 1", "1:8 expected the end of the value, found `y`"),
        ("a: (1 + 2\nd: 1", "1:4 nothing closes this; expected `)`"),
        ("a: 1 + (2 3)\nd: 1", "1:8 nothing closes this; expected `)`"),
        ("a: <<EOT\nx: 1\nd: 1", "1:4 nothing ends this text; expected a line `EOT`"),
        ("a: <<\nd: 1", "1:4 this heredoc has no lines"),
        ("a: @if(1)\nd: 1", "1:4 @if takes 3 arguments, not 1"),
        ("a: @env.secure(\"X\", \"d\")\nd: 1", "1:21 a secret has no default"),
        ("a: @x.tsk.get(1)\nd: 1", "1:4 expected the path of one key"),
        ("a: [x => 1]\nd: 1", "1:5 `=>` is a script, not configuration; scripts are never run"),
        (
            "a: php(time())\nd: 1",
            "1:4 `php(…)` is a script, not configuration; scripts are never run",
        ),
        (
            "a: @lambda(x)\nd: 1",
            "1:4 `@lambda` is a script, not configuration; scripts are never run",
        ),
        ("a => b\nd: 1", "1:3 `=>` is a script, not configuration; scripts are never run"),
        ("#!api\nd: 1", "1:1 `#!api` is a script, not configuration; scripts are never run"),
        (
            "@foreach(x)\nd: 1",
            "1:1 `@foreach` is a script, not configuration; scripts are never run",
        ),
        ("[[a]]\nd: 1", "1:1 a list of sections `[[…]]` is not supported"),
        ("a: http://#{b}/\nd: 1", "1:4 a text with interpolation needs quotes"),
        ("a: \"#{b c}\"\nd: 1", "1:5 only a name, a path or an expression can be interpolated"),
    ];
    for (text, expected) in cases {
        let found = faults(text);
        assert_eq!(found, [expected], "{text}");
        let kept = table(&document(text).root).contains("d=1");
        assert!(kept || text.starts_with("[[") || text.contains("<<"), "{text}");
    }
}

#[test]
fn a_key_is_either_a_value_or_a_group() {
    assert_eq!(
        faults("[a]\nb: 1\n[a.b]\nc: 2"),
        ["3:1 `b` cannot be both a value and a group of keys"]
    );
}

#[test]
fn nesting_has_a_limit() {
    let deep = |levels: usize| format!("a: {}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(faults(&deep(DEPTH_MAX)), [""; 0]);
    assert_eq!(
        faults(&deep(DEPTH_MAX + 1)),
        [format!("1:{} nested deeper than 64 levels", DEPTH_MAX + 4)]
    );
    let header = format!("[{}a]", "a.".repeat(100_000));
    assert_eq!(faults(&header).len(), 1);
    let key = format!("{}a: 1", "a.".repeat(100_000));
    assert_eq!(faults(&key).len(), 1);
    assert_eq!(faults(&"[".repeat(100_000)).len(), 1);
    assert_eq!(faults(&format!("a: {}", "{a:".repeat(100_000))).len(), 1);
}
