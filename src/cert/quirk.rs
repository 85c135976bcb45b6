//! Departures from DER, RFC 5280 or the TCG profile that are tolerated, named, and reported.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A tolerated departure. The code (kebab-case of the variant) is stable; [`Quirk::explain`] says it in words.
///
/// Those of the first group belong to the octets around the certificate, the others to the certificate itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quirk {
    /// Octets before the certificate, such as a length field of the program that read it.
    LeadingBytes,
    /// Octets after the certificate: padding of an NV index (Infineon, STMicroelectronics, Nuvoton) or a stray byte
    /// (two of AMD's in TrustedTpm.cab).
    TrailingBytes,
    /// The seven-octet header of a TPM 1.2 NV index: TCG_PCCLIENT_STORED_CERT and TCG_FULL_CERT.
    TcgNvHeader,
    /// Text in UTF-16, or with a byte order mark, as Windows' tools write it; RFC 7468 §2 is ASCII.
    TextEncoding,
    /// Base64 of the certificate without PEM's lines around it, as the registry and scripts have it.
    BareBase64,
    /// PEM with all base64 on one line (six of AMD's in TrustedTpm.cab); RFC 7468 §2 wants 64 characters.
    PemLongLine,
    /// OpenSSL's TRUSTED CERTIFICATE: trust settings follow the certificate; they are not read.
    PemTrusted,

    /// A serialNumber with leading zero octets (six STMicroelectronics intermediates); X.690 §8.3.2.
    SerialNotMinimal,
    /// A serialNumber of zero or below; RFC 5280 §4.1.2.2.
    SerialNotPositive,
    /// A serialNumber of more than 20 octets; RFC 5280 §4.1.2.2.
    SerialTooLong,
    /// The members of a SET OF in a name out of order (Nuvoton); X.690 §11.6.
    SetOfUnsorted,
    /// A DEFAULT written out: version v1, critical FALSE or cA FALSE (Intel, AMD); X.690 §11.5.
    DefaultEncoded,
    /// A BOOLEAN TRUE other than FF; X.690 §11.1.
    BooleanNotCanonical,
    /// keyUsage with trailing zero bits (Infineon, STMicroelectronics, Intel); X.690 §11.2.2.
    KeyUsageTrailingZeros,
    /// GeneralizedTime for a year before 2050 (AMD); RFC 5280 §4.1.2.5.
    GeneralizedTimeBefore2050,
    /// notAfter is 9999-12-31T23:59:59Z: no end is stated (STSAFE, swtpm); RFC 5280 §4.1.2.5.
    NoEndDate,
    /// NULL parameters in an ECDSA AlgorithmIdentifier (two Intel OnDie CAs); RFC 5758 §3.2 wants none.
    EcdsaParametersNull,
    /// No parameters in an RSA AlgorithmIdentifier; RFC 4055 §1.2 wants NULL.
    RsaParametersAbsent,
    /// The signature algorithm named outside differs from the one that is signed; RFC 5280 §4.1.1.2.
    SignatureAlgorithmMismatch,
    /// The signature's BIT STRING does not end at an octet. Carried, but such a signature never verifies.
    SignatureNotOctets,
    /// The key's algorithm is id-RSAES-OAEP (TPM 1.2 EK certificates); the octets are an ordinary RSAPublicKey.
    RsaesOaepKey,
    /// Extensions in a certificate that does not say v3; RFC 5280 §4.1.2.1.
    ExtensionsBeforeV3,
    /// An extension occurs twice; RFC 5280 §4.2.
    ExtensionDuplicate,
    /// The content of an extension that we read is malformed. Carried, but never valid in a path.
    ExtensionMalformed,
    /// basicConstraints is not critical on a CA certificate; RFC 5280 §4.2.1.9.
    BasicConstraintsNotCritical,
}

impl Quirk {
    /// The stable code, such as `serial-not-minimal`.
    pub fn code(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// One sentence for people, without a final period.
    pub const fn explain(self) -> &'static str {
        match self {
            Quirk::LeadingBytes => "octets stand before the certificate",
            Quirk::TrailingBytes => "octets follow the certificate (padding); they are not part of it",
            Quirk::TcgNvHeader => "a TPM 1.2 NV header stands before the certificate",
            Quirk::TextEncoding => "the text is UTF-16 or starts with a byte order mark",
            Quirk::BareBase64 => "bare base64, without the lines of PEM around it",
            Quirk::PemLongLine => "the PEM has all its base64 on one line",
            Quirk::PemTrusted => "OpenSSL's TRUSTED form; its trust settings are ignored",
            Quirk::SerialNotMinimal => "the serial number has leading zero octets, which DER forbids",
            Quirk::SerialNotPositive => "the serial number is not positive",
            Quirk::SerialTooLong => "the serial number is longer than 20 octets",
            Quirk::SetOfUnsorted => "a SET OF in a name is not sorted, which DER demands",
            Quirk::DefaultEncoded => "a default value is written out, which DER forbids",
            Quirk::BooleanNotCanonical => "a BOOLEAN TRUE is not FF, which DER demands",
            Quirk::KeyUsageTrailingZeros => "keyUsage ends in zero bits, which DER forbids",
            Quirk::GeneralizedTimeBefore2050 => "a date before 2050 is a GeneralizedTime",
            Quirk::NoEndDate => "the validity has no end (year 9999)",
            Quirk::EcdsaParametersNull => "an ECDSA algorithm identifier carries NULL parameters",
            Quirk::RsaParametersAbsent => "an RSA algorithm identifier lacks its NULL parameters",
            Quirk::SignatureAlgorithmMismatch => "the inner and outer signature algorithms differ",
            Quirk::SignatureNotOctets => "the signature does not end at an octet, so it never verifies",
            Quirk::RsaesOaepKey => "the key is named RSAES-OAEP, as TPM 1.2 does; it is an ordinary RSA key",
            Quirk::ExtensionsBeforeV3 => "the certificate has extensions but is not version 3",
            Quirk::ExtensionDuplicate => "an extension occurs twice",
            Quirk::ExtensionMalformed => "the content of an extension is malformed",
            Quirk::BasicConstraintsNotCritical => "basicConstraints of a CA is not critical",
        }
    }
}

impl fmt::Display for Quirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.code())
    }
}
