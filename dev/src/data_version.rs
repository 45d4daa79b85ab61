//! Whether the data under `.dev` is of the servers that this machine has. A server of another major
//! version refuses it, some of them in the words of a stack trace.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use testkit::native::{ELSEWHERE, find};

use crate::programs;

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

/// The first version that had a feature flag. What a node has enabled stands in the file
/// `<node>-feature_flags` of its data; no other file tells its version.
const FLAGS: [(&str, Version); 14] = [
    ("quorum_queue", (3, 8)),
    ("stream_queue", (3, 9)),
    ("classic_queue_type_delivery_support", (3, 11)),
    ("direct_exchange_routing_v2", (3, 11)),
    ("feature_flags_v2", (3, 11)),
    ("stream_single_active_consumer", (3, 11)),
    ("restart_streams", (3, 12)),
    ("stream_sac_coordinator_unblock_group", (3, 12)),
    ("message_containers", (3, 13)),
    ("quorum_queue_non_voters", (3, 13)),
    ("stream_filtering", (3, 13)),
    ("'rabbitmq_4.0.0'", (4, 0)),
    ("'rabbitmq_4.1.0'", (4, 1)),
    ("'rabbitmq_4.2.0'", (4, 2)),
];
/// The last one before 4.0, whose flags 4.0 needs.
const LAST_OF_3: Version = (3, 13);

/// Major and minor.
type Version = (u32, u32);

/// RabbitMQ's data in `folder`, beside a server of this version. It never goes back to an earlier one,
/// and to 4 from 3.13 alone.
pub(crate) fn rabbitmq(folder: &Path, version: Option<&str>) -> Option<Mismatch> {
    let mut numbers = version?.split('.').map_while(|number| number.parse().ok());
    let server: Version = (numbers.next()?, numbers.next()?);
    let items = fs::read_dir(folder.join("data")).ok()?.flatten();
    let flags = items.filter_map(|item| {
        let is_flags = item.file_name().to_str()?.ends_with("-feature_flags");
        is_flags.then(|| fs::read_to_string(item.path()).ok())?
    });
    let data = flags.filter_map(|text| data_version(&text)).max()?;
    let is_fit = data <= server && (server.0 == data.0 || (server.0 == 4 && data >= LAST_OF_3));
    let shown = |(major, minor): Version| format!("{major}.{minor}");
    (!is_fit).then(|| Mismatch {
        what: format!(
            "the data in {} is not compatible with this version of RabbitMQ: its feature flags are those of {}, and \
             this machine has {}",
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

/// The lowest version that has all of these flags.
fn data_version(flags: &str) -> Option<Version> {
    let names: Vec<&str> = flags.split(|sign: char| "[], \n\t".contains(sign)).collect();
    let of_known = FLAGS.iter().filter(|(flag, _)| names.contains(flag));
    of_known.map(|(_, version)| *version).max()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const OF_3_10: &str = "[classic_mirrored_queue_version,drop_unroutable_metric,empty_basic_get_metric,\n \
        implicit_default_bindings,maintenance_mode_status,quorum_queue,stream_queue,\n user_limits].\n";

    fn rabbitmq_of(flags: &str, server: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("data/node@localhost-feature_flags"), flags).unwrap();
        rabbitmq(folder.path(), Some(server)).is_none()
    }

    #[test]
    fn a_broker_goes_on_and_never_back() {
        let of_3_13 = "[quorum_queue,stream_queue,message_containers].";
        let of_4_0 = "[quorum_queue,'rabbitmq_4.0.0'].";
        for (flags, server, is_fit) in [
            (OF_3_10, "3.10.8", true),
            (OF_3_10, "3.13.1", true),
            (OF_3_10, "4.0.2", false),
            (of_3_13, "3.13.7", true),
            (of_3_13, "4.1.0", true),
            (of_3_13, "3.10.8", false),
            (of_4_0, "4.0.2", true),
            (of_4_0, "3.13.7", false),
            ("[].", "4.0.2", true),
        ] {
            assert_eq!(rabbitmq_of(flags, server), is_fit, "{flags} with {server}");
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
