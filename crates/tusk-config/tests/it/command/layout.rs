//! `tusk fmt`.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::{folder, tusk};

#[test]
fn fmt_changes_files_or_only_names_them() {
    let (folder, path) =
        folder(&[("a.tsk", "a=1;\n"), ("sub/b.tsk", "b: 2\n"), ("c.tsk", "c: \"x\n")]);
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let (code, shown) = tusk(&["fmt", "--check", &path], &[]);
    assert!(code == 1 && shown.contains("a.tsk\n") && !shown.contains("b.tsk"), "{shown}");
    assert_eq!(text("a.tsk"), "a=1;\n");
    let (code, shown) = tusk(&["fmt", &path], &[]);
    assert!(code == 1 && shown.contains("c.tsk:1:4: this text has no closing"), "{shown}");
    assert_eq!((text("a.tsk"), text("c.tsk")), ("a: 1\n".to_owned(), "c: \"x\n".to_owned()));
    fs::remove_file(folder.path().join("c.tsk")).unwrap();
    assert_eq!(tusk(&["fmt", "--check", &path], &[]), (0, String::new()));
    let mut child = Command::new(env!("CARGO_BIN_EXE_tusk"))
        .args(["fmt", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"[a]\nx = 1").unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"[a]\nx: 1\n");
}
