//! Under which account a server runs. Only PostgreSQL asks: it refuses to run as root.

use std::{
    fs,
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::Path,
    process::Command,
};

use super::{NativeError, error::Doing};

/// An account of this machine that is not root.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// The account PostgreSQL runs under: our own, or that of its package when we are root.
    pub(crate) fn for_postgres() -> Result<Option<Self>, NativeError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self::parse(&accounts, "postgres").map(Some).ok_or_else(|| NativeError::NotFound {
            what: "the account `postgres`",
            help: "PostgreSQL does not run as root: install its package, which makes the account, \
                   or run this as an ordinary user"
                .to_owned(),
        })
    }

    fn parse(accounts: &str, name: &str) -> Option<Self> {
        let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        let line =
            accounts.lines().map(fields).find(|line| line.first().is_some_and(|n| n == name))?;
        Some(Self { uid: line.get(2)?.parse().ok()?, gid: line.get(3)?.parse().ok()? })
    }

    /// Its number.
    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// Runs a command under this account.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Hands a file or folder over to this account.
    pub(crate) fn own(&self, path: &Path) -> Result<(), NativeError> {
        std::os::unix::fs::chown(path, Some(self.uid), Some(self.gid))
            .doing(|| format!("hand {} over", path.display()))
    }

    /// Whether this account may walk through every folder down to `path`, of which the last ones
    /// may not exist yet.
    pub(crate) fn can_enter(&self, path: &Path) -> bool {
        path.ancestors().all(|folder| match fs::metadata(folder) {
            Ok(data) => {
                let mode = data.mode();
                (data.uid() == self.uid && mode & 0o100 != 0)
                    || (data.gid() == self.gid && mode & 0o010 != 0)
                    || mode & 0o001 != 0
            }
            Err(_) => true,
        })
    }
}

/// FNV-1a, 64 bits: a hash that is the same in every build of every version, as a name on disk must
/// be.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_private_home_is_out_of_reach() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account { uid: 4_000_000, gid: 4_000_000 };
        let wanted = home.path().join("project/.dev/postgres");
        assert!(!stranger.can_enter(&wanted));
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert!(stranger.can_enter(&wanted));
    }

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts = "postgresql:x:1:2::/:/bin/sh\npostgres:x:107:114:x:/:/bin/sh\n";
        let account = Account::parse(accounts, "postgres").unwrap();
        assert_eq!((account.uid, account.gid), (107, 114));
    }
}
