//! Files with a cap on what is read, all-or-nothing writes, and errors that name the path.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The most that is read of a file that may hold certificates: 16 MiB, six times all certificates known.
pub const CERTIFICATE_FILE_CAP: u64 = 16 << 20;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system says no.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is larger than anything it could rightly be; nothing of it was used.
    #[error("{} is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The cap.
        limit: u64,
    },
    /// It is a folder.
    #[error("{} is a folder", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// A folder stands in the way that this program did not make, or that holds other things too.
    #[error("{} exists and holds what this program did not write there", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },
}

impl Error {
    /// An error of the system, with what was tried and where.
    pub fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }
}

/// Reads a whole file of at most `cap` bytes.
///
/// # Errors
///
/// [`Error::TooLarge`], [`Error::Folder`], or what the system says.
pub fn read(path: &Path, cap: u64) -> Result<Vec<u8>, Error> {
    let fail = |source| Error::io("read", path, source);
    let file = File::open(path).map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if metadata.is_dir() {
        return Err(Error::Folder { path: path.into() });
    }
    if metadata.len() > cap {
        return Err(Error::TooLarge { path: path.into(), limit: cap });
    }
    read_from(file, path, cap)
}

/// Reads a whole file whose cap depends on its first four bytes.
///
/// # Errors
///
/// As [`read`].
pub fn read_by_kind(path: &Path, cap: impl FnOnce(&[u8]) -> u64) -> Result<Vec<u8>, Error> {
    let fail = |source| Error::io("read", path, source);
    let mut file = File::open(path).map_err(fail)?;
    if file.metadata().map_err(fail)?.is_dir() {
        return Err(Error::Folder { path: path.into() });
    }
    // Not sought back: it may be a pipe.
    let mut head = Vec::new();
    (&mut file).take(4).read_to_end(&mut head).map_err(fail)?;
    let cap = cap(&head);
    read_from(io::Cursor::new(head).chain(file), path, cap)
}

/// Reads all of `reader`, at most `cap` bytes; `name` is for the error.
///
/// # Errors
///
/// As [`read`].
pub fn read_from(reader: impl Read, name: &Path, cap: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    reader.take(cap + 1).read_to_end(&mut bytes).map_err(|source| Error::io("read", name, source))?;
    if bytes.len() as u64 > cap { Err(Error::TooLarge { path: name.into(), limit: cap }) } else { Ok(bytes) }
}

/// Writes a file beside its place, syncs it, and renames it there: it is whole or as it was before.
///
/// # Errors
///
/// What the system says; the place is untouched then.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let fail = |source| Error::io("write", path, source);
    let folder = parent(path);
    fs::create_dir_all(folder).map_err(|source| Error::io("create", folder, source))?;
    let mut staged = tempfile::Builder::new().prefix(".ekstore-").tempfile_in(folder).map_err(fail)?;
    staged.write_all(bytes).map_err(fail)?;
    readable_for_all(staged.as_file()).map_err(fail)?;
    staged.as_file().sync_all().map_err(fail)?;
    staged.persist(path).map_err(|error| fail(error.error))?;
    sync_folder(folder)
}

/// Writes a folder of files beside its place and renames it there. A folder in the place is replaced, with all that is
/// in it, if `is_ours` says that this made it; any other that is not empty is left alone.
///
/// # Errors
///
/// [`Error::NotOurs`], or what the system says; the place is as it was before then.
pub fn write_folder(
    path: &Path,
    is_ours: impl FnOnce(&Path) -> bool,
    files: &[(String, Vec<u8>)],
) -> Result<(), Error> {
    let folder = parent(path);
    fs::create_dir_all(folder).map_err(|source| Error::io("create", folder, source))?;
    let occupied = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(source) => return Err(Error::io("read", path, source)),
    };
    if occupied && !is_ours(path) {
        return Err(Error::NotOurs { path: path.into() });
    }
    let staged = tempfile::Builder::new()
        .prefix(".ekstore-")
        .tempdir_in(folder)
        .map_err(|source| Error::io("write", path, source))?;
    let fresh = staged.path().join("new");
    for (name, bytes) in files {
        let file = fresh.join(name);
        let fail = |source| Error::io("write", &file, source);
        fs::create_dir_all(parent(&file)).map_err(fail)?;
        let mut handle = File::create(&file).map_err(fail)?;
        handle.write_all(bytes).map_err(fail)?;
        handle.sync_all().map_err(fail)?;
    }
    let old = staged.path().join("old");
    let existed = path.exists();
    if existed {
        fs::rename(path, &old).map_err(|source| Error::io("replace", path, source))?;
    }
    if let Err(source) = fs::rename(&fresh, path) {
        if existed {
            // Put back what was there; if even that fails, it is still in the staging folder, which then stays.
            if fs::rename(&old, path).is_err() {
                let _ = staged.keep();
            }
        }
        return Err(Error::io("write", path, source));
    }
    sync_folder(folder)
}

/// Lists the files in a folder and below, sorted by path.
///
/// # Errors
///
/// What the system says about the first folder that cannot be read.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let fail = |source| Error::io("read", &folder, source);
        for entry in fs::read_dir(&folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            // A link is followed to a file, never to a folder: links can make circles.
            if entry.file_type().map_err(fail)?.is_dir() {
                folders.push(entry.path());
            } else if !entry.path().is_dir() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Makes a rename or a new file in `folder` lasting.
///
/// # Errors
///
/// What the system says.
pub fn sync_folder(folder: &Path) -> Result<(), Error> {
    if cfg!(unix) {
        let sync = File::open(folder).and_then(|handle| handle.sync_all());
        sync.map_err(|source| Error::io("sync", folder, source))?;
    }
    Ok(())
}

/// The folder that `path` is in; `.` for a bare name.
pub fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Staged files are private; an export is for others to read.
#[cfg(unix)]
fn readable_for_all(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_for_all(_: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_is_kept() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let path = folder.path().join("five");
        write_whole(&path, b"12345").expect("written");
        assert_eq!(read(&path, 5).expect("fits"), b"12345");
        assert!(matches!(read(&path, 4), Err(Error::TooLarge { limit: 4, .. })));
        assert!(matches!(read(folder.path(), 4), Err(Error::Folder { .. })));
    }

    #[test]
    fn a_folder_that_is_not_ours_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let place = folder.path().join("out");
        let ours = |place: &Path| place.join("marker").is_file();
        let files = [("marker".to_owned(), b"1".to_vec()), ("sub/file".to_owned(), b"2".to_vec())];
        write_folder(&place, ours, &files).expect("a new place");
        write_folder(&place, ours, &files[..1]).expect("replaced");
        assert!(!place.join("sub").exists(), "nothing of the old one is left");
        fs::remove_file(place.join("marker")).expect("removable");
        fs::write(place.join("thesis"), b"years").expect("writable");
        assert!(matches!(write_folder(&place, ours, &files), Err(Error::NotOurs { .. })));
        assert_eq!(fs::read(place.join("thesis")).expect("untouched"), b"years");
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1, "nothing staged is left");
    }
}
