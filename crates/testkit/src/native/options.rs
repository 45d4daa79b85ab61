//! Where a server lives: its folder, its log, the port it would like, and whether its data is kept.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::{NativeError, Owner, error::Doing};

/// Where and how a server is to run.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Data, settings and password; made when absent.
    pub folder: PathBuf,
    /// The server's output.
    pub log: PathBuf,
    /// The port it listens on when nobody else does; otherwise, and when none is given, a free one.
    pub port: Option<u16>,
    /// Data that is kept is written safely and survives the server. Otherwise speed goes first (no
    /// fsync), and the folder is removed with the server.
    pub keep: bool,
}

impl ServerOptions {
    /// Data is kept under `folder`; the log is `server.log` in it.
    pub fn kept(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { log: folder.join("server.log"), folder, port: None, keep: true }
    }

    /// Data is thrown away, with `folder`, when the server is dropped.
    pub fn thrown_away(folder: impl Into<PathBuf>) -> Self {
        Self { keep: false, ..Self::kept(folder) }
    }

    /// A fresh folder among the system's temporary ones, thrown away with the server.
    pub fn temporary() -> Result<Self, NativeError> {
        let folder = tempfile::Builder::new()
            .prefix("testkit-")
            // A server under another account has to get in.
            .permissions(fs::Permissions::from_mode(0o711))
            .tempdir()
            .doing(|| "make a temporary folder".to_owned())?;
        Ok(Self::thrown_away(folder.keep()))
    }

    /// The same place with a preferred port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// The same place with its log elsewhere.
    #[must_use]
    pub fn log(mut self, log: impl Into<PathBuf>) -> Self {
        self.log = log.into();
        self
    }

    /// Makes the folder, and takes it for the server of this name.
    pub(crate) fn claim(&self, name: &str) -> Result<Owner, NativeError> {
        Owner::of_data(&self.folder, name)
    }
}

/// The password in `folder`, made up on the first call: it belongs to the data beside it, which
/// knows no other.
pub(crate) fn password(folder: &Path) -> Result<String, NativeError> {
    let file = folder.join("password");
    let mut options = fs::File::options();
    let mut known = String::new();
    let read = options.read(true).custom_flags(no_link()).open(&file);
    if read.is_ok_and(|mut file| file.read_to_string(&mut known).is_ok()) && !known.is_empty() {
        return Ok(known);
    }
    let password = random_hex(16)?;
    write_private(&file, &password)?;
    Ok(password)
}

/// Writes a file that only its owner reads, and not what a link of that name leads to.
pub(crate) fn write_private(file: &Path, text: &str) -> Result<(), NativeError> {
    let write = || {
        let mut options = fs::File::options();
        options.write(true).create(true).truncate(true).mode(0o600).custom_flags(no_link());
        let mut handle = options.open(file)?;
        handle.set_permissions(fs::Permissions::from_mode(0o600))?;
        handle.write_all(text.as_bytes())
    };
    write().doing(|| format!("write {}", file.display()))
}

fn no_link() -> i32 {
    OFlags::NOFOLLOW.bits().cast_signed()
}

/// `bytes` random bytes as hexadecimal digits, good enough for a secret.
pub fn random_hex(bytes: usize) -> Result<String, NativeError> {
    use std::fmt::Write as _;

    let mut random = vec![0; bytes];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .doing(|| "read /dev/urandom".to_owned())?;
    Ok(random.iter().fold(String::new(), |mut text, byte| {
        let _never_fails = write!(text, "{byte:02x}");
        text
    }))
}
