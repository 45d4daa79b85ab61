//! Keys as files of one folder: what a mounted Kubernetes secret is, which changes in place.

use std::fs::{self, DirEntry};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use jsonwebtoken::{DecodingKey, EncodingKey};
use tusk_config::Secret;

use super::{Algorithm, Key, KeyError, KeySource, Keys, is_kid, jwks};
use crate::settings::{JwtSecret, KeySettings};

/// The name of `jwt_secret`: before those of all files that are named by a date.
const SECRET_KID: &str = "0";
/// Largest key file, in bytes; an RSA key of 8192 bits has half of it.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// The keys of the settings and of their folder.
#[derive(Clone)]
pub(super) struct Folder {
    algorithm: Algorithm,
    secret: Option<JwtSecret>,
    path: Option<PathBuf>,
}

impl Folder {
    pub(super) fn new(settings: &KeySettings) -> Self {
        Self {
            algorithm: settings.algorithm(),
            secret: settings.secret().cloned(),
            path: settings.rotation().folder().map(Path::to_owned),
        }
    }

    /// Reads all keys. One bad file is an error: a key left out would refuse its tokens.
    pub(super) fn read(&self) -> Result<Keys, KeyError> {
        let mut keys = Keys::none(self.algorithm);
        if let Some(secret) = &self.secret {
            let key = shared(secret.as_bytes(), DateTime::<Utc>::MIN_UTC);
            keys.insert(SECRET_KID.to_owned(), key)?;
        }
        for file in
            self.path.iter().map(|path| files(path)).collect::<Result<Vec<_>, _>>()?.concat()
        {
            let Some(kid) = self.kid(&file) else { continue };
            if self.secret.is_some() && kid == SECRET_KID {
                return Err(fault(&file, "this name is jwt_secret's; take another".to_owned()));
            }
            let key = read(&file).and_then(|(text, written)| self.key(&text, written));
            keys.insert(kid, key.map_err(|reason| fault(&file, reason))?)?;
        }
        if keys.by_kid.values().all(|key| key.sign.is_none()) {
            return Err(KeyError::NoSigner);
        }
        Ok(keys)
    }

    /// The file's key id, when it is a file of ours: `..data` and the like of mounts are not.
    fn kid(&self, file: &Path) -> Option<String> {
        let ending = if self.algorithm.is_shared() { "key" } else { "pem" };
        let kid = file.file_stem()?.to_str().filter(|kid| is_kid(kid))?;
        file.extension().is_some_and(|extension| extension == ending).then(|| kid.to_owned())
    }

    fn key(&self, text: &Secret<String>, written: DateTime<Utc>) -> Result<Key, String> {
        let text = text.expose();
        match self.algorithm {
            Algorithm::Hs256 => {
                let secret = JwtSecret::try_from(text.trim_end().to_owned())?;
                Ok(shared(secret.as_bytes(), written))
            }
            Algorithm::EdDsa | Algorithm::Rs256 => pair(self.algorithm, text, written)
                .ok_or_else(|| format!("not a PKCS#8 key for {:?} in PEM", self.algorithm.jwt())),
        }
    }
}

impl KeySource for Folder {
    fn load(&self) -> BoxFuture<'_, Result<Keys, KeyError>> {
        let folder = self.clone();
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(move || folder.read()).await;
            read.unwrap_or_else(|_| Err(KeyError::Remote("the process ends".to_owned())))
        })
    }
}

fn shared(secret: &[u8], written: DateTime<Utc>) -> Key {
    let verify = DecodingKey::from_secret(secret);
    let sign = EncodingKey::from_secret(secret);
    Key::new(verify, Some(sign), written)
}

/// A private key with its public half, or a public key alone.
fn pair(algorithm: Algorithm, pem: &str, written: DateTime<Utc>) -> Option<Key> {
    let bytes = pem.as_bytes();
    let sign = pem.contains("PRIVATE KEY").then(|| match algorithm {
        Algorithm::Rs256 => EncodingKey::from_rsa_pem(bytes).ok(),
        _ => EncodingKey::from_ed_pem(bytes).ok(),
    });
    let verify = match &sign {
        Some(sign) => jwks::public_half(algorithm, sign.as_ref()?)?,
        None if algorithm == Algorithm::Rs256 => DecodingKey::from_rsa_pem(bytes).ok()?,
        None => DecodingKey::from_ed_pem(bytes).ok()?,
    };
    jwks::is_strong(algorithm, &verify).then(|| Key::new(verify, sign.flatten(), written))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, KeyError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<DirEntry>>>);
    let entries = entries.map_err(|error| fault(folder, error.to_string()))?;
    Ok(entries.iter().map(DirEntry::path).filter(|path| path.is_file()).collect())
}

fn read(file: &Path) -> Result<(Secret<String>, DateTime<Utc>), String> {
    let read = || -> io::Result<_> {
        let file = fs::File::open(file)?;
        let written = file.metadata()?.modified()?;
        let mut text = String::new();
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
        // Some editors write a byte order mark; it is no part of a key.
        if text.starts_with('\u{feff}') {
            text.remove(0);
        }
        Ok((Secret::from(text), written.into()))
    };
    let (text, written) = read().map_err(|error| error.to_string())?;
    let fits = u64::try_from(text.expose().len()).is_ok_and(|length| length <= FILE_BYTES_MAX);
    if fits { Ok((text, written)) } else { Err("too large for a key".to_owned()) }
}

fn fault(file: &Path, reason: String) -> KeyError {
    KeyError::File { file: file.display().to_string(), reason }
}
