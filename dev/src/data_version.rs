//! Whether the data under `.dev` is of the servers that this machine has. A server of another major
//! version refuses it, some of them in the words of a stack trace.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use testkit::native::{ELSEWHERE, find};

use crate::{private, programs};

/// Data that a server cannot go on with.
#[derive(Debug)]
pub(crate) struct Mismatch {
    /// What it is, and what would be needed.
    pub(crate) what: String,
    /// What can be done, in one line.
    pub(crate) mend: String,
}

/// The major version of PostgreSQL that this machine has.
pub(crate) fn postgres_version() -> Option<String> {
    let binary = find::postgres().ok()?.join("postgres");
    // `postgres (PostgreSQL) 15.18 (Debian 15.18-1)`
    let said = programs::says(Command::new(binary).arg("--version"))?;
    said.split_whitespace().nth(2).map(str::to_owned)
}

/// The version of RabbitMQ that this machine has, by the name of its own plugin.
pub(crate) fn rabbitmq_version() -> Option<String> {
    let plugins = find::rabbitmq().ok()?.parent()?.join("../plugins");
    let mut names = fs::read_dir(plugins)
        .ok()?
        .flatten()
        .filter_map(|item| item.file_name().into_string().ok());
    let version = |name: String| {
        let version = name.strip_prefix("rabbit-")?.trim_end_matches(".ez").to_owned();
        version.starts_with(|first: char| first.is_ascii_digit()).then_some(version)
    };
    names.find_map(version)
}

/// PostgreSQL's data in `folder`, beside a server of this version.
pub(crate) fn postgres(folder: &Path, version: Option<&str>) -> Option<Mismatch> {
    let elsewhere = fs::read_to_string(folder.join(ELSEWHERE)).ok();
    let place = elsewhere.map_or_else(|| folder.to_owned(), |path| PathBuf::from(path.trim()));
    let data = fs::read_to_string(place.join("data/PG_VERSION")).ok()?;
    let data = data.trim();
    let server = version?.split('.').next()?;
    (data != server).then(|| Mismatch {
        what: format!(
            "the data in {} is not compatible with this version of PostgreSQL: it is of {data}, and this machine \
             has {server}",
            place.display()
        ),
        mend: format!(
            "to keep it, install PostgreSQL {data}, start that on it and dump it; to begin anew, delete {}",
            folder.display()
        ),
    })
}

/// Beside RabbitMQ's data: the version of the last server that answered on it, which no file of its own tells.
const LAST: &str = "data/version";
/// The last one before 4.0, of whose data 4.0 makes its own.
const LAST_OF_3: Version = (3, 13);

/// Major and minor.
type Version = (u32, u32);

/// Notes that this machine's RabbitMQ has the data in `folder` now.
pub(crate) fn note_rabbitmq(folder: &Path) -> Result<()> {
    let version = rabbitmq_version().unwrap_or_default();
    private::write_text(&folder.join(LAST), &version)
}

/// RabbitMQ's data in `folder`, beside a server of this version. It never goes back to an earlier one,
/// and to 4 from 3.13 alone.
pub(crate) fn rabbitmq(folder: &Path, version: Option<&str>) -> Option<Mismatch> {
    let server = parse(version?)?;
    let data = parse(&fs::read_to_string(folder.join(LAST)).ok()?)?;
    let is_fit = data <= server && (server.0 == data.0 || (server.0 == 4 && data >= LAST_OF_3));
    let shown = |(major, minor): Version| format!("{major}.{minor}");
    (!is_fit).then(|| Mismatch {
        what: format!(
            "the data in {} is not compatible with this version of RabbitMQ: it is of {}, and this machine has {}",
            folder.display(),
            shown(data),
            shown(server)
        ),
        mend: format!(
            "to keep its messages, install RabbitMQ {} and drain the queues; to begin anew, delete {}",
            shown(data),
            folder.display()
        ),
    })
}

fn parse(version: &str) -> Option<Version> {
    let mut numbers = version.trim().split('.').map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_goes_on_and_never_back() {
        let folder = tempfile::tempdir().unwrap();
        let is_fit = |server| rabbitmq(folder.path(), Some(server)).is_none();
        assert!(is_fit("4.0.2"), "there is no data");
        fs::create_dir(folder.path().join("data")).unwrap();
        for (data, server, expected) in [
            ("3.10.8", "3.10.2", true),
            ("3.10.8", "3.13.1", true),
            ("3.10.8", "4.0.2", false),
            ("3.13.7", "4.1.0", true),
            ("3.13.7", "3.10.8", false),
            ("4.0.2", "3.13.7", false),
            ("4.2.1", "4.1.0", false),
            ("", "4.0.2", true),
        ] {
            fs::write(folder.path().join(LAST), data).unwrap();
            assert_eq!(is_fit(server), expected, "{data} with {server}");
        }
    }

    #[test]
    fn a_cluster_of_another_major_version_is_distinguished_from_its_own() {
        let folder = tempfile::tempdir().unwrap();
        assert!(postgres(folder.path(), Some("15.18")).is_none(), "there is none");
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("data/PG_VERSION"), "14\n").unwrap();
        let mismatch = postgres(folder.path(), Some("15.18")).unwrap();
        assert!(
            mismatch.what.contains("it is of 14, and this machine has 15"),
            "{}",
            mismatch.what
        );
        assert!(mismatch.mend.contains(&format!("delete {}", folder.path().display())));
        assert!(postgres(folder.path(), Some("14.2")).is_none());

        // Where the server's account cannot get in, the data lies in another folder.
        let own = tempfile::tempdir().unwrap();
        fs::write(own.path().join(ELSEWHERE), folder.path().display().to_string()).unwrap();
        assert!(postgres(own.path(), Some("15.18")).is_some());
    }
}
