//! The table of settings that no variable changes, for whoever looks for one by its name.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tusk_config::outline;

/// Sections whose keys are names of queues, events or routes.
const OF_NAMES: [&str; 5] = ["exchanges", "policy", "queues", "rate_limit.routes", "subscriptions"];

/// A row for each setting, with the files that have it.
pub(super) fn table(config: &Path) -> Result<String> {
    let entries = fs::read_dir(config).with_context(|| format!("read {}", config.display()))?;
    let entries = entries.collect::<Result<Vec<_>, _>>().context("read a settings file")?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "tsk"));
    files.sort();
    // By what a row says, each file once.
    let mut rows: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for row in fixed(&name, &text)? {
            rows.entry(row).or_default().push(name.clone());
        }
    }
    let rows = rows.into_iter().map(|((setting, value), files)| {
        format!("| `{setting}` | `{value}` | {} |\n", files.join(", "))
    });
    Ok("| setting | value | in |\n|---|---|---|\n".to_owned() + &rows.collect::<String>())
}

/// The settings of a file that say their value themselves.
fn fixed(name: &str, text: &str) -> Result<Vec<(String, String)>> {
    let mut fixed = Vec::new();
    for section in outline(name, text)? {
        let kind = section.name.split('.').next().unwrap_or_default();
        if OF_NAMES.contains(&kind) || OF_NAMES.contains(&section.name.as_str()) {
            continue;
        }
        for entry in section.parts {
            let value = text[entry.span.clone()].split_once(':').map_or("", |(_, value)| value);
            if !value.contains(['@', '$', '#']) {
                let value = value.trim().trim_matches('"').replace('|', "\\|");
                fixed.push((format!("{}.{}", section.name, entry.name), value));
            }
        }
    }
    Ok(fixed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_a_variable_changes_or_only_names_something_is_no_row() {
        let config = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(config.path().join(name), text).unwrap();
        let server = "[server]\nport: @env(\"PORT\", 1)\n# Bytes.\nbody_limit: 64\nwait: \"5s\"\n";
        write("a.tsk", &format!("{server}[policy.a]\n\"GET /a\": user\n[queues]\nb: c\n"));
        write("b.tsk", &format!("{server}again: @server.wait\ndelays: [\"1s\", \"2s\"]\n"));
        assert_eq!(
            table(config.path()).unwrap(),
            "| setting | value | in |\n|---|---|---|\n\
             | `server.body_limit` | `64` | a, b |\n\
             | `server.delays` | `[\"1s\", \"2s\"]` | b |\n\
             | `server.wait` | `5s` | a, b |\n"
        );
    }
}
