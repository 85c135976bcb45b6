//! Packages made for the tests: a signer's PKI of our own, cabinets, and osslsigncode to sign them.

use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, RsaKeySize, SerialNumber, date_time_ymd,
};

use crate::support::{Place, peer};

/// id-kp-timeStamping alone, as the content of extKeyUsage.
const TIME_STAMPING: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// What a signer's certificate is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum For {
    Code,
    Mail,
}

/// A root, a CA, a signer and a time-stamping authority, as files that osslsigncode reads.
pub struct Signer {
    folder: PathBuf,
    pub root: Vec<u8>,
}

fn key() -> KeyPair {
    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key")
}

fn params(name: &str, years: (i32, i32)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&[1]));
    (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 12, 31));
    params.use_authority_key_identifier_extension = true;
    params
}

fn ca(name: &str) -> CertificateParams {
    let mut params = params(name, (2010, 2040));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

impl Signer {
    /// Makes one whose signer has this common name and is valid in 2023 only, as real ones live for about a year.
    pub fn new(place: &Place, folder: &str, name: &str, usage: For) -> Self {
        let (root_key, ca_key, leaf_key, stamp_key) = (key(), key(), key(), key());
        let root_params = ca("Made Root");
        let root = root_params.self_signed(&root_key).expect("a root");
        let root_issuer = Issuer::new(root_params, root_key);
        let ca_params = ca("Made Code Signing CA");
        let between = ca_params.signed_by(&ca_key, &root_issuer).expect("a CA");
        let ca_issuer = Issuer::new(ca_params, ca_key);
        let mut leaf = params(name, (2023, 2023));
        leaf.extended_key_usages = vec![match usage {
            For::Code => ExtendedKeyUsagePurpose::CodeSigning,
            For::Mail => ExtendedKeyUsagePurpose::EmailProtection,
        }];
        let leaf = leaf.signed_by(&leaf_key, &ca_issuer).expect("a signer");
        let mut stamp = params("Made Time-Stamp Service", (2023, 2030));
        let mut usage = CustomExtension::from_oid_content(&[2, 5, 29, 37], TIME_STAMPING.to_vec());
        usage.set_criticality(true);
        stamp.custom_extensions = vec![usage];
        let stamp = stamp.signed_by(&stamp_key, &ca_issuer).expect("an authority");

        let path = place.path(folder);
        let file = |name: &str, text: String| place.write(&format!("{folder}/{name}"), text.as_bytes());
        place.write(&format!("{folder}/root.cer"), root.der());
        file("root.pem", root.pem());
        file("signer.pem", format!("{}{}", leaf.pem(), between.pem()));
        file("signer.key", leaf_key.serialize_pem());
        file("stamp.pem", format!("{}{}", stamp.pem(), between.pem()));
        file("stamp.key", stamp_key.serialize_pem());
        Self { folder: path, root: root.der().to_vec() }
    }

    /// The one whose files were copied to `folder` of another place.
    pub fn at(place: &Place, folder: &str, root: Vec<u8>) -> Self {
        Self { folder: place.path(folder), root }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The root's file.
    pub fn root_file(&self) -> PathBuf {
        self.file("root.cer")
    }

    /// Signs a cabinet; `stamped` is the time of the time stamp, `YYYY-MM-DD`.
    pub fn sign(&self, cabinet: &Path, out: &Path, stamped: Option<&str>) {
        let mut command = Command::new("osslsigncode");
        command
            .arg("sign")
            .arg("-certs")
            .arg(self.file("signer.pem"))
            .arg("-key")
            .arg(self.file("signer.key"));
        command.args(["-h", "sha256"]);
        if let Some(date) = stamped {
            let time: ekstore::time::Time = date.parse().expect("a date");
            command.arg("-TSA-certs").arg(self.file("stamp.pem")).arg("-TSA-key").arg(self.file("stamp.key"));
            command.arg("-TSA-time").arg(time.unix().to_string());
        }
        let output =
            command.arg("-in").arg(cabinet).arg("-out").arg(out).output().expect("osslsigncode starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// Whether osslsigncode believes a package by this root.
    pub fn peer_believes(&self, package: &Path) -> bool {
        believes(package, &self.file("root.pem"))
    }
}

/// Whether osslsigncode believes a package by the roots in a PEM file. Its status says so; what it prints says it in words.
pub fn believes(package: &Path, roots: &Path) -> bool {
    let mut command = Command::new("osslsigncode");
    command.args(["verify", "-ignore-crl", "-CAfile"]).arg(roots).arg("-TSA-CAfile").arg(roots).arg("-in");
    command.arg(package).output().expect("osslsigncode starts").status.success()
}

/// Whether the signing program is there.
pub fn can_sign() -> bool {
    peer("osslsigncode")
}

/// A cabinet with these members.
pub fn cabinet(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = cab::CabinetBuilder::new();
    let folder = builder.add_folder(cab::CompressionType::MsZip);
    for (name, _) in members {
        folder.add_file(*name);
    }
    let mut writer = builder.build(Cursor::new(Vec::new())).expect("a cabinet");
    let mut contents = members.iter();
    while let Some(mut file) = writer.next_file().expect("a member") {
        file.write_all(contents.next().expect("as many as names").1).expect("written");
    }
    writer.finish().expect("finished").into_inner()
}

/// A version.txt of one edition, with further lines.
pub fn version(edition: &str, more: &str) -> Vec<u8> {
    format!("The certificates were last updated on:\r\n{edition}\r\n{more}").into_bytes()
}
