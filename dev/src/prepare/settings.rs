//! The table of variables in the README, made from what the files in `config/` read.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use tusk_config::{variables, variables_table};

use crate::project::Project;

/// The file that has the table.
const README: &str = "README.md";
/// What stands around the table there.
const BEGIN: &str = "<!-- made by `cargo dev prepare` from `tusk env config` -->\n";
const END: &str = "<!-- end of what is made -->";

/// Puts the table into the README, or only tells whether it differs.
pub(super) fn generate(project: &Project, write: bool) -> Result<Vec<PathBuf>> {
    let file = project.path(README);
    let text = fs::read_to_string(&file).with_context(|| format!("read {README}"))?;
    let found = variables([project.path("config")])?;
    let fresh = with_table(&text, &variables_table(&found))?;
    if fresh == text {
        return Ok(Vec::new());
    }
    if write {
        fs::write(&file, fresh).with_context(|| format!("write {README}"))?;
    }
    Ok(vec![file])
}

fn with_table(text: &str, table: &str) -> Result<String> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    match parts {
        Some((before, after)) => Ok(format!("{before}{BEGIN}\n{table}\n{END}{after}")),
        None => bail!("{README} has no place for the table: {}", BEGIN.trim()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_marks_is_replaced() {
        let text = format!("a\n{BEGIN}old\n{END}\nb");
        let once = with_table(&text, "| new |\n").unwrap();
        assert_eq!(once, format!("a\n{BEGIN}\n| new |\n\n{END}\nb"));
        assert_eq!(with_table(&once, "| new |\n").unwrap(), once);
        assert!(with_table("a", "b").is_err());
    }
}
