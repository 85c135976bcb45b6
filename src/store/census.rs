//! What the stores hold, counted by manufacturer.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::store::placement::Flag;
use crate::store::record::{Purpose, State};
use crate::store::{StoreName, Stores};
use crate::time::Time;
use crate::verify::chain;

/// The approved certificates of one manufacturer. AIK CAs are counted apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// All that are approved for EK certificates.
    pub certificates: usize,
    /// Those in EKROOT.
    pub ekroot: usize,
    /// Those in EKCA.
    pub ekca: usize,
    /// Those without a path to an anchor, which are in neither.
    pub orphans: usize,
    /// Those that no source vouches for today: reviewers approved them, or a package withdrew them.
    pub no_source: usize,
    /// Those that one source vouches for.
    pub one_source: usize,
    /// Those that two or more sources vouch for.
    pub several_sources: usize,
    /// Those that are not valid any more.
    pub expired: usize,
    /// Those that are signed with SHA-1.
    pub sha1: usize,
    /// Those that a package withdrew, and no reviewer decided on since.
    pub withdrawn: usize,
    /// AIK CAs, kept aside.
    pub aik: usize,
}

/// Counts the approved certificates by manufacturer, as of `now`; `-` stands for those whose manufacturer is not known.
pub fn by_manufacturer(stores: &Stores, now: Time) -> BTreeMap<String, Count> {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for record in stores.records().filter(|record| stores.state(record) == State::Approved) {
        let vendor = stores.manufacturer(record).map_or_else(|| "-".to_owned(), ToString::to_string);
        match record.placement.purpose {
            Purpose::PackageSigner => continue,
            Purpose::Aik => {
                counts.entry(vendor).or_default().aik += 1;
                continue;
            }
            Purpose::Ek | Purpose::Both => {}
        }
        let count = counts.entry(vendor).or_default();
        count.certificates += 1;
        match record.store() {
            Some(StoreName::Ekroot) => count.ekroot += 1,
            Some(StoreName::Ekca) => count.ekca += 1,
            None => count.orphans += 1,
        }
        match record.vouchers().count() {
            0 => count.no_source += 1,
            1 => count.one_source += 1,
            _ => count.several_sources += 1,
        }
        count.expired += usize::from(record.certificate.validity().not_after < now);
        count.sha1 += usize::from(chain::is_sha1(&record.certificate));
        count.withdrawn += usize::from(record.placement.flags.contains(&Flag::Withdrawn));
    }
    counts
}
