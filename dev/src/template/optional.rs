//! Parts of the template that are there when they are chosen.
//!
//! ```text
//! // template: if events=user
//! …
//! // template: end
//! ```
//!
//! The marks stand in a comment of the file's own, alone on their lines, and are in no copy.

use anyhow::{Result, bail, ensure};

/// The text with what is chosen, and without marks. `chosen`: `events=user` and the like.
pub(super) fn choose(text: &str, chosen: &[String]) -> Result<String> {
    let mut kept = String::with_capacity(text.len());
    let mut open: Option<bool> = None;
    for line in text.split_inclusive('\n') {
        match mark(line) {
            Some(Mark::If(condition)) => {
                ensure!(open.is_none(), "`{condition}` is in another part");
                open = Some(chosen.iter().any(|choice| choice == condition));
            }
            Some(Mark::End) => ensure!(open.take().is_some(), "a part ends that did not begin"),
            Some(Mark::Unknown(words)) => bail!("`template: {words}` is no mark"),
            None if open.unwrap_or(true) => kept.push_str(line),
            None => {}
        }
    }
    ensure!(open.is_none(), "a part does not end");
    Ok(kept)
}

enum Mark<'a> {
    If(&'a str),
    End,
    Unknown(&'a str),
}

fn mark(line: &str) -> Option<Mark<'_>> {
    let line = line.trim();
    let comment = ["//", "#", "--"].iter().find_map(|sign| line.strip_prefix(sign))?;
    let words = comment.trim_start().strip_prefix("template: ")?;
    Some(match words.split_once(' ') {
        Some(("if", condition)) => Mark::If(condition),
        None if words == "end" => Mark::End,
        _ => Mark::Unknown(words),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_chosen_is_left_out_with_all_marks() {
        let text = "a\n  // template: if events=user\n  b\n  // template: end\n# template: if events=payment\nc\n# template: end\nd\n";
        let choose = |chosen: &[&str]| {
            choose(text, &chosen.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
        };
        assert_eq!(choose(&[]), "a\nd\n");
        assert_eq!(choose(&["events=user"]), "a\n  b\nd\n");
        assert_eq!(choose(&["events=payment", "events=user"]), "a\n  b\nc\nd\n");
    }

    #[test]
    fn marks_that_do_not_fit_are_faults() {
        for text in ["// template: if a\n", "-- template: end\n", "# template: els\n"] {
            assert!(choose(text, &[]).is_err(), "{text}");
        }
    }
}
