//! What came out of a batch, in a few lines.

use std::collections::BTreeMap;

use crate::cli::ui::Ui;
use crate::cli::verify::row::Row;
use crate::verify::verdict::Verdict;

/// How many lines of one kind are told.
const LINES: usize = 10;

/// The most names that are counted: memory must not grow with what a hostile batch holds.
const NAMES: usize = 10_000;

/// Counts of a batch.
#[derive(Debug, Default)]
pub(super) struct Summary {
    trusted: u64,
    untrusted: u64,
    undetermined: u64,
    manufacturers: BTreeMap<String, (u64, u64)>,
    reasons: BTreeMap<String, u64>,
    issuers: BTreeMap<String, u64>,
}

impl Summary {
    pub(super) fn add(&mut self, row: &Row) {
        let trusted = row.verdict == Verdict::Trusted;
        match row.verdict {
            Verdict::Trusted => self.trusted += 1,
            Verdict::Untrusted => self.untrusted += 1,
            Verdict::Undetermined => self.undetermined += 1,
        }
        let manufacturer = row.manufacturer.as_deref().unwrap_or("-");
        if let Some(counts) = slot(&mut self.manufacturers, manufacturer) {
            counts.0 += u64::from(trusted);
            counts.1 += 1;
        }
        if let Some(reason) = &row.reason {
            if let Some(count) = slot(&mut self.reasons, reason) {
                *count += 1;
            }
            if let Some(count) = row.issuer.as_ref().and_then(|issuer| slot(&mut self.issuers, issuer)) {
                *count += 1;
            }
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.trusted + self.untrusted + self.undetermined
    }

    pub(super) fn print(&self, ui: &Ui) {
        ui.note(format!(
            "{} certificates: {} trusted, {} untrusted, {} undetermined",
            self.count(),
            self.trusted,
            self.untrusted,
            self.undetermined
        ));
        for (manufacturer, (trusted, all)) in most(&self.manufacturers, |(_, all)| *all) {
            ui.note(format!("  {manufacturer:<8} {trusted} of {all} trusted"));
        }
        for (reason, count) in most(&self.reasons, |count| *count) {
            ui.note(format!("  {count:>8} {reason}"));
        }
        for (issuer, count) in most(&self.issuers, |count| *count) {
            ui.note(format!("  {count:>8} not trusted under {issuer}"));
        }
    }
}

fn slot<'a, T: Default>(map: &'a mut BTreeMap<String, T>, name: &str) -> Option<&'a mut T> {
    if !map.contains_key(name) {
        if map.len() >= NAMES {
            return None;
        }
        map.insert(name.to_owned(), T::default());
    }
    map.get_mut(name)
}

/// The entries with the largest counts, largest first.
fn most<T>(map: &BTreeMap<String, T>, count: impl Fn(&T) -> u64) -> Vec<(&String, &T)> {
    let mut entries: Vec<(&String, &T)> = map.iter().collect();
    entries.sort_by_key(|(name, value)| (std::cmp::Reverse(count(value)), (*name).clone()));
    entries.truncate(LINES);
    entries
}
