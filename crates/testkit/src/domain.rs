//! A service's domain, held to what it may know.

use std::path::Path;

/// What the domain imports none of: web, database, broker, runtime, mail.
const OUTSIDE: [&str; 9] =
    ["axum", "sqlx", "lapin", "tokio", "reqwest", "http", "lettre", "messaging", "chassis"];

/// Fails when `src/domain.rs` or a file of `src/domain/` uses the web, the database, the broker or
/// the runtime; their unit tests may. `package` is the service's folder.
pub fn assert_domain_is_pure(package: &str) {
    let folder = Path::new(package).join("src/domain");
    let entries = std::fs::read_dir(&folder);
    let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    for file in files.chain([folder.with_extension("rs")]) {
        let source = std::fs::read_to_string(&file);
        let source = source.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let source = source.split("#[cfg(test)]").next().unwrap_or_default();
        for outside in OUTSIDE {
            let used = source.contains(&format!("use {outside}"))
                || source.contains(&format!("{outside}::"));
            assert!(!used, "{} uses {outside}", file.display());
        }
    }
}
