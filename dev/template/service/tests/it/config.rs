// template: if template
//! The workspace's settings with those of the template laid over them, as the generator does it.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// A folder with the files of both; sections of one name are one.
pub(crate) fn laid_over() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("config");
    for source in [testkit::config_dir(), template] {
        for entry in fs::read_dir(source).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "tsk") {
                let file = folder.path().join(path.file_name().unwrap());
                let before = fs::read_to_string(&file).unwrap_or_default();
                let more = fs::read_to_string(&path).unwrap();
                fs::write(&file, without_events_of(&before, &more) + &more).unwrap();
            }
        }
    }
    folder
}

/// What stands before, without the lines about events that are told anew: nothing is told twice.
fn without_events_of(before: &str, more: &str) -> String {
    let event =
        |line: &str| line.strip_prefix('"')?.split_once("\": [").map(|(it, _)| it.to_owned());
    let told: Vec<String> = more.lines().filter_map(event).collect();
    let kept = before.lines().filter(|line| !event(line).is_some_and(|it| told.contains(&it)));
    kept.map(|line| format!("{line}\n")).collect::<Vec<_>>().concat()
}
// template: end
