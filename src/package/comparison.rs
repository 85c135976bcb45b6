//! Two editions of a package against each other: what changed by their contents, beside what version.txt claims.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::fingerprint::Fingerprint;
use crate::package::edition::{Claim, Verb};
use crate::package::{Contents, Edition};

/// The certificates of an earlier edition, with the members each was in.
pub type Inventory = BTreeMap<Fingerprint, Vec<String>>;

/// What changed from one edition to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The edition before.
    pub earlier: Edition,
    /// This edition.
    pub later: Edition,
    /// Certificates that are new in it.
    pub added: Vec<Change>,
    /// Certificates that are in it no more.
    pub removed: Vec<Change>,
    /// Certificates that are in it under other names.
    pub renamed: Vec<Renaming>,
    /// Where version.txt and the contents disagree.
    pub disagreements: Vec<Disagreement>,
}

/// A certificate that came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The certificate.
    pub fingerprint: Fingerprint,
    /// The members it is or was in.
    pub members: Vec<String>,
    /// The heading of version.txt that claims the same, with its date, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
}

/// A certificate under other names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renaming {
    /// The certificate.
    pub fingerprint: Fingerprint,
    /// The members it was in.
    pub from: Vec<String>,
    /// The members it is in.
    pub to: Vec<String>,
}

/// Where version.txt and the contents disagree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Disagreement {
    /// How.
    pub kind: DisagreementKind,
    /// The file name that version.txt has, or the member.
    pub name: String,
    /// The heading in version.txt with its date, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<String>,
}

/// How version.txt and the contents disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DisagreementKind {
    /// Claimed to be added, but no member has the name.
    AddedButAbsent,
    /// Claimed to be added, but it was there before, and is the same.
    AddedButThereBefore,
    /// Claimed to be removed, but there is a member with the name.
    RemovedButThere,
    /// Claimed to be removed, but it was not there.
    RemovedButNeverThere,
    /// Added, and not claimed.
    AddedUnclaimed,
    /// Removed, and not claimed.
    RemovedUnclaimed,
    /// Under another name or in another folder, and not claimed.
    RenamedUnclaimed,
}

impl DisagreementKind {
    /// The kind in words.
    pub const fn explain(self) -> &'static str {
        match self {
            DisagreementKind::AddedButAbsent => "claimed to be added, but not in it",
            DisagreementKind::AddedButThereBefore => "claimed to be added, but was there before",
            DisagreementKind::RemovedButThere => "claimed to be removed, but still in it",
            DisagreementKind::RemovedButNeverThere => "claimed to be removed, but was not there",
            DisagreementKind::AddedUnclaimed => "added, but not claimed",
            DisagreementKind::RemovedUnclaimed => "removed, but not claimed",
            DisagreementKind::RenamedUnclaimed => "renamed or moved, but not claimed",
        }
    }
}

/// A name as it is compared: the last part of a path, letter case and extension aside (version.txt leaves some out).
fn key(name: &str) -> String {
    let file = name.rsplit('\\').next().unwrap_or(name).to_lowercase();
    match file.rsplit_once('.') {
        Some((stem, "cer" | "crt" | "der" | "pem")) => stem.to_owned(),
        _ => file,
    }
}

/// What the claims say about each name. The newest claim about a name comes first.
struct Claims<'a> {
    by_name: BTreeMap<String, Vec<(&'a Claim, &'a str)>>,
}

impl<'a> Claims<'a> {
    fn new(claims: &'a [Claim]) -> Self {
        let mut by_name: BTreeMap<String, Vec<(&Claim, &str)>> = BTreeMap::new();
        for claim in claims {
            for name in &claim.names {
                by_name.entry(key(name)).or_default().push((claim, name));
            }
        }
        Self { by_name }
    }

    /// The newest claim with this verb about one of the members.
    fn about(&self, members: &[String], verb: Verb) -> Option<&'a Claim> {
        let mut all = members.iter().filter_map(|member| self.by_name.get(&key(member))).flatten();
        all.find(|(claim, _)| claim.verb == verb).map(|(claim, _)| *claim)
    }
}

fn words(claim: &Claim) -> String {
    format!("{}: {}", claim.edition, claim.heading)
}

impl Comparison {
    /// Compares `contents` with the certificates of the `earlier` edition.
    pub fn new(earlier: Edition, before: &Inventory, contents: &Contents) -> Self {
        let claims = Claims::new(contents.history.since(earlier));
        let after: Inventory = contents
            .certificates
            .iter()
            .map(|(fingerprint, packaged)| (*fingerprint, packaged.members.clone()))
            .collect();
        let change = |fingerprint: &Fingerprint, members: &[String], verb| Change {
            fingerprint: *fingerprint,
            members: members.to_vec(),
            claim: claims.about(members, verb).map(words),
        };
        let only = |one: &Inventory, other: &Inventory, verb| -> Vec<Change> {
            let missing = one.iter().filter(|(fingerprint, _)| !other.contains_key(fingerprint));
            missing.map(|(fingerprint, members)| change(fingerprint, members, verb)).collect()
        };
        let added = only(&after, before, Verb::Added);
        let removed = only(before, &after, Verb::Removed);
        let renamed: Vec<Renaming> = after
            .iter()
            .filter_map(|(fingerprint, to)| {
                let from = before.get(fingerprint).filter(|from| *from != to)?;
                Some(Renaming { fingerprint: *fingerprint, from: from.clone(), to: to.clone() })
            })
            .collect();

        let mut disagreements = BTreeSet::new();
        let mut disagree = |kind, name: &str, claim: Option<&Claim>| {
            disagreements.insert(Disagreement { kind, name: name.to_owned(), claim: claim.map(words) });
        };
        for (changes, kind) in
            [(&added, DisagreementKind::AddedUnclaimed), (&removed, DisagreementKind::RemovedUnclaimed)]
        {
            for change in changes.iter().filter(|change| change.claim.is_none()) {
                disagree(kind, change.members.first().map_or("", String::as_str), None);
            }
        }
        for renaming in &renamed {
            let members = [&renaming.from[..], &renaming.to[..]].concat();
            let claimed =
                [Verb::Renamed, Verb::Added].iter().any(|verb| claims.about(&members, *verb).is_some());
            if !claimed {
                let name = renaming.to.first().map_or("", String::as_str);
                disagree(DisagreementKind::RenamedUnclaimed, name, None);
            }
        }
        let by_name = |inventory: &Inventory| -> BTreeMap<String, BTreeSet<Fingerprint>> {
            let mut names: BTreeMap<String, BTreeSet<Fingerprint>> = BTreeMap::new();
            for (fingerprint, members) in inventory {
                for member in members {
                    names.entry(key(member)).or_default().insert(*fingerprint);
                }
            }
            names
        };
        let (names_before, names_after) = (by_name(before), by_name(&after));
        let moved: BTreeSet<Fingerprint> = renamed.iter().map(|renaming| renaming.fingerprint).collect();
        for (name, about) in &claims.by_name {
            // The newest claim is the one that must hold; what was added and removed again on the way left no trace.
            let Some((claim, written)) = about.first() else { continue };
            let there_before = names_before.get(name);
            let there = names_after.get(name);
            let kind = match (claim.verb, there_before, there) {
                (Verb::Added, _, None) => Some(DisagreementKind::AddedButAbsent),
                (Verb::Added, Some(one), Some(other))
                    if one == other && other.is_disjoint(&moved) && about.len() == 1 =>
                {
                    Some(DisagreementKind::AddedButThereBefore)
                }
                (Verb::Removed, _, Some(_)) => Some(DisagreementKind::RemovedButThere),
                (Verb::Removed, None, None) if about.len() == 1 => {
                    Some(DisagreementKind::RemovedButNeverThere)
                }
                _ => None,
            };
            if let Some(kind) = kind {
                disagree(kind, written, Some(claim));
            }
        }
        Self {
            earlier,
            later: contents.edition,
            added,
            removed,
            renamed,
            disagreements: disagreements.into_iter().collect(),
        }
    }
}
