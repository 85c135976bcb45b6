//! A cabinet in the layout of TrustedTpm.cab, unsigned: `<manufacturer>\RootCA`, `<manufacturer>\IntermediateCA`, and a
//! version.txt whose date is that of the last event that the stores depend on.

use std::collections::BTreeMap;

use crate::export::{Export, ExportError, Options};
use crate::package::Edition;
use crate::package::cabinet;
use crate::store::{StoreName, Stores};
use crate::vendor::VendorId;

/// Writes the cabinet. Manufacturers stand by their id in the TCG registry, certificates by their thumbprint.
///
/// # Errors
///
/// [`ExportError::Cabinet`] if it would be larger than the form allows.
pub fn export(stores: &Stores, options: &Options) -> Result<Export, ExportError> {
    let mut members: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for store in options.stores() {
        let folder = match store {
            StoreName::Ekroot => "RootCA",
            StoreName::Ekca => "IntermediateCA",
        };
        for record in options.select(stores, store) {
            let vendor = stores.manufacturer(record).map_or("Unknown", VendorId::as_str);
            let name = record.certificate.thumbprint().to_upper_hex();
            members.insert(format!("{vendor}\\{folder}\\{name}.cer"), record.certificate.der().to_vec());
        }
    }
    let count = members.len();
    let edition = Edition::of(stores.last_time());
    let version = format!(
        "The certificates were last updated on:\r\n{edition}\r\n    Generation {} of ekstore, log {}\r\n    {}\r\n",
        stores.generation(),
        stores.store_head(),
        options.describe()
    );
    members.insert("version.txt".to_owned(), version.into_bytes());
    let bytes = cabinet::pack(&members).map_err(ExportError::Cabinet)?;
    Ok(Export::file(bytes, count))
}
