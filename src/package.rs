//! A signed package of CA certificates: Microsoft's TrustedTpm.cab. Signature and time stamp come before the content
//! (T26): [`Signature::read`] and [`Signature::trust`], and only then [`Contents::read`].

pub mod aik_name;
pub mod authenticode;
pub mod cabinet;
pub mod comparison;
pub mod edition;
pub mod timestamp;

use std::collections::BTreeMap;

pub use crate::package::authenticode::{Signature, SignatureError};
pub use crate::package::edition::Edition;

use crate::cert::container::{self, ContainerError, Found};
use crate::fingerprint::Fingerprint;
use crate::package::cabinet::{CabinetError, Limits, Member};
use crate::package::edition::{History, ParseEditionError};

/// The most bytes of a package: 64 MiB (T12). Real ones have 2.5 MB.
pub const PACKAGE_CAP: u64 = 64 << 20;

/// The member that says which edition a package is.
const VERSION: &str = "version.txt";

/// The extensions of certificate files.
const EXTENSIONS: [&str; 4] = ["cer", "crt", "der", "pem"];

/// Why the content of a package cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentsError {
    /// It does not unpack.
    #[error(transparent)]
    Cabinet(#[from] CabinetError),
    /// It has no version.txt, so it is not known which edition it is.
    #[error("the package has no {VERSION}, so it is not a TrustedTpm package")]
    NoVersion,
    /// Its version.txt does not say which edition it is.
    #[error("{VERSION}: {0}")]
    Version(#[from] ParseEditionError),
    /// There is no certificate in it.
    #[error("the package has no certificate")]
    Empty,
}

/// What a package holds.
#[derive(Debug, Clone)]
pub struct Contents {
    /// The edition, by the top of version.txt.
    pub edition: Edition,
    /// What version.txt claims.
    pub history: History,
    /// The distinct certificates, by fingerprint.
    pub certificates: BTreeMap<Fingerprint, Packaged>,
    /// How many members there are.
    pub members: usize,
    /// Members that are no certificates by their names, and are not read as such.
    pub others: Vec<String>,
    /// Members that should be certificates by their names, and why they are not.
    pub unreadable: Vec<(String, ContainerError)>,
}

/// One certificate of a package.
#[derive(Debug, Clone)]
pub struct Packaged {
    /// The certificate, with the quirks of the first member it was found in.
    pub found: Found,
    /// The members it is in, sorted: paths with `\` between their parts.
    pub members: Vec<String>,
}

impl Packaged {
    /// The top folder of the first member, by which the package sorts manufacturers (T20).
    pub fn folder(&self) -> &str {
        self.members.first().and_then(|member| member.split_once('\\')).map_or("", |(folder, _)| folder)
    }
}

impl Contents {
    /// Unpacks a package whose signature was checked, and decodes what is in it.
    ///
    /// # Errors
    ///
    /// [`ContentsError`] if it does not unpack, or is not a package of certificates with an edition.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, ContentsError> {
        let members = cabinet::unpack(bytes, limits)?;
        let version = members.iter().find(|member| member.name.eq_ignore_ascii_case(VERSION));
        let history = History::read(&version.ok_or(ContentsError::NoVersion)?.content)?;
        let mut contents = Self {
            edition: history.edition,
            history,
            certificates: BTreeMap::new(),
            members: members.len(),
            others: Vec::new(),
            unreadable: Vec::new(),
        };
        members.into_iter().for_each(|member| contents.take(member));
        for packaged in contents.certificates.values_mut() {
            packaged.members.sort_unstable();
        }
        if contents.certificates.is_empty() { Err(ContentsError::Empty) } else { Ok(contents) }
    }

    fn take(&mut self, member: Member) {
        let extension =
            member.file_name().rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        let is_named_so = extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()));
        if !is_named_so {
            self.others.push(member.name);
            return;
        }
        match container::read(&member.content) {
            Ok(all) => {
                for found in all {
                    let fingerprint = found.certificate.fingerprint();
                    let packaged = self
                        .certificates
                        .entry(fingerprint)
                        .or_insert_with(|| Packaged { found, members: Vec::new() });
                    if !packaged.members.contains(&member.name) {
                        packaged.members.push(member.name.clone());
                    }
                }
            }
            Err(error) => self.unreadable.push((member.name, error)),
        }
    }
}
