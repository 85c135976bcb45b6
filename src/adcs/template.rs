//! Certificate templates that attest keys, as a table of rules (MS-CRTD §2.27; facts as Microsoft's documents have them).

use serde::Serialize;

use crate::adcs::Method;
use crate::adcs::ldif::Record;
use crate::cert::name;

/// The provider that can attest.
pub const PROVIDER: &str = "Microsoft Platform Crypto Provider";

const ARCHIVAL: u32 = 0x0001;
const EXPORTABLE: u32 = 0x0010;
const SAME_KEY_RENEWAL: u32 = 0x0080;
const LEGACY_PROVIDER: u32 = 0x0100;
const PREFERRED: u32 = 0x1000;
const REQUIRED: u32 = 0x2000;
const WITHOUT_POLICY: u32 = 0x4000;
/// The lowest compatibility that knows attestation: Windows Server 2012 R2, Windows 8.1.
const LOWEST: u32 = 5;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Attestation will not work as meant.
    Error,
    /// It works, but a person should know.
    Warning,
}

/// One rule that a template breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule, a kebab-case code.
    pub rule: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// What is set.
    pub is: String,
    /// What should be.
    pub should_be: String,
    /// Where in the console of certificate templates.
    pub console: &'static str,
}

/// What a template says, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Its name: displayName, else cn, else the distinguished name.
    pub name: String,
    /// msPKI-Private-Key-Flag, hexadecimal.
    pub private_key_flag: String,
    /// Whether it asks for attestation at all.
    pub attests: bool,
    /// Whether attestation is required, or only preferred.
    pub required: bool,
    /// The methods that it grants, from low to high.
    pub methods: Vec<Method>,
    /// Whether issued certificates carry the issuance policies of the methods that succeeded.
    pub with_policy: bool,
    /// What is wrong, errors first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing keeps it from attesting as meant.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}

/// Whether a record is a certificate template.
pub fn is_template(record: &Record) -> bool {
    let class =
        record.values("objectClass").iter().any(|class| class.eq_ignore_ascii_case("pKICertificateTemplate"));
    class || record.value("msPKI-Private-Key-Flag").is_some() || record.value("pKIDefaultCSPs").is_some()
}

/// Checks one template.
pub fn check(record: &Record) -> Report {
    let name = ["displayName", "cn", "name", "dn"].iter().find_map(|attribute| record.value(attribute));
    let stated = record.value("msPKI-Private-Key-Flag");
    let flag = stated.and_then(integer);
    let flags = flag.unwrap_or(0);
    let methods: Vec<Method> = Method::ALL.into_iter().filter(|method| flags & method.flag() != 0).collect();
    let mut findings = Vec::new();
    let mut find = |rule, severity, is: String, should_be: &str, console| {
        findings.push(Finding {
            rule,
            severity,
            is: one_line(&is),
            should_be: should_be.to_owned(),
            console,
        });
    };
    if flag.is_none() {
        let is = stated.map_or("not stated".to_owned(), |text| format!("{text:?}, no 32-bit number"));
        find(
            "private-key-flag",
            Severity::Error,
            is,
            "a number with the attestation bits",
            "Key Attestation",
        );
    }
    let hex = |mask: u32| format!("0x{:X}", flags & mask);
    if flags & (PREFERRED | REQUIRED) == 0 {
        find(
            "attestation-off",
            Severity::Error,
            "none".to_owned(),
            "required (0x2000), or required if the client is capable (0x1000)",
            "Key Attestation > Key Attestation: Required",
        );
    } else if flags & REQUIRED == 0 {
        find(
            "attestation-preferred",
            Severity::Warning,
            "required if the client is capable (0x1000)".to_owned(),
            "required (0x2000): otherwise certificates without attestation are issued too",
            "Key Attestation > Key Attestation: Required",
        );
    }
    if methods.is_empty() {
        find(
            "no-method",
            Severity::Error,
            hex(0x0e00),
            "at least one of user credentials (0x200), endorsement certificate (0x400), endorsement key (0x800)",
            "Key Attestation > Perform attestation based on",
        );
    }
    for (rule, shift, versions, console) in [
        ("ca-compatibility", 16, "Windows Server 2012 R2", "Compatibility > Certification Authority"),
        (
            "client-compatibility",
            24,
            "Windows 8.1 / Windows Server 2012 R2",
            "Compatibility > Certificate recipient",
        ),
    ] {
        let level = (flags >> shift) & 0xf;
        if level < LOWEST {
            find(
                rule,
                Severity::Error,
                format!("level {level}"),
                &format!("{versions} (level 5) or later"),
                console,
            );
        }
    }
    for (rule, bit, what, console) in [
        (
            "key-archival",
            ARCHIVAL,
            "archives the private key",
            "Request Handling > Archive subject's encryption private key: cleared",
        ),
        (
            "key-exportable",
            EXPORTABLE,
            "lets the private key be exported",
            "Request Handling > Allow private key to be exported: cleared",
        ),
        (
            "legacy-provider",
            LEGACY_PROVIDER,
            "uses a legacy cryptographic service provider",
            "Cryptography > Provider Category: Key Storage Provider",
        ),
        (
            "same-key-renewal",
            SAME_KEY_RENEWAL,
            "renews with the same key",
            "Request Handling > Renew with the same key: cleared",
        ),
    ] {
        if flags & bit != 0 {
            find(rule, Severity::Error, format!("{what} (0x{bit:X})"), "cleared", console);
        }
    }
    let version = record.value("msPKI-Template-Schema-Version");
    if version.and_then(integer) != Some(4) {
        find(
            "schema-version",
            Severity::Error,
            version.unwrap_or("not stated").to_owned(),
            "4: a template of an older version must be duplicated with the compatibility raised",
            "Compatibility (on a duplicate of the template)",
        );
    }
    providers(record, &mut find);
    let algorithm = record.value("msPKI-RA-Application-Policies");
    if !algorithm.is_some_and(names_rsa) {
        find(
            "algorithm",
            Severity::Error,
            algorithm.unwrap_or("not stated").to_owned(),
            "RSA: key attestation works for RSA keys only",
            "Cryptography > Algorithm name: RSA",
        );
    }
    if flags & WITHOUT_POLICY != 0 {
        find(
            "without-policy",
            Severity::Warning,
            "issues without the issuance policies (0x4000)".to_owned(),
            "with them, if relying parties are to see the assurance",
            "Key Attestation > Issuance Policies: include",
        );
    }
    findings.sort_by_key(|finding| finding.severity);
    Report {
        name: one_line(name.unwrap_or("(no name)")),
        private_key_flag: format!("0x{flags:08X}"),
        attests: flags & (PREFERRED | REQUIRED) != 0 || !methods.is_empty(),
        required: flags & REQUIRED != 0,
        methods,
        with_policy: flags & WITHOUT_POLICY == 0,
        findings,
    }
}

/// A value of the directory as one line: a name with line ends would forge a finding.
fn one_line(value: &str) -> String {
    value.chars().map(|c| if name::is_deceptive(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn providers(record: &Record, find: &mut impl FnMut(&'static str, Severity, String, &str, &'static str)) {
    let stated = record.values("pKIDefaultCSPs");
    // `1,Microsoft Platform Crypto Provider`: the order, then the name.
    let name =
        |value: &String| value.split_once(',').map_or(value.as_str(), |(_, name)| name).trim().to_owned();
    let names: Vec<String> = stated.iter().map(name).collect();
    if names.len() != 1 || !names[0].eq_ignore_ascii_case(PROVIDER) {
        find(
            "provider",
            Severity::Error,
            if stated.is_empty() { "none".to_owned() } else { stated.join("; ") },
            "1,Microsoft Platform Crypto Provider, and no other",
            "Cryptography > Requests must use one of the following providers: Microsoft Platform Crypto Provider",
        );
    }
}

/// ``msPKI-Asymmetric-Algorithm`PZPWSTR`RSA`...``: name, type and value in turn.
fn names_rsa(value: &str) -> bool {
    let fields: Vec<&str> = value.split('`').collect();
    let stated = fields
        .windows(3)
        .find(|window| window[0].eq_ignore_ascii_case("msPKI-Asymmetric-Algorithm"))
        .map(|window| window[2].eq_ignore_ascii_case("RSA"));
    stated.unwrap_or_else(|| fields.iter().any(|field| field.trim().eq_ignore_ascii_case("RSA")))
}

/// An LDAP integer: 32 bits, signed, in decimal.
fn integer(text: &str) -> Option<u32> {
    let number: i64 = text.trim().parse().ok()?;
    (-(1_i64 << 31)..(1_i64 << 32))
        .contains(&number)
        .then(|| u32::try_from(number & 0xffff_ffff).ok())
        .flatten()
}
