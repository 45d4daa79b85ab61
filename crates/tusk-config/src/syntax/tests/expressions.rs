use super::{DEPTH_MAX, faults, tree};

/// The tree of one value.
fn value(text: &str) -> String {
    let tree = tree(&format!("v: {text}"));
    tree[3..tree.len() - 1].to_owned()
}

#[test]
fn operators_bind_as_everywhere() {
    assert_eq!(value("1 + 2 * 3"), "(Plus 1 (Times 2 3))");
    assert_eq!(value("1 - 2 - 3"), "(Minus (Minus 1 2) 3)");
    assert_eq!(value("(1 + 2) * 3"), "(Times (Plus 1 2) 3)");
    assert_eq!(value("$a + 1 > 2 && !$b || $c"), "(Or (And (Greater (Plus @$a 1) 2) (! @$b)) @$c)");
    assert_eq!(value("@env(\"A\") ?? $b | \"c\""), "(Default (Default env(A ) @$b) \"c\")");
    assert_eq!(value("-$a * -(2)"), "(Times (- @$a) (- 2))");
}

#[test]
fn a_ternary_chooses_and_nests_to_the_right() {
    assert_eq!(value("$a == 1 ? \"x\" : y"), "(? (Equal @$a 1) \"x\" <y>)");
    assert_eq!(value("$a ? 1 : $b ? 2 : 3"), "(? @$a 1 (? @$b 2 3))");
    assert_eq!(value("$a ? [1, 2] : {b: 3}"), "(? @$a [1 2] {b=3})");
    assert_eq!(tree("a: {b: $x ? 1 : 2, c: 3}"), "{a={b=(? @$x 1 2) c=3}}");
    assert_eq!(value("env == \"prod\" ? 8 : 2"), "(? (Equal <env> \"prod\") 8 2)");
    assert_eq!(value("[$x ? 1 : 2, 3 + 4]"), "[(? @$x 1 2) (Plus 3 4)]");
}

#[test]
fn what_only_looks_like_an_expression_is_a_text() {
    let texts = [
        "0 5 * * *",
        "*/5 * * * *",
        "5 * * * *",
        "a - b",
        "a + b",
        "-v --flag",
        "50 % off",
        "5 / day",
        "what ? else",
        "!important",
        "$5.00",
        "$HOME/bin",
        "John & Co",
        "a | b",
        "x < y",
        "a/b",
        "#x#",
        "http://x?a=b&c=d",
        "a=b",
        "a==b",
        "2 cups",
        "1 - one",
    ];
    for text in texts.iter().filter(|text| !text.starts_with('#')) {
        assert_eq!(value(text), format!("<{text}>"), "{text}");
    }
}

#[test]
fn references_of_every_kind() {
    assert_eq!(value("@server.host"), "@server.host");
    assert_eq!(value("$server.host"), "@$server.host");
    assert_eq!(value("@db.main.tsk.get(\"a.b\")"), "@db.main.tsk.get(a.b)");
    assert_eq!(value("@if(@a.b == 1, x, \"y\")"), "@if((Equal @a.b 1) <x> \"y\")");
    assert_eq!(value("@cache(\"5m\", @env.X)"), "@cache(\"5m\" env(X ))");
}

#[test]
fn interpolation_takes_expressions_over_names() {
    assert_eq!(value(r##""#{a | "x"}""##), r#"#{(Default @a "x")}"#);
    assert_eq!(value(r#""${a.b|c}""#), "#{(Default @a.b @c)}");
    assert_eq!(value(r##""#{a ?? 5} #{$b ? 1 : 2}""##), r##"#{(Default @a 5)}" "#{(? @$b 1 2)}"##);
    assert_eq!(value("\"${A | b}\""), "#{(Default @A @b)}");
}

#[test]
fn expressions_have_limits() {
    let long = |count: usize| format!("a: 1{}", " + 1".repeat(count));
    assert_eq!(faults(&long(DEPTH_MAX)), [""; 0]);
    assert_eq!(faults(&long(DEPTH_MAX + 1)), ["1:262 more than 64 operators in one expression"]);
    for text in ["$x ? ", "(", "!!", "-(", "@if(", "#{\"#{", "[(", "1 + ("] {
        let found = faults(&format!("a: {}", text.repeat(100_000)));
        assert_eq!(found.len(), 1, "{text}: {found:?}");
    }
}
