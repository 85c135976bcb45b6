//! Certificate authorities and EK certificates made on the spot.

use der::asn1::ObjectIdentifier;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PublicKeyData, RevokedCertParams, RsaKeySize, SerialNumber, date_time_ymd,
};

use crate::cert::tlv::element;
use crate::oid;

/// The kind of a key, and so of the signatures it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA-2048, SHA-256.
    Rsa,
    /// P-256, SHA-256.
    P256,
    /// P-384, SHA-384.
    P384,
}

impl KeyKind {
    /// Makes a key pair.
    ///
    /// # Errors
    ///
    /// What the generator says; it fails only if the system gives no randomness.
    pub fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            KeyKind::Rsa => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
            KeyKind::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
            KeyKind::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        }
    }
}

/// A certificate authority with its key.
pub struct Authority {
    params: CertificateParams,
    pkcs8: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

/// What an EK certificate says.
#[derive(Debug, Clone)]
pub struct Ek {
    /// The serial number.
    pub serial: u64,
    /// The first and the last year of its validity.
    pub years: (i32, i32),
    /// tpmManufacturer: `id:` and eight hexadecimal digits.
    pub manufacturer: String,
    /// tpmModel.
    pub model: String,
    /// Where its CA publishes a CRL.
    pub crl: Option<String>,
    /// Where its CA publishes its own certificate.
    pub aia: Option<String>,
}

fn ca_params(name: &str, serial: u8, path_len: Option<u8>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "XX");
    params.distinguished_name.push(DnType::OrganizationName, "Demo TPM Works");
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from_slice(&[serial]));
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params.is_ca = IsCa::Ca(path_len.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.key_identifier_method = KeyIdMethod::Sha256;
    params
}

impl Authority {
    /// Makes a self-signed root.
    ///
    /// # Errors
    ///
    /// What the generator says.
    pub fn root(name: &str, kind: KeyKind, serial: u8) -> Result<Self, rcgen::Error> {
        let key = kind.generate()?;
        let params = ca_params(name, serial, None);
        let der = params.self_signed(&key)?.der().to_vec();
        Ok(Self::new(params, key, der))
    }

    /// Makes an intermediate under this CA, which may issue no further CAs.
    ///
    /// # Errors
    ///
    /// What the generator says.
    pub fn intermediate(&self, name: &str, kind: KeyKind, serial: u8) -> Result<Self, rcgen::Error> {
        self.certify(name, kind.generate()?, serial)
    }

    /// As [`Authority::intermediate`], with a distribution point for this CA's CRL.
    ///
    /// # Errors
    ///
    /// What the generator says.
    pub fn intermediate_naming_crl(
        &self,
        name: &str,
        kind: KeyKind,
        serial: u8,
        crl: &str,
    ) -> Result<Self, rcgen::Error> {
        let key = kind.generate()?;
        let mut params = ca_params(name, serial, Some(0));
        params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![crl.to_owned()] }];
        let der = params.signed_by(&key, &self.issuer)?.der().to_vec();
        Ok(Self::new(params, key, der))
    }

    /// Makes an intermediate without a limit on the CAs below it.
    ///
    /// # Errors
    ///
    /// What the generator says.
    pub fn unlimited_intermediate(&self, name: &str, serial: u8) -> Result<Self, rcgen::Error> {
        let key = KeyKind::P256.generate()?;
        let params = ca_params(name, serial, None);
        let der = params.signed_by(&key, &self.issuer)?.der().to_vec();
        Ok(Self::new(params, key, der))
    }

    /// Makes an intermediate that asserts `count` certificate policies.
    ///
    /// # Errors
    ///
    /// What the generator says.
    pub fn with_policies(&self, name: &str, serial: u8, count: u16) -> Result<Self, rcgen::Error> {
        let key = KeyKind::P256.generate()?;
        let mut params = ca_params(name, serial, Some(0));
        let policy = |number: u16| {
            let [high, low] = [0x80 | (number >> 7).to_be_bytes()[1], number.to_be_bytes()[1] & 0x7f];
            element(0x30, &element(0x06, &[0x2a, 0x03, high, low]))
        };
        let policies: Vec<u8> = (0x80..0x80 + count).flat_map(policy).collect();
        let content = element(0x30, &policies);
        params.custom_extensions =
            vec![CustomExtension::from_oid_content(&arcs(&oid::CERTIFICATE_POLICIES), content)];
        let der = params.signed_by(&key, &self.issuer)?.der().to_vec();
        Ok(Self::new(params, key, der))
    }

    /// Makes another certificate for the key and name of `other`, as a manufacturer does that re-issues.
    ///
    /// # Errors
    ///
    /// What the generator says.
    pub fn reissue(&self, other: &Authority, serial: u8) -> Result<Self, rcgen::Error> {
        self.reissue_numbered(other, serial.into())
    }

    /// As [`Authority::reissue`], with a longer serial number.
    ///
    /// # Errors
    ///
    /// What the generator says.
    pub fn reissue_numbered(&self, other: &Authority, serial: u64) -> Result<Self, rcgen::Error> {
        let mut params = other.params.clone();
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::try_from(other.pkcs8.as_slice())?;
        let der = params.signed_by(&key, &self.issuer)?.der().to_vec();
        Ok(Self::new(params, key, der))
    }

    fn certify(&self, name: &str, key: KeyPair, serial: u8) -> Result<Self, rcgen::Error> {
        let params = ca_params(name, serial, Some(0));
        let der = params.signed_by(&key, &self.issuer)?.der().to_vec();
        Ok(Self::new(params, key, der))
    }

    /// Makes an intermediate under this CA that may issue one more level of CAs.
    ///
    /// # Errors
    ///
    /// What the generator says.
    pub fn upper_intermediate(&self, name: &str, kind: KeyKind, serial: u8) -> Result<Self, rcgen::Error> {
        let key = kind.generate()?;
        let params = ca_params(name, serial, Some(1));
        let der = params.signed_by(&key, &self.issuer)?.der().to_vec();
        Ok(Self::new(params, key, der))
    }

    fn new(params: CertificateParams, key: KeyPair, der: Vec<u8>) -> Self {
        let pkcs8 = key.serialize_der();
        Self { issuer: Issuer::new(params.clone(), key), params, pkcs8, der }
    }

    /// The certificate's DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Issues an EK certificate for a new key.
    ///
    /// # Errors
    ///
    /// What the generator says.
    pub fn ek(&self, kind: KeyKind, ek: &Ek) -> Result<Vec<u8>, rcgen::Error> {
        self.ek_for(&kind.generate()?, kind, ek)
    }

    /// Issues an EK certificate for a key that exists: a large load draws on a pool of keys.
    ///
    /// # Errors
    ///
    /// What the generator says.
    pub fn ek_for(&self, key: &impl PublicKeyData, kind: KeyKind, ek: &Ek) -> Result<Vec<u8>, rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from(ek.serial));
        params.not_before = date_time_ymd(ek.years.0, 1, 1);
        params.not_after = date_time_ymd(ek.years.1, 12, 31);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![match kind {
            KeyKind::Rsa => KeyUsagePurpose::KeyEncipherment,
            KeyKind::P256 | KeyKind::P384 => KeyUsagePurpose::KeyAgreement,
        }];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(arcs(&oid::EK_CERTIFICATE))];
        params.use_authority_key_identifier_extension = true;
        params.custom_extensions = vec![tpm_names(&ek.manufacturer, &ek.model, "id:00010002")];
        params.custom_extensions.extend(ek.aia.iter().map(|uri| ca_issuers(uri)));
        let points = ek.crl.iter().map(|uri| CrlDistributionPoint { uris: vec![uri.clone()] });
        params.crl_distribution_points = points.collect();
        Ok(params.signed_by(key, &self.issuer)?.der().to_vec())
    }

    /// Issues a CRL that revokes these serial numbers.
    ///
    /// # Errors
    ///
    /// What the generator says.
    pub fn crl(&self, revoked: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2049, 1, 1),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from_slice(&[*serial]),
                    revocation_time: date_time_ymd(2025, 6, 1),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.der().to_vec())
    }
}

fn arcs(oid: &ObjectIdentifier) -> Vec<u64> {
    oid.arcs().map(u64::from).collect()
}

/// authorityInfoAccess with one caIssuers.
fn ca_issuers(uri: &str) -> CustomExtension {
    let access = [element(0x06, oid::CA_ISSUERS.as_bytes()), element(0x86, uri.as_bytes())].concat();
    let content = element(0x30, &element(0x30, &access));
    CustomExtension::from_oid_content(&arcs(&oid::AUTHORITY_INFO_ACCESS), content)
}

/// A critical subjectAltName with the TPM's attributes, one relative distinguished name each.
fn tpm_names(manufacturer: &str, model: &str, version: &str) -> CustomExtension {
    let attributes =
        [(oid::TPM_MANUFACTURER, manufacturer), (oid::TPM_MODEL, model), (oid::TPM_VERSION, version)];
    let rdns: Vec<u8> = attributes
        .iter()
        .flat_map(|(oid, text)| {
            let pair = [element(0x06, oid.as_bytes()), element(0x0c, text.as_bytes())].concat();
            element(0x31, &element(0x30, &pair))
        })
        .collect();
    let names = element(0x30, &element(0xa4, &element(0x30, &rdns)));
    let mut extension = CustomExtension::from_oid_content(&arcs(&oid::SUBJECT_ALT_NAME), names);
    extension.set_criticality(true);
    extension
}

/// A TLS server's certificate for these host names, under a root of its own: the root's PEM, the certificate's DER, and
/// the key's PKCS#8.
///
/// # Errors
///
/// What the generator says.
pub fn tls(hosts: &[String]) -> Result<(String, Vec<u8>, Vec<u8>), rcgen::Error> {
    let root = Authority::root("TLS root of this machine", KeyKind::P256, 1)?;
    let key = KeyKind::P256.generate()?;
    let mut params = CertificateParams::new(hosts)?;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.signed_by(&key, &root.issuer)?;
    Ok((crate::cert::pem::write(&root.der), certificate.der().to_vec(), key.serialize_der()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cert::decode;
    use crate::cert::tpm::TpmAttributes;

    #[test]
    fn what_is_made_reads_back() {
        let root = Authority::root("Root", KeyKind::P256, 1).expect("made");
        let ca = root.intermediate("CA", KeyKind::P384, 2).expect("made");
        let ek = Ek {
            serial: 7,
            years: (2024, 2034),
            manufacturer: "id:49465800".into(),
            model: "SLB".into(),
            crl: None,
            aia: None,
        };
        let der = ca.ek(KeyKind::P256, &ek).expect("made");
        let leaf = decode::certificate(&der).expect("a certificate");
        assert!(
            leaf.subject().is_empty() && !leaf.is_ca() && leaf.quirks().is_empty(),
            "{:?}",
            leaf.quirks()
        );
        assert_eq!(TpmAttributes::of(&leaf).model.as_deref(), Some("SLB"));
        let twin = root.reissue(&ca, 3).expect("made");
        let (ca, twin) = (decode::certificate(ca.der()), decode::certificate(twin.der()));
        let (ca, twin) = (ca.expect("a certificate"), twin.expect("a certificate"));
        assert_eq!(ca.key().fingerprint(), twin.key().fingerprint());
        assert_ne!(ca, twin);
    }
}
