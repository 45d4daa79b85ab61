//! Where PostgreSQL's data lies: a folder that is ours, so that nobody else can have planted what is
//! read from it, with one inside for the server's account.
//!
//! As root the server runs under an account that may not walk through a private home. Then the folder
//! lies outside, and the place has a note of where. Data that is kept goes to `/var/lib`, where only
//! root makes folders. What is thrown away gets a new folder of a random name each time, because the
//! system's temporary folder is everybody's.

use std::{
    env,
    fs::{self, DirBuilder},
    io::{Error, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, open},
    process::{getegid, geteuid},
};

use super::{
    NativeError, Owner, ServerOptions,
    account::{Account, fnv1a},
    error::Doing,
};

/// In a server's folder, the file that names the folder of its data when that is another one.
pub(crate) const ELSEWHERE: &str = "data-is-elsewhere";
/// How the names of folders outside begin.
const PREFIX: &str = "testkit-postgres-";
/// Where root alone makes folders.
const KEPT_OUTSIDE: &str = "/var/lib";
const STICKY: u32 = 0o1000;

/// The folder for the data of a place: its own, when the account can enter that.
pub(crate) fn of_place(
    options: &ServerOptions,
    account: Option<&Account>,
    name: &str,
) -> Result<PathBuf, NativeError> {
    fs::create_dir_all(&options.folder).doing(|| format!("make {}", options.folder.display()))?;
    let parent = options.folder.parent().unwrap_or(&options.folder);
    let folder = match account.filter(|account| !account.can_enter(parent)) {
        None => {
            make_private(&options.folder, account)?;
            return Ok(options.folder.clone());
        }
        Some(_) if options.keep => {
            let hash = fnv1a(options.folder.as_os_str().as_encoded_bytes());
            Path::new(KEPT_OUTSIDE).join(format!("{PREFIX}{hash:016x}"))
        }
        Some(_) => {
            if let Some(left) = elsewhere(&options.folder).filter(|left| left.exists()) {
                drop(Owner::of_data(&left, name)?);
                remove_elsewhere(&options.folder)?;
            }
            temporary(&env::temp_dir())?
        }
    };
    make_private(&folder, account)?;
    let note = options.folder.join(ELSEWHERE);
    fs::write(&note, format!("{}\n", folder.display()))
        .doing(|| format!("write {}", note.display()))?;
    Ok(folder)
}

/// The folder that a place's note names; none when its data lies in the place.
pub(crate) fn elsewhere(folder: &Path) -> Option<PathBuf> {
    fs::read_to_string(folder.join(ELSEWHERE)).ok().map(|text| text.trim().into())
}

/// Removes a server's folder of data that is thrown away, and the one that it names outside, when a
/// run that was killed could not. Nothing may work there any more.
pub fn remove_data(folder: &Path) -> Result<(), NativeError> {
    remove_elsewhere(folder)?;
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).doing(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Only a folder of our making is removed, whatever the note says.
fn remove_elsewhere(folder: &Path) -> Result<(), NativeError> {
    let Some(outside) = elsewhere(folder).filter(|outside| outside.exists()) else {
        return Ok(());
    };
    let is_named = outside.file_name().and_then(|name| name.to_str());
    let doing = || format!("remove {}", outside.display());
    if !is_named.is_some_and(|name| name.starts_with(PREFIX)) {
        return Err(denied("it is no folder for data")).doing(doing);
    }
    make_private(&outside, Account::for_postgres()?.as_ref())?;
    fs::remove_dir_all(&outside).doing(doing)
}

/// A new folder of a random name, made in one step (mkdtemp(3)), where nobody else can put another in
/// its place.
fn temporary(base: &Path) -> Result<PathBuf, NativeError> {
    let doing = || format!("make a folder in {}", base.display());
    let data = fs::metadata(base).doing(doing)?;
    let is_ours = data.uid() == 0 || data.uid() == geteuid().as_raw();
    if !is_ours || (data.mode() & 0o022 != 0 && data.mode() & STICKY == 0) {
        let why = "others may rename folders there; set TMPDIR to one where they may not";
        return Err(denied(why)).doing(doing);
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).permissions(fs::Permissions::from_mode(0o700));
    Ok(builder.tempdir_in(base).doing(doing)?.keep())
}

/// Makes a folder that is ours, and that others may at most walk through: the server's account has to.
/// One that is there has to be ours already, or that account's, to which earlier versions gave it. It
/// is looked at and changed by the same open handle, so that no link is followed.
fn make_private(folder: &Path, account: Option<&Account>) -> Result<(), NativeError> {
    let doing = || format!("use {}", folder.display());
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).doing(doing),
        _ => {}
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = open(folder, flags, Mode::empty())
        .map_err(|_| denied("it is a link, or no folder, or not ours to open"))
        .doing(doing)?;
    let owner = fstat(&handle).doing(doing)?.st_uid;
    let us = geteuid().as_raw();
    if owner != us && account.is_none_or(|account| account.uid() != owner) {
        return Err(denied("it belongs to somebody else; move it away")).doing(doing);
    }
    if owner != us {
        let us = Uid::from_raw(us);
        let our_group = Gid::from_raw(getegid().as_raw());
        fchown(&handle, Some(us), Some(our_group)).doing(doing)?;
    }
    let mode = if account.is_some() { 0o711 } else { 0o700 };
    fchmod(&handle, Mode::from_raw_mode(mode)).doing(doing)
}

fn denied(why: &'static str) -> Error {
    Error::new(ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_folder_that_somebody_else_has_made_first_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let target = base.path().join("target");
        fs::create_dir(&target).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
        let link = base.path().join("link");
        symlink(&target, &link).unwrap();
        make_private(&link, None).unwrap_err();
        assert_eq!(mode(&target), 0o755, "it was not touched");

        make_private(&target, None).unwrap();
        assert_eq!(mode(&target), 0o700);
        if geteuid().is_root() {
            chown(&target, Some(4_000_000), None).unwrap();
            let error = make_private(&target, None).unwrap_err().to_string();
            assert!(error.contains("belongs to somebody else"), "{error}");
            assert_eq!(fs::metadata(&target).unwrap().uid(), 4_000_000);
        }
    }

    #[test]
    fn a_folder_that_an_earlier_version_gave_to_the_servers_account_is_ours_again() {
        let Some(account) = Account::for_postgres().unwrap() else {
            return assert!(!geteuid().is_root(), "only root gives folders to an account");
        };
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("postgres");
        fs::create_dir(&folder).unwrap();
        account.own(&folder).unwrap();
        make_private(&folder, Some(&account)).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().uid(), geteuid().as_raw());
        assert_eq!(mode(&folder), 0o711);
    }

    #[test]
    fn data_that_is_thrown_away_never_lies_where_its_place_could_be_guessed() {
        let base = tempfile::tempdir().unwrap();
        let folders = [(); 2].map(|()| temporary(base.path()).unwrap());
        assert_ne!(folders[0], folders[1]);
        assert!(folders.iter().all(|folder| mode(folder) == 0o700));

        fs::set_permissions(base.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = temporary(base.path()).unwrap_err().to_string();
        assert!(error.contains("TMPDIR"), "{error}");
    }

    #[test]
    fn a_note_leads_to_the_removal_of_nothing_that_is_not_ours() {
        let base = tempfile::tempdir().unwrap();
        let [place, other] = ["place", "other"].map(|name| base.path().join(name));
        for folder in [&place, &other] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(place.join(ELSEWHERE), other.to_str().unwrap()).unwrap();
        remove_data(&place).unwrap_err();
        assert!(other.exists() && place.exists());

        let link = base.path().join(format!("{PREFIX}link"));
        symlink(&other, &link).unwrap();
        fs::write(place.join(ELSEWHERE), link.to_str().unwrap()).unwrap();
        remove_data(&place).unwrap_err();
        assert!(other.exists());

        let outside = temporary(base.path()).unwrap();
        fs::write(place.join(ELSEWHERE), outside.to_str().unwrap()).unwrap();
        remove_data(&place).unwrap();
        assert!(!outside.exists() && !place.exists());
        remove_data(&place).unwrap();
    }
}
