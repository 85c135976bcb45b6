//! A folder laid out as `host/path`, in place of the network: how a machine without internet syncs.

use std::path::PathBuf;

use url::Url;

use crate::fetch::{Answer, Error, Request, Response, Transport, Validators};
use crate::file;

/// A folder laid out as `host/path`.
#[derive(Debug, Clone)]
pub struct Mirror {
    folder: PathBuf,
}

impl Mirror {
    /// Names the folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The places where the content of `url` may be: with its path decoded (blanks as blanks), then as it stands. A
    /// segment that would leave the folder names nothing.
    fn places(&self, url: &Url) -> Vec<PathBuf> {
        let segments: Vec<&str> = url.path_segments().into_iter().flatten().collect();
        let decoded: Option<Vec<String>> = segments.iter().map(|segment| percent_decoded(segment)).collect();
        let raw = Some(segments.into_iter().map(str::to_owned).collect());
        let host = url.host_str().unwrap_or_default();
        let mut places: Vec<PathBuf> = [decoded, raw]
            .into_iter()
            .flatten()
            .filter(|segments: &Vec<String>| segments.iter().all(|segment| is_plain(segment)))
            .map(|segments| {
                segments.iter().fold(self.folder.join(host), |place, segment| place.join(segment))
            })
            .collect();
        places.dedup();
        places
    }

    fn read(&self, request: &Request) -> Result<Response, Error> {
        for place in self.places(&request.url) {
            match file::read(&place, request.cap) {
                Ok(body) => {
                    return Ok(Response {
                        status: 200,
                        location: None,
                        body,
                        validators: Validators::default(),
                        retry_after: None,
                    });
                }
                Err(file::Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(file::Error::TooLarge { limit, .. }) => return Err(Error::TooLarge(limit)),
                Err(error) => return Err(Error::Mirror(error.to_string())),
            }
        }
        Err(Error::Absent)
    }
}

fn is_plain(segment: &str) -> bool {
    !segment.is_empty() && segment != "." && segment != ".." && !segment.contains(['/', '\\', '\0'])
}

fn percent_decoded(segment: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            out.push(*data_encoding::HEXLOWER_PERMISSIVE.decode(&digits).ok()?.first()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

impl Transport for Mirror {
    fn get<'a>(&'a self, request: &'a Request) -> Answer<'a> {
        Box::pin(std::future::ready(self.read(request)))
    }

    fn describe(&self, _: &Url) -> String {
        "mirror".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_decoded_and_nothing_leaves_the_folder() {
        let mirror = Mirror::new("m");
        let places = |url: &str| mirror.places(&url.parse().expect("a URL"));
        assert_eq!(
            places("https://h.example/a/b%20c.cer"),
            [PathBuf::from("m/h.example/a/b c.cer"), PathBuf::from("m/h.example/a/b%20c.cer")]
        );
        assert_eq!(places("https://h.example/a b"), places("https://h.example/a%20b"));
        assert_eq!(
            places("https://h.example/%2e%2e%2fsecret"),
            [PathBuf::from("m/h.example/%2e%2e%2fsecret")]
        );
        assert_eq!(places("https://h.example/../../x"), [PathBuf::from("m/h.example/x")]);
        assert!(places("https://h.example/").is_empty());
    }
}
