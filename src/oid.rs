//! Object identifiers by name, each with the document that defines it.

use der::asn1::ObjectIdentifier;

macro_rules! oids {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        $($(#[$doc])* pub const $name: ObjectIdentifier = ObjectIdentifier::new_unwrap($value);)*
    };
}

oids! {
    /// rsaEncryption, RFC 8017 appendix C.
    RSA_ENCRYPTION = "1.2.840.113549.1.1.1";
    /// sha1WithRSAEncryption, RFC 8017 appendix C.
    SHA1_WITH_RSA = "1.2.840.113549.1.1.5";
    /// id-RSAES-OAEP, RFC 4055 §4.1: the key algorithm of TPM 1.2 endorsement certificates.
    RSAES_OAEP = "1.2.840.113549.1.1.7";
    /// id-RSASSA-PSS, RFC 4055 §3.1.
    RSASSA_PSS = "1.2.840.113549.1.1.10";
    /// sha256WithRSAEncryption, RFC 8017 appendix C.
    SHA256_WITH_RSA = "1.2.840.113549.1.1.11";
    /// sha384WithRSAEncryption, RFC 8017 appendix C.
    SHA384_WITH_RSA = "1.2.840.113549.1.1.12";
    /// sha512WithRSAEncryption, RFC 8017 appendix C.
    SHA512_WITH_RSA = "1.2.840.113549.1.1.13";
    /// id-ecPublicKey, RFC 5480 §2.1.1.
    EC_PUBLIC_KEY = "1.2.840.10045.2.1";
    /// secp256r1, RFC 5480 §2.1.1.1.
    P256 = "1.2.840.10045.3.1.7";
    /// secp384r1, RFC 5480 §2.1.1.1.
    P384 = "1.3.132.0.34";
    /// secp521r1, RFC 5480 §2.1.1.1.
    P521 = "1.3.132.0.35";
    /// ecdsa-with-SHA1, RFC 3279 §2.2.3.
    ECDSA_WITH_SHA1 = "1.2.840.10045.4.1";
    /// ecdsa-with-SHA256, RFC 5758 §3.2.
    ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2";
    /// ecdsa-with-SHA384, RFC 5758 §3.2.
    ECDSA_WITH_SHA384 = "1.2.840.10045.4.3.3";
    /// ecdsa-with-SHA512, RFC 5758 §3.2.
    ECDSA_WITH_SHA512 = "1.2.840.10045.4.3.4";
    /// id-sha256, RFC 5754 §2.2.
    SHA256 = "2.16.840.1.101.3.4.2.1";
    /// id-sha384, RFC 5754 §2.3.
    SHA384 = "2.16.840.1.101.3.4.2.2";
    /// id-sha512, RFC 5754 §2.4.
    SHA512 = "2.16.840.1.101.3.4.2.3";
    /// id-Ed25519, RFC 8410 §3.
    ED25519 = "1.3.101.112";

    /// subjectDirectoryAttributes, RFC 5280 §4.2.1.8.
    SUBJECT_DIRECTORY_ATTRIBUTES = "2.5.29.9";
    /// subjectKeyIdentifier, RFC 5280 §4.2.1.2.
    SUBJECT_KEY_IDENTIFIER = "2.5.29.14";
    /// keyUsage, RFC 5280 §4.2.1.3.
    KEY_USAGE = "2.5.29.15";
    /// subjectAltName, RFC 5280 §4.2.1.6.
    SUBJECT_ALT_NAME = "2.5.29.17";
    /// basicConstraints, RFC 5280 §4.2.1.9.
    BASIC_CONSTRAINTS = "2.5.29.19";
    /// nameConstraints, RFC 5280 §4.2.1.10.
    NAME_CONSTRAINTS = "2.5.29.30";
    /// cRLDistributionPoints, RFC 5280 §4.2.1.13.
    CRL_DISTRIBUTION_POINTS = "2.5.29.31";
    /// certificatePolicies, RFC 5280 §4.2.1.4.
    CERTIFICATE_POLICIES = "2.5.29.32";
    /// policyMappings, RFC 5280 §4.2.1.5.
    POLICY_MAPPINGS = "2.5.29.33";
    /// authorityKeyIdentifier, RFC 5280 §4.2.1.1.
    AUTHORITY_KEY_IDENTIFIER = "2.5.29.35";
    /// policyConstraints, RFC 5280 §4.2.1.11.
    POLICY_CONSTRAINTS = "2.5.29.36";
    /// extKeyUsage, RFC 5280 §4.2.1.12.
    EXTENDED_KEY_USAGE = "2.5.29.37";
    /// inhibitAnyPolicy, RFC 5280 §4.2.1.14.
    INHIBIT_ANY_POLICY = "2.5.29.54";
    /// authorityInfoAccess, RFC 5280 §4.2.2.1.
    AUTHORITY_INFO_ACCESS = "1.3.6.1.5.5.7.1.1";
    /// id-ad-caIssuers, RFC 5280 §4.2.2.1.
    CA_ISSUERS = "1.3.6.1.5.5.7.48.2";

    /// tcg-at-tpmManufacturer, TCG EK Credential Profile §3.2 (subject alternative name).
    TPM_MANUFACTURER = "2.23.133.2.1";
    /// tcg-at-tpmModel, TCG EK Credential Profile §3.2 (subject alternative name).
    TPM_MODEL = "2.23.133.2.2";
    /// tcg-at-tpmVersion, TCG EK Credential Profile §3.2 (subject alternative name).
    TPM_VERSION = "2.23.133.2.3";
    /// tcg-at-tpmSpecification, TCG EK Credential Profile §3.2 (subject directory attributes).
    TPM_SPECIFICATION = "2.23.133.2.16";
    /// tcg-at-tpmSecurityAssertions, TCG EK Credential Profile §3.2 (subject directory attributes).
    TPM_SECURITY_ASSERTIONS = "2.23.133.2.18";
    /// tcg-kp-EKCertificate, the extended key usage of EK certificates.
    EK_CERTIFICATE = "2.23.133.8.1";
    /// tcg-kp-AIKCertificate, the extended key usage of attestation identity key certificates.
    AIK_CERTIFICATE = "2.23.133.8.3";

    /// id-data, RFC 5652 §4.
    DATA = "1.2.840.113549.1.7.1";
    /// id-signedData, RFC 5652 §5.1.
    SIGNED_DATA = "1.2.840.113549.1.7.2";
    /// id-contentType, RFC 5652 §11.1.
    CONTENT_TYPE = "1.2.840.113549.1.9.3";
    /// id-messageDigest, RFC 5652 §11.2.
    MESSAGE_DIGEST = "1.2.840.113549.1.9.4";
    /// id-ct-TSTInfo, RFC 3161 §2.4.2.
    TST_INFO = "1.2.840.113549.1.9.16.1.4";
    /// id-aa-signingCertificate, RFC 5035 §5 (ESS, certificate hashed with SHA-1).
    SIGNING_CERTIFICATE = "1.2.840.113549.1.9.16.2.12";
    /// id-aa-signingCertificateV2, RFC 5035 §3.
    SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47";
    /// SPC_INDIRECT_DATA_OBJID: what an Authenticode signature is over.
    SPC_INDIRECT_DATA = "1.3.6.1.4.1.311.2.1.4";
    /// szOID_RFC3161_counterSign: an RFC 3161 time stamp of an Authenticode signature.
    RFC3161_COUNTERSIGNATURE = "1.3.6.1.4.1.311.3.3.1";
    /// id-kp-codeSigning, RFC 5280 §4.2.1.12.
    CODE_SIGNING = "1.3.6.1.5.5.7.3.3";
    /// id-kp-timeStamping, RFC 5280 §4.2.1.12.
    TIME_STAMPING = "1.3.6.1.5.5.7.3.8";

    /// 21.32: the endorsement key was trusted on use (MS-WCCE).
    EK_TRUST_ON_USE = "1.3.6.1.4.1.311.21.32";
    /// 21.31: the endorsement certificate was verified (MS-WCCE).
    EK_CERTIFICATE_VERIFIED = "1.3.6.1.4.1.311.21.31";
    /// 21.30: the endorsement key was verified (MS-WCCE).
    EK_VERIFIED = "1.3.6.1.4.1.311.21.30";

    /// anyExtendedKeyUsage, RFC 5280 §4.2.1.12.
    ANY_EXTENDED_KEY_USAGE = "2.5.29.37.0";

    /// id-at-commonName, X.520.
    COMMON_NAME = "2.5.4.3";
    /// id-at-serialNumber, X.520.
    SERIAL_NUMBER = "2.5.4.5";
    /// id-at-countryName, X.520.
    COUNTRY = "2.5.4.6";
    /// id-at-localityName, X.520.
    LOCALITY = "2.5.4.7";
    /// id-at-stateOrProvinceName, X.520.
    STATE = "2.5.4.8";
    /// id-at-organizationName, X.520.
    ORGANIZATION = "2.5.4.10";
    /// id-at-organizationalUnitName, X.520.
    ORGANIZATIONAL_UNIT = "2.5.4.11";
    /// id-domainComponent, RFC 4519 §2.4.
    DOMAIN_COMPONENT = "0.9.2342.19200300.100.1.25";
    /// emailAddress, RFC 2985 §5.2.1.
    EMAIL_ADDRESS = "1.2.840.113549.1.9.1";
}

/// The dotted text of an OBJECT IDENTIFIER's content octets, or `oid:` and hexadecimal where they are malformed.
pub fn dotted(content: &[u8]) -> String {
    ObjectIdentifier::from_bytes(content)
        .map_or_else(|_| format!("oid:{}", data_encoding::HEXLOWER.encode(content)), |oid| oid.to_string())
}
