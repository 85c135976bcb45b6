//! Certs-only PKCS#7: a SignedData without content and signers (RFC 5652 §5, RFC 2315 §9).

use crate::cert::pem::decode_block;
use crate::cert::tlv::element;
use crate::cms::{CmsError, SignedData};
use crate::export::{Export, Malformed, Options, UNREADABLE};
use crate::oid;
use crate::store::Stores;

/// Writes certificates as a certs-only message. They stand in the order that DER demands of a SET.
pub fn write<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut certificates: Vec<&[u8]> = certificates.into_iter().collect();
    certificates.sort_unstable();
    let kind = |id: &der::asn1::ObjectIdentifier| element(0x06, id.as_bytes());
    let fields = [
        element(0x02, &[1]),
        element(0x31, &[]),
        element(0x30, &kind(&oid::DATA)),
        element(0xa0, &certificates.concat()),
        element(0x31, &[]),
    ];
    let signed = element(0x30, &fields.concat());
    element(0x30, &[kind(&oid::SIGNED_DATA), element(0xa0, &signed)].concat())
}

/// Reads the certificates of a PKCS#7 message in DER or PEM; who signed it does not matter.
///
/// # Errors
///
/// [`CmsError`] if it is not a SignedData.
pub fn read(bytes: &[u8]) -> Result<Vec<Vec<u8>>, CmsError> {
    let decoded = decode_block(bytes, &["PKCS7", "CMS"]);
    let (signed, _) = SignedData::read(decoded.as_deref().unwrap_or(bytes))?;
    Ok(signed.certificates.into_iter().map(<[u8]>::to_vec).collect())
}

/// Both stores as one message.
pub fn export(stores: &Stores, options: &Options, malformed: Malformed) -> Export {
    let selected = options.stores().into_iter().flat_map(|store| options.select(stores, store));
    let (written, left_out): (Vec<_>, Vec<_>) = selected.partition(|record| {
        malformed == Malformed::Include || !record.certificate.quirks().contains(&UNREADABLE)
    });
    let bytes = write(written.iter().map(|record| record.certificate.der()));
    let mut export = Export::file(bytes, written.len());
    export.left_out = left_out.iter().map(|record| record.fingerprint()).collect();
    export
}
