//! Where the servers' binaries are. Debian keeps PostgreSQL's and RabbitMQ's real ones off the
//! PATH.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::NativeError;

/// The binaries found on this machine.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The folder with `postgres`, `initdb` and `psql`.
    pub postgres: Option<PathBuf>,
    /// `redis-server` or `valkey-server`.
    pub redis: Option<PathBuf>,
    /// The package's own `rabbitmq-server` script; Erlang is there too.
    pub rabbitmq: Option<PathBuf>,
    /// `etcd`.
    pub etcd: Option<PathBuf>,
    /// `prometheus`.
    pub prometheus: Option<PathBuf>,
    /// `pgbouncer`.
    pub pgbouncer: Option<PathBuf>,
    /// `chromedriver`, which drives Chromium.
    pub chromedriver: Option<PathBuf>,
    /// `wrk`, which loads HTTP servers.
    pub wrk: Option<PathBuf>,
}

impl Found {
    /// The servers that were not found, by the names of their Debian packages.
    pub fn missing(&self) -> Vec<&'static str> {
        [
            ("postgresql", self.postgres.is_some()),
            ("redis-server", self.redis.is_some()),
            ("rabbitmq-server", self.rabbitmq.is_some()),
            ("etcd-server", self.etcd.is_some()),
            ("prometheus", self.prometheus.is_some()),
            ("pgbouncer", self.pgbouncer.is_some()),
            ("chromium-driver", self.chromedriver.is_some()),
            ("wrk", self.wrk.is_some()),
        ]
        .into_iter()
        .filter_map(|(package, is_there)| (!is_there).then_some(package))
        .collect()
    }
}

/// Looks for all of them.
pub fn find() -> Found {
    Found {
        postgres: postgres().ok(),
        redis: redis().ok(),
        rabbitmq: rabbitmq().ok(),
        etcd: etcd().ok(),
        prometheus: prometheus().ok(),
        pgbouncer: pgbouncer().ok(),
        chromedriver: on_path("chromedriver"),
        wrk: on_path("wrk"),
    }
}

/// The folder of PostgreSQL's binaries; the newest version when there are several.
pub fn postgres() -> Result<PathBuf, NativeError> {
    let is_complete = |folder: &PathBuf| {
        ["postgres", "initdb", "psql"].iter().all(|program| is_program(&folder.join(program)))
    };
    let mut folders = versions("/usr/lib/postgresql", "", "bin");
    folders.extend(versions("/opt/homebrew/opt", "postgresql@", "bin"));
    folders.extend(on_path("postgres").and_then(|path| Some(path.parent()?.to_owned())));
    folders.into_iter().find(is_complete).ok_or_else(|| NativeError::NotFound {
        what: "PostgreSQL's server",
        help: "looked in /usr/lib/postgresql/*/bin and in PATH for postgres, initdb and psql"
            .to_owned(),
    })
}

/// The Redis server, or Valkey, which speaks the same protocol.
pub fn redis() -> Result<PathBuf, NativeError> {
    on_path("redis-server").or_else(|| on_path("valkey-server")).ok_or_else(|| {
        NativeError::NotFound {
            what: "the Redis server",
            help: "looked in PATH for redis-server and valkey-server".to_owned(),
        }
    })
}

/// RabbitMQ's own server script. What Debian puts on the PATH is a wrapper that changes user.
pub fn rabbitmq() -> Result<PathBuf, NativeError> {
    let mut scripts = versions("/usr/lib/rabbitmq/lib", "rabbitmq_server-", "sbin");
    scripts.extend(["/opt/rabbitmq/sbin", "/opt/homebrew/opt/rabbitmq/sbin"].map(PathBuf::from));
    scripts.extend(on_path("rabbitmq-server").and_then(|path| {
        let real = fs::canonicalize(path).ok()?;
        Some(real.parent()?.to_owned())
    }));
    let is_own = |folder: &PathBuf| {
        is_program(&folder.join("rabbitmq-server")) && folder.join("../plugins").is_dir()
    };
    let folder = scripts.into_iter().find(is_own).ok_or_else(|| NativeError::NotFound {
        what: "RabbitMQ's server",
        help: "looked in /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin and in PATH".to_owned(),
    })?;
    if on_path("erl").is_none() {
        return Err(NativeError::NotFound {
            what: "Erlang",
            help: "RabbitMQ needs `erl` in PATH".to_owned(),
        });
    }
    Ok(folder.join("rabbitmq-server"))
}

/// The etcd server.
pub fn etcd() -> Result<PathBuf, NativeError> {
    on_path("etcd").ok_or_else(|| NativeError::NotFound {
        what: "the etcd server",
        help: "looked in PATH for etcd; Debian's package is etcd-server".to_owned(),
    })
}

/// The Prometheus server.
pub fn prometheus() -> Result<PathBuf, NativeError> {
    on_path("prometheus").ok_or_else(|| NativeError::NotFound {
        what: "Prometheus",
        help: "looked in PATH for prometheus; Debian's package has that name".to_owned(),
    })
}

/// The `PgBouncer` pooler. Debian puts it where only root's PATH leads.
pub fn pgbouncer() -> Result<PathBuf, NativeError> {
    let debian = PathBuf::from("/usr/sbin/pgbouncer");
    let found = on_path("pgbouncer").or_else(|| is_program(&debian).then_some(debian));
    found.ok_or_else(|| NativeError::NotFound {
        what: "PgBouncer",
        help: "looked in PATH and /usr/sbin for pgbouncer; Debian's package has that name"
            .to_owned(),
    })
}

/// The Consul agent that `CONSUL_BIN` names. Distributions no longer have one, so nothing else is
/// looked for: a test of it is asked for.
pub fn consul() -> Result<PathBuf, NativeError> {
    let named = env::var_os("CONSUL_BIN").map(PathBuf::from);
    named.filter(|path| is_program(path)).ok_or_else(|| NativeError::NotFound {
        what: "the Consul agent",
        help: "set CONSUL_BIN to its path".to_owned(),
    })
}

/// Erlang's port mapper, which is on the PATH or beside the virtual machine.
pub(crate) fn epmd() -> Result<PathBuf, NativeError> {
    let beside = on_path("erl").and_then(|erl| {
        let real = fs::canonicalize(erl).ok()?;
        Some(real.with_file_name("epmd"))
    });
    on_path("epmd").or(beside.filter(|path| is_program(path))).ok_or_else(|| {
        NativeError::NotFound {
            what: "epmd",
            help: "it is part of Erlang; looked in PATH and beside erl".to_owned(),
        }
    })
}

/// A program in PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    env::split_paths(&paths).map(|folder| folder.join(program)).find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// `<base>/<prefix><version>/<inner>` for every version there is, the newest first.
fn versions(base: &str, prefix: &str, inner: &str) -> Vec<PathBuf> {
    let Ok(items) = fs::read_dir(base) else {
        return Vec::new();
    };
    let mut found: Vec<(Vec<u32>, PathBuf)> = items
        .filter_map(|item| {
            let item = item.ok()?;
            let name = item.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?;
            let numbers = version.split('.').map_while(|part| part.parse().ok()).collect();
            Some((numbers, item.path().join(inner)))
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first_by_number_not_by_letter() {
        let base = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "17"] {
            fs::create_dir_all(base.path().join(version)).unwrap();
        }
        let found = versions(base.path().to_str().unwrap(), "", "bin");
        let names: Vec<_> =
            found.iter().map(|path| path.strip_prefix(base.path()).unwrap()).collect();
        assert_eq!(names, ["17/bin", "15/bin", "9.6/bin"].map(Path::new));
    }

    #[test]
    fn what_is_missing_is_named_by_its_package() {
        let found = Found { redis: Some("redis-server".into()), ..Found::default() };
        let missing = [
            "postgresql",
            "rabbitmq-server",
            "etcd-server",
            "prometheus",
            "pgbouncer",
            "chromium-driver",
            "wrk",
        ];
        assert_eq!(found.missing(), missing);
    }
}
