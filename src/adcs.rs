//! Is this AD CS certification authority ready to attest, and did the import take? Pure functions of what was read back
//! from it.

pub mod chain;
pub mod held;
pub mod hresult;
pub mod issued;
pub mod ldif;
pub mod plan;
pub mod template;

use serde::{Deserialize, Serialize};

/// The three ways that a CA attests a TPM key, by what is believed about the endorsement key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// User credentials: low assurance.
    User,
    /// Endorsement certificate: medium assurance. EKROOT and EKCA are needed.
    Certificate,
    /// Endorsement key: high assurance. The list of EKPub hashes is needed.
    Key,
}

impl Method {
    /// All, from low to high.
    pub const ALL: [Method; 3] = [Method::User, Method::Certificate, Method::Key];

    /// The name in the console of certificate templates.
    pub const fn title(self) -> &'static str {
        match self {
            Method::User => "User credentials",
            Method::Certificate => "Endorsement certificate",
            Method::Key => "Endorsement key",
        }
    }

    /// The assurance.
    pub const fn assurance(self) -> &'static str {
        match self {
            Method::User => "low",
            Method::Certificate => "medium",
            Method::Key => "high",
        }
    }

    /// The issuance policy that an issued certificate carries (MS-WCCE; Microsoft, "TPM Key Attestation").
    pub const fn policy(self) -> der::asn1::ObjectIdentifier {
        match self {
            Method::User => crate::oid::EK_TRUST_ON_USE,
            Method::Certificate => crate::oid::EK_CERTIFICATE_VERIFIED,
            Method::Key => crate::oid::EK_VERIFIED,
        }
    }

    /// The bit in msPKI-Private-Key-Flag (MS-CRTD §2.27).
    pub const fn flag(self) -> u32 {
        match self {
            Method::User => 0x200,
            Method::Certificate => 0x400,
            Method::Key => 0x800,
        }
    }
}
