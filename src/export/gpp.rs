//! Group Policy Preferences registry items that write both stores (MS-GPPREF §2.2.1.17). They only add.
//!
//! Preferences write the plain location of the stores. Whether EKROOT merges the one under Policies, as the built-in
//! stores do, is not confirmed, so that is not used.

use crate::export::reg::SYSTEM_CERTIFICATES;
use crate::export::{Options, element};
use crate::fingerprint::Digest;
use crate::store::Stores;

/// The outer and the inner element's class (MS-GPPREF §2.2.1.1).
const SETTINGS: &str = "{A3CCFC41-DFDB-43a5-8D26-0FE8B954DA51}";
const ITEM: &str = "{9CD4B2F4-923D-47f5-A062-E897DD1DAD50}";

/// Writes one item a certificate.
pub fn write(stores: &Stores, options: &Options) -> Vec<u8> {
    let mut text =
        format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<RegistrySettings clsid=\"{SETTINGS}\">\r\n");
    for store in options.stores() {
        for record in options.select(stores, store) {
            let thumbprint = record.certificate.thumbprint().to_upper_hex();
            let value = data_encoding::HEXUPPER.encode(&element::write_with_hash(record.certificate.der()));
            let key = format!("{SYSTEM_CERTIFICATES}\\{store}\\Certificates\\{thumbprint}");
            // The item's identity, from its key: the same certificate is the same item in every export.
            let id = Digest::of(key.as_bytes()).to_upper_hex();
            let uid =
                format!("{{{}-{}-{}-{}-{}}}", &id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..32]);
            text.push_str(&format!(
                "  <Registry clsid=\"{ITEM}\" name=\"Blob\" status=\"Blob\" image=\"17\" uid=\"{uid}\">\r\n    <Properties \
                 action=\"U\" displayDecimal=\"0\" default=\"0\" hive=\"HKEY_LOCAL_MACHINE\" key=\"{key}\" name=\"Blob\" \
                 type=\"REG_BINARY\" value=\"{value}\"/>\r\n  </Registry>\r\n"
            ));
        }
    }
    text.push_str("</RegistrySettings>\r\n");
    text.into_bytes()
}
