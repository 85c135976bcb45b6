//! What is to be verified: files, folders, lists of files, and standard input, one at a time.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::cli::error::{Error, Kind};
use crate::file;

/// One thing to verify.
pub(super) struct Input {
    /// The file, or `-`.
    pub(super) file: String,
    /// The caller's id, for a line of standard input.
    pub(super) id: Option<Value>,
    /// The bytes, or why there are none.
    pub(super) bytes: Result<Vec<u8>, String>,
}

/// The longest line of standard input: a certificate of 1 MiB in base64, and an id.
const LINE_CAP: u64 = 2 << 20;

/// All things to verify, in order; files are read when their turn comes.
pub(super) struct Inputs {
    files: VecDeque<PathBuf>,
    lines: Option<Box<dyn BufRead + Send>>,
    len: Option<u64>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    id: Value,
    #[serde(alias = "certificate", alias = "cert", alias = "ek_certificate")]
    der: String,
}

impl Inputs {
    /// Lists what is named; what is in folders and lists too.
    ///
    /// # Errors
    ///
    /// [`Error`] if a folder or a list cannot be read, or standard input is a terminal.
    pub(super) fn new(named: &[PathBuf], lists: &[PathBuf]) -> Result<Self, Error> {
        let mut files = VecDeque::new();
        for path in named {
            if path.is_dir() { files.extend(file::list(path)?) } else { files.push_back(path.clone()) }
        }
        for list in lists {
            let text = String::from_utf8(file::read(list, file::CERTIFICATE_FILE_CAP)?)
                .map_err(|_| Error::new(Kind::Unknown, format!("{} is not UTF-8", list.display())))?;
            files.extend(text.lines().filter(|line| !line.is_empty()).map(PathBuf::from));
        }
        let stdin = files.iter().filter(|path| **path == Path::new("-")).count();
        if stdin > 1 {
            return Err(Error::new(Kind::Usage, "standard input can be read only once"));
        }
        if stdin == 1 && std::io::stdin().is_terminal() {
            return Err(Error::new(Kind::Usage, "standard input is a terminal")
                .with_hint("pipe a certificate, or lines {\"id\": ..., \"der\": \"<base64>\"}"));
        }
        let len = (stdin == 0).then_some(files.len() as u64);
        Ok(Self { files, lines: None, len })
    }

    /// How many there are, unless standard input is among them.
    pub(super) fn len(&self) -> Option<u64> {
        self.len
    }

    /// Starts on standard input: lines of JSON if it starts with a brace, one certificate otherwise.
    fn start_stdin(&mut self) -> Option<Input> {
        let mut reader = BufReader::with_capacity(1 << 16, std::io::stdin());
        let is_json = reader
            .fill_buf()
            .is_ok_and(|start| start.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{'));
        if is_json {
            self.lines = Some(Box::new(reader));
            return self.next_line();
        }
        let bytes = file::read_from(reader, Path::new("-"), file::CERTIFICATE_FILE_CAP);
        Some(Input { file: "-".to_owned(), id: None, bytes: bytes.map_err(|error| error.to_string()) })
    }

    fn next_line(&mut self) -> Option<Input> {
        let reader = self.lines.as_mut()?;
        loop {
            let mut line = Vec::new();
            let read = reader.by_ref().take(LINE_CAP).read_until(b'\n', &mut line);
            let input = |id, bytes| Some(Input { file: "-".to_owned(), id, bytes });
            match read {
                Ok(0) => {
                    self.lines = None;
                    return None;
                }
                Err(error) => {
                    self.lines = None;
                    return input(None, Err(format!("cannot read standard input: {error}")));
                }
                Ok(length) if length as u64 == LINE_CAP && line.last() != Some(&b'\n') => {
                    // The rest cannot be told from a new line: stop here.
                    self.lines = None;
                    return input(
                        None,
                        Err(format!("a line of more than {LINE_CAP} bytes; nothing after it is read")),
                    );
                }
                Ok(_) => {}
            }
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let Ok(line) = serde_json::from_slice::<Line>(&line) else {
                return input(None, Err("not a line like {\"id\": ..., \"der\": \"<base64>\"}".to_owned()));
            };
            let id = (!line.id.is_null()).then_some(line.id);
            let bytes = data_encoding::BASE64
                .decode(line.der.as_bytes())
                .map_err(|error| format!("der is not base64: {error}"));
            return input(id, bytes);
        }
    }
}

impl Iterator for Inputs {
    type Item = Input;

    fn next(&mut self) -> Option<Input> {
        if let Some(input) = self.next_line() {
            return Some(input);
        }
        let path = self.files.pop_front()?;
        if path == Path::new("-") {
            return self.start_stdin().or_else(|| self.next());
        }
        let bytes = file::read(&path, file::CERTIFICATE_FILE_CAP).map_err(|error| error.to_string());
        Some(Input { file: path.to_string_lossy().into_owned(), id: None, bytes })
    }
}
