//! What a reviewer of the catalogue need not check by eye.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::catalogue::{Catalogue, Role, SignedPackage, Vendor};
use crate::fingerprint::{Fingerprint, Thumbprint};
use crate::vendor::VendorId;

/// Something wrong in the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The manufacturer whose file has the fault.
    pub vendor: VendorId,
    /// The entry, if the fault is in one.
    pub entry: Option<String>,
    /// What is wrong, in one kebab-case word that stays the same.
    pub code: &'static str,
    /// What is wrong, in words.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.vendor)?;
        if let Some(entry) = &self.entry {
            write!(f, ", {entry}")?;
        }
        write!(f, ": {} ({})", self.message, self.code)
    }
}

/// Checks hosts, schemes, pins, duplicates and registry ids of the whole catalogue. No finding means sound.
pub fn check(catalogue: &Catalogue) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut pins: BTreeMap<Fingerprint, String> = BTreeMap::new();
    let mut urls: BTreeMap<String, String> = BTreeMap::new();
    for vendor in catalogue.vendors() {
        let mut report = |entry: Option<&str>, code, message: String| {
            findings.push(Finding {
                vendor: vendor.id.clone(),
                entry: entry.map(str::to_owned),
                code,
                message,
            });
        };
        registry(vendor, &mut report);
        for host in &vendor.hosts {
            if url::Host::parse(host).map_or(
                true,
                |parsed| !matches!(parsed, url::Host::Domain(name) if name == *host && name.contains('.')),
            ) {
                report(None, "host-malformed", format!("{host:?} is not a full host name in lower case"));
            }
        }
        let mut names: Vec<&str> = Vec::new();
        let entries = vendor
            .sources
            .iter()
            .map(|source| (&source.name, &source.evidence, &source.manufacturers, &source.subject));
        let known = vendor
            .certificates
            .iter()
            .map(|known| (&known.name, &known.evidence, &known.manufacturers, &known.subject));
        for (name, evidence, manufacturers, subject) in entries.chain(known) {
            if names.contains(&name.as_str()) {
                report(Some(name), "name-duplicate", "another entry has this name".to_owned());
            }
            names.push(name);
            for (field, value) in [("name", name), ("evidence", evidence), ("subject", subject)] {
                if value.trim().is_empty() {
                    report(Some(name), "field-empty", format!("{field} is empty"));
                }
            }
            for id in manufacturers.iter().flatten() {
                if id.registered().is_none() {
                    report(Some(name), "manufacturer-unknown", format!("{id} is not in the TCG registry"));
                }
            }
        }
        for source in &vendor.sources {
            let name = Some(source.name.as_str());
            let host = source.url.host_str().unwrap_or_default();
            if !vendor.hosts.iter().any(|allowed| allowed == host) {
                report(name, "host-not-listed", format!("{host:?} is not among the hosts of {}", vendor.id));
            }
            if !matches!(source.url.scheme(), "https" | "http") {
                report(name, "scheme", format!("{} is neither https nor http", source.url));
            }
            if source.url.port().is_some()
                || !source.url.username().is_empty()
                || source.url.fragment().is_some()
            {
                report(name, "url-form", format!("{} has a port, a user or a fragment", source.url));
            }
            if let Some(other) = urls.insert(source.url.to_string(), source.name.clone()) {
                report(name, "url-duplicate", format!("{other:?} has the same URL"));
            }
            if source.earlier.contains(&source.sha256) {
                report(name, "pin-duplicate", "the current pin is listed as earlier too".to_owned());
            }
            if source.role != Role::Anchor && (source.sha1 || source.manufacturers.is_some()) {
                report(name, "anchor-only", "sha1 and manufacturers are statements about anchors".to_owned());
            }
            for published in &source.published {
                let sound = match published.split_once(':') {
                    Some(("sha1", hex)) => hex.parse::<Thumbprint>().is_ok(),
                    Some(("sha256", hex)) => hex.parse::<Fingerprint>().is_ok(),
                    _ => false,
                };
                if !sound {
                    report(
                        name,
                        "published-malformed",
                        format!("{published:?} is not sha1: or sha256: and its digits"),
                    );
                }
            }
            for pin in source.earlier.iter().chain([&source.sha256]) {
                if let Some(other) =
                    pins.insert(*pin, source.name.clone()).filter(|other| *other != source.name)
                {
                    report(name, "pin-duplicate", format!("{other:?} has the same pin {pin}"));
                }
            }
        }
        for package in &vendor.packages {
            packages(catalogue, package, &mut report);
            if let Some(other) = urls.insert(package.url.to_string(), package.name.clone()) {
                report(Some(&package.name), "url-duplicate", format!("{other:?} has the same URL"));
            }
        }
        for known in &vendor.certificates {
            if let Some(other) = pins.insert(known.sha256, known.name.clone()) {
                report(Some(&known.name), "pin-duplicate", format!("{other:?} has the same fingerprint"));
            }
        }
    }
    findings
}

fn packages(
    catalogue: &Catalogue,
    package: &SignedPackage,
    report: &mut impl FnMut(Option<&str>, &'static str, String),
) {
    let name = Some(package.name.as_str());
    if package.name.trim().is_empty() || package.evidence.trim().is_empty() {
        report(name, "field-empty", "name or evidence is empty".to_owned());
    }
    for url in std::iter::once(&package.url).chain(&package.led_to) {
        let host = url.host_str().unwrap_or_default();
        if !package.hosts.iter().any(|allowed| allowed == host) {
            report(name, "host-not-listed", format!("{host:?} is not among the package's hosts"));
        }
        if url.scheme() != "https" {
            report(name, "scheme", format!("{url} is not https"));
        }
    }
    if package.roots.is_empty() {
        report(name, "no-signer", "no root is pinned, so nothing could be believed".to_owned());
    }
    for root in &package.roots {
        let role = catalogue.statement(*root).map(|statement| statement.role);
        if role != Some(Role::PackageSigner) {
            report(name, "signer-role", format!("{root} is no package-signer of the catalogue"));
        }
    }
    if package.oldest_edition > package.edition {
        report(name, "edition-order", "oldest_edition is later than edition".to_owned());
    }
    for id in package.folders.values() {
        if id.registered().is_none() {
            report(name, "manufacturer-unknown", format!("{id} is not in the TCG registry"));
        }
    }
}

fn registry(vendor: &Vendor, report: &mut impl FnMut(Option<&str>, &'static str, String)) {
    match vendor.id.registered() {
        None => report(None, "manufacturer-unknown", format!("{} is not in the TCG registry", vendor.id)),
        Some(entry) => {
            let registered = data_encoding::HEXUPPER.encode(&entry.octets);
            if registered != vendor.registry {
                report(
                    None,
                    "registry-differs",
                    format!("registered is {registered}, not {}", vendor.registry),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalogue_is_sound() {
        let findings = check(&Catalogue::embedded());
        assert!(findings.is_empty(), "{findings:#?}");
    }

    #[test]
    fn each_fault_is_found() {
        let text = r#"
            id = "IFX"
            registry = "49465801"
            name = "x"
            hosts = ["A.example", "localhost"]
            [[source]]
            name = "one"
            url = "ftp://other.example:2121/x"
            role = "intermediate"
            subject = "CN=x"
            sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
            spki_sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
            sha1 = true
            manufacturers = ["ZZZZ"]
            published = ["md5:00"]
            evidence = " "
            [[certificate]]
            name = "one"
            role = "anchor"
            subject = "CN=x"
            sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
            spki_sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
            evidence = "x"
        "#;
        let catalogue = Catalogue::from_files(BTreeMap::from([("ifx.toml".into(), text.into())]));
        let codes: Vec<&str> =
            check(&catalogue.expect("well-formed")).iter().map(|finding| finding.code).collect();
        assert_eq!(
            codes,
            [
                "registry-differs",
                "host-malformed",
                "host-malformed",
                "field-empty",
                "manufacturer-unknown",
                "name-duplicate",
                "host-not-listed",
                "scheme",
                "url-form",
                "anchor-only",
                "published-malformed",
                "pin-duplicate",
            ]
        );
    }
}
