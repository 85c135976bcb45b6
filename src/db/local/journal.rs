//! The file `log.ndjson`: appended and synced before anything is reported, cut only where nothing was (T2).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::db::{self, Author, Error};
use crate::file;
use crate::fingerprint::Digest;
use crate::log::{self, Event, Line, Log};

/// The log's file and its lock.
#[derive(Debug)]
pub(super) struct Journal {
    folder: PathBuf,
}

/// Held while appending; the lock goes with it.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Journal {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join("log.ndjson")
    }

    /// Whether there is a file; one that may not be looked for is an error, not an empty store.
    pub(super) fn exists(&self) -> Result<bool, Error> {
        let path = self.path();
        path.try_exists().map_err(|source| file::Error::io("read", path, source).into())
    }

    /// The file's length; 0 if there is none.
    pub(super) fn length(&self) -> u64 {
        fs::metadata(self.path()).map_or(0, |metadata| metadata.len())
    }

    /// Reads and checks every line. The first `acknowledged` bytes were reported as written.
    pub(super) fn read(&self, acknowledged: u64) -> Result<Log, Error> {
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(file::Error::io("read", path, source).into()),
        };
        log::read(&bytes, acknowledged).map_err(|damage| Error::Damaged { path, damage })
    }

    /// Whether the file is `length` long and its last line, at `start`, has this digest. A file that another process
    /// is appending to, or that is shorter, is not.
    pub(super) fn ends_with(&self, length: u64, start: u64, head: Digest) -> Result<bool, Error> {
        let path = self.path();
        let read = || -> io::Result<bool> {
            let mut log = match File::open(&path) {
                Ok(log) => log,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(length == 0),
                Err(error) => return Err(error),
            };
            if log.metadata()?.len() != length {
                return Ok(false);
            }
            log.seek(SeekFrom::Start(start))?;
            let mut last = Vec::new();
            log.take(length.saturating_sub(start)).read_to_end(&mut last)?;
            Ok(last.pop() == Some(b'\n') && Digest::of(&last) == head)
        };
        read().map_err(|source| file::Error::io("read", &path, source).into())
    }

    /// Appends events after `log`'s last line and syncs them. On failure the file is as it was.
    pub(super) fn append(&self, log: &Log, author: &Author, events: Vec<Event>) -> Result<Vec<Line>, Error> {
        let path = self.path();
        let fail = |source| Error::from(file::Error::io("write", &path, source));
        let bytes = db::lines(author, events, log.lines.len() as u64, log.head());
        let is_new = !path.exists();
        let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(fail)?;
        if let Err(source) = file.write_all(&bytes).and_then(|()| file.sync_data()) {
            // A full disk, say: take back what got through, so that the next append finds a whole last line. What
            // cannot be taken back is cut as torn then.
            let _ = file.set_len(log.length()).and_then(|()| file.sync_data());
            return Err(fail(source));
        }
        if is_new {
            file::sync_folder(&self.folder)?;
        }
        Ok(written(&bytes, log.length()))
    }

    /// Moves what an append left that was cut short to `log.torn`, and says so. Needs the lock.
    pub(super) fn cut_torn(&self, log: &Log) -> Result<Option<String>, Error> {
        if log.torn == 0 {
            return Ok(None);
        }
        let path = self.path();
        let torn = self.folder.join("log.torn");
        let cut = || -> io::Result<()> {
            let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
            file.seek(SeekFrom::Start(log.length()))?;
            let mut tail = Vec::new();
            file.read_to_end(&mut tail)?;
            let mut kept = OpenOptions::new().create(true).append(true).open(&torn)?;
            kept.write_all(&tail)?;
            kept.write_all(b"\n")?;
            kept.sync_all()?;
            file.set_len(log.length())?;
            file.sync_all()
        };
        cut().map_err(|source| Error::from(file::Error::io("cut", &path, source)))?;
        Ok(Some(format!(
            "an earlier append was cut short before it was acknowledged; its {} bytes are now in {}",
            log.torn,
            torn.display()
        )))
    }

    /// Waits up to `timeout` for the lock, and writes down who holds it. Creates the folder.
    pub(super) fn lock(&self, timeout: Duration, author: &Author) -> Result<Lock, Error> {
        let folder = &self.folder;
        fs::create_dir_all(folder).map_err(|source| file::Error::io("create", folder, source))?;
        let start = Instant::now();
        loop {
            if let Some(mut lock) = self.try_lock()? {
                let holder =
                    format!("process {} of {} since {}\n", std::process::id(), author.actor, author.time);
                // Only a courtesy to whoever waits: a full disk must not keep us from the lock.
                let _ = lock.0.set_len(0).and_then(|()| lock.0.write_all(holder.as_bytes()));
                return Ok(lock);
            }
            if start.elapsed() >= timeout {
                let holder = fs::read_to_string(folder.join("lock")).unwrap_or_default();
                let holder = holder.lines().next().unwrap_or("unknown").chars().take(200).collect();
                return Err(Error::Locked { path: folder.clone(), holder });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Takes the lock if it is free; `None` if it is not.
    pub(super) fn try_lock(&self) -> Result<Option<Lock>, Error> {
        let path = self.folder.join("lock");
        let fail = |source| Error::from(file::Error::io("lock", &path, source));
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(fail)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(fail(source)),
        }
    }
}

/// The lines that `bytes` are, the first standing at `offset`. We wrote them ourselves a moment ago.
fn written(bytes: &[u8], offset: u64) -> Vec<Line> {
    let mut start = offset;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
        let text = &line[..line.len() - 1];
        let end = start + line.len() as u64;
        let entry = serde_json::from_slice(text).expect("a line that was just written reads back");
        let line = Line { entry, digest: Digest::of(text), start, end };
        start = end;
        line
    });
    lines.collect()
}
