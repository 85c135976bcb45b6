//! What is run on hostile bytes, by the fuzzer and by `tests/ekstore/properties.rs` alike. Each must return.

use ekstore::cert::container;
use ekstore::cert::tpm::{DirectoryAttributes, TpmAttributes};
use ekstore::cert::tpm_public::EkPublic;
use ekstore::cms::SignedData;
use ekstore::crl::Crl;
use ekstore::export::{p7b, reg, sst};
use ekstore::package::Signature;
use ekstore::package::cabinet::{self, Limits};
use ekstore::package::edition::History;
use ekstore::package::timestamp::Timestamp;
use ekstore::verify::revocation::CrlSet;
use ekstore::verify::trust::{Anchor, TrustStore};
use ekstore::verify::{Moment, Policy, Verifier};

/// Certificates, PEM, NV dumps: decoded, every field asked for, and judged with themselves as stores and chain.
pub fn certificates(bytes: &[u8]) {
    let Ok(found) = container::read(bytes) else { return };
    let certificates: Vec<_> = found.iter().take(16).map(|found| found.certificate.clone()).collect();
    let mut trust = TrustStore::default();
    for certificate in &certificates {
        let _ = (certificate.subject().to_string(), certificate.issuer().canonical().len());
        let _ = (certificate.policies(), certificate.policy_mappings(), certificate.policy_limits());
        let _ = (certificate.name_constraints(), certificate.crl_distribution_points());
        let _ =
            (certificate.authority_info(), certificate.inhibit_any_policy(), certificate.key().describe());
        let _ = (TpmAttributes::of(certificate), DirectoryAttributes::of(certificate));
        let _ = EkPublic::of(&certificate.key());
        trust.add_anchor(Anchor { certificate: certificate.clone(), sha1: true, manufacturers: None });
        trust.add_intermediate(certificate.clone());
    }
    let verifier = Verifier::new(trust, Policy::default(), CrlSet::default());
    for certificate in &certificates {
        verifier.verify(certificate, &certificates, Moment::Issuance, None);
    }
}

/// CRLs.
pub fn crl(bytes: &[u8]) {
    for crl in Crl::read(bytes).unwrap_or_default() {
        let _ = crl.revocation(crl.issuer(), &[1]);
        let _ = crl.is_current(crl.this_update());
    }
}

/// TPM public areas and keys.
pub fn tpm_public(bytes: &[u8]) {
    let _ = EkPublic::read(bytes);
}

/// A store's log.
pub fn log(bytes: &[u8]) {
    for acknowledged in [0, bytes.len() as u64] {
        if let Ok(log) = ekstore::log::read(bytes, acknowledged) {
            let _ = ekstore::store::Stores::fold(&log);
        }
    }
}

/// Signed packages: the archive, the signature over it, the message in the signature, a time stamp, a version.txt.
pub fn package(bytes: &[u8]) {
    let limits = Limits { total: 4 << 20, ..Limits::default() };
    let _ = cabinet::unpack(bytes, &limits);
    if let Ok(signature) = Signature::read(bytes) {
        let _ = signature.trust(std::slice::from_ref(&signature.signer), ekstore::time::Time::from_unix(0));
    }
    if let Ok((signed, _)) = SignedData::read(bytes) {
        let certificates = signed.decoded_certificates();
        for signer in &signed.signers {
            let _ = signer
                .certificate(&certificates)
                .map(|certificate| signed.verify(signer, certificate, bytes));
        }
    }
    let _ = Timestamp::read(bytes, bytes);
    let _ = History::read(bytes);
}

/// What a CA gives back, and what people bring: serialized stores, registry files, PKCS#7, LDIF, tables of hashes.
pub fn windows(bytes: &[u8]) {
    if let Ok(content) = ekstore::adcs::held::read(bytes) {
        for (_, der) in &content.certificates {
            let _ = container::read(der);
        }
    }
    let (_, _, _) = (sst::read(bytes), reg::read(bytes), p7b::read(bytes));
    if let Ok(records) = ekstore::adcs::ldif::read(bytes) {
        records.iter().for_each(|record| {
            let _ = ekstore::adcs::template::check(record);
        });
    }
    let _ = ekstore::ekpub::read_table(bytes, "fuzz");
    let _ = ekstore::adcs::hresult::explain(&String::from_utf8_lossy(bytes));
}
