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
                fs::write(&file, before + &fs::read_to_string(&path).unwrap()).unwrap();
            }
        }
    }
    folder
}
// template: end
