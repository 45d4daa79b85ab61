use super::{faults, tree};

#[test]
fn an_indented_block_is_a_group() {
    assert_eq!(tree("a:\n  b: 1\n  c:\n    d: 2\n\n  e: 3\nf: 4"), "{a={b=1 c={d=2} e=3} f=4}");
    assert_eq!(tree("[s]\n  a:\n    b: 1\n  c: 2\n[t]\nx: 1"), "{s={a={b=1} c=2} t={x=1}}");
    assert_eq!(tree("a: # why\n\n  # what\n  b: 1\n# end\nc: 2"), "{a={b=1} c=2}");
    assert_eq!(tree("\u{feff}a:\r\n\tb: 1\r\n\tc: 2\r\nd: 3"), "{a={b=1 c=2} d=3}");
    assert_eq!(tree("$a:\n b: 1\nc: $a.b"), "{c=@$a.b}");
}

#[test]
fn an_object_may_hold_indented_blocks() {
    assert_eq!(tree("a {\n  b:\n    c: 1\n  d: 2\n}\ne: 3"), "{a={b={c=1} d=2} e=3}");
    assert_eq!(tree("a: {\n  b:\n    - 1\n    - 2\n  d: 2\n}"), "{a={b=[1 2] d=2}}");
}

#[test]
fn a_list_with_dashes() {
    assert_eq!(
        tree("a:\n  - 1\n  - two words\n  - \"x\" # c\nb: 2"),
        "{a=[1 <two words> \"x\"] b=2}"
    );
    assert_eq!(tree("a:\n- 1\n\n- 2\nb: 2"), "{a=[1 2] b=2}");
    assert_eq!(tree("a:\n  -\n    <<E\n x\nE\n  - 2"), "{a=[\" x\" 2]}");
    assert_eq!(tree("a:\n  - - 1\n    - 2\n  - [3]\n  - {x: 4}"), "{a=[[1 2] [3] {x=4}]}");
    assert_eq!(tree("a:\n  - http://x/y\n  - 10:30\n  - k:v"), "{a=[<http://x/y> <10:30> <k:v>]}");
    assert_eq!(tree("a:\n  - -5\n  - --flag\n  - a - b"), "{a=[-5 <--flag> <a - b>]}");
}

#[test]
fn an_item_with_a_key_is_a_group() {
    assert_eq!(
        tree("a:\n  - name: x\n    port: 1\n  - name: y\n    in:\n      z: 2\nb: 3"),
        "{a=[{name=<x> port=1} {name=<y> in={z=2}}] b=3}"
    );
    assert_eq!(tree("a:\n  -\n    name: x\n    port: 1\n  - 2"), "{a=[{name=<x> port=1} 2]}");
    assert_eq!(tree("a:\n  - name:\n      x: 1\n    port = 2"), "{a=[{name={x=1} port=2}]}");
}

#[test]
fn angle_brackets_enclose_entries_on_lines_and_nest() {
    assert_eq!(
        tree("a >\n  b: 1\n  c >\n    d: x < y\n  <\n  e: 2\n<\nf: 3"),
        "{a={b=1 c={d=<x < y>} e=2} f=3}"
    );
    assert_eq!(tree("a > # c\n< # d\nb: 1"), "{a={} b=1}");
    assert_eq!(faults("a >\n b: 1\n"), ["1:3 nothing closes this; expected `<`"]);
}

#[test]
fn a_heredoc_is_taken_as_it_stands() {
    assert_eq!(tree("a: <<EOT\nx: #{y}\n  z\nEOT\nb: 1"), r#"{a="x: #{y}\n  z" b=1}"#);
    assert_eq!(tree("a: <<<\none\n>>>\nb: 1"), "{a=\"one\" b=1}");
    assert_eq!(tree("a: <<<SQL\n  select\n    1\n  SQL\n"), "{a=\"select\\n  1\"}");
    assert_eq!(tree("a: <<'EOT'\nx\nEOT\nb: [<<E\n1\nE\n 2]"), "{a=\"x\" b=[\"1\" 2]}");
    assert_eq!(tree("a: <<EOT\r\nx\r\ny\r\nEOT\r\nb: 1"), "{a=\"x\\ny\" b=1}");
    assert_eq!(tree("a: <<EOT\nEOT\n"), "{a=\"\"}");
}

#[test]
fn a_typed_entry_keeps_its_type() {
    assert_eq!(
        tree("a: int = 5\nb: string = x y\nc: list = [1]\nd: { e: bool = true }"),
        "{a=Int:5 b=Text:<x y> c=List:[1] d={e=Bool:true}}"
    );
    assert_eq!(tree("a: int\nb: integers = 5"), "{a=<int> b=<integers = 5>}");
}

#[test]
fn a_fault_in_a_block_leaves_the_rest_of_it() {
    assert_eq!(
        faults("a:\n  b: \"x\n  c: 1\n  - 2\nd: [1\ne: 2\n"),
        [
            "2:6 this text has no closing \"",
            "4:3 an item with a dash belongs to no key",
            "5:4 nothing closes this; expected `]`"
        ]
    );
}
