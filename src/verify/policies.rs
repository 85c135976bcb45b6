//! Certificate policies along a path: RFC 5280 §6.1 with the policy graph of RFC 9618 in place of the policy tree, whose
//! size a hostile chain can make exponential.

use std::collections::{BTreeMap, BTreeSet};

use der::asn1::ObjectIdentifier;

use crate::cert::Certificate;
use crate::cert::tlv::TlvError;

/// anyPolicy, RFC 5280 §4.2.1.4.
pub const ANY_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32.0");

/// More policies or mappings than this in one certificate are refused; real ones have at most 4.
pub const MAX_POLICIES: usize = 128;

/// What a verification asks about policies: the inputs of RFC 5280 §6.1.1 (c) to (g).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyInputs {
    /// user-initial-policy-set; empty stands for any-policy.
    pub acceptable: Vec<ObjectIdentifier>,
    /// initial-explicit-policy: the path must be valid for an acceptable policy.
    pub explicit: bool,
    /// initial-policy-mapping-inhibit.
    pub inhibit_mapping: bool,
    /// initial-any-policy-inhibit.
    pub inhibit_any: bool,
}

/// Why a path's policies do not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No policy is valid for the whole path, where one is demanded (RFC 5280 §6.1.3 (f), §6.1.5 (g)).
    #[error("no acceptable policy is valid for the whole path")]
    None,
    /// A mapping names anyPolicy (RFC 5280 §6.1.4 (a)).
    #[error("policyMappings name anyPolicy")]
    MapsAny,
    /// There are more policies than [`MAX_POLICIES`].
    #[error("more than {MAX_POLICIES} policies or mappings")]
    TooMany,
    /// An extension is malformed.
    #[error(transparent)]
    Malformed(#[from] TlvError),
}

/// One valid policy at one depth.
#[derive(Debug, Clone, Default)]
struct Node {
    parents: BTreeSet<ObjectIdentifier>,
    expected: BTreeSet<ObjectIdentifier>,
}

type Level = BTreeMap<ObjectIdentifier, Node>;

/// Where the processing of a path stands (RFC 5280 §6.1.2 (a), (d) to (f)).
#[derive(Debug, Clone)]
pub struct PolicyState {
    /// The graph by depth; `None` is the RFC's NULL.
    graph: Option<Vec<Level>>,
    explicit: u32,
    mapping: u32,
    any: u32,
}

/// Where a certificate stands in its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// A CA below the anchor.
    Intermediate,
    /// The last one, which the path is for.
    Last,
}

impl PolicyState {
    /// Starts at the anchor. The RFC starts its counters at the path's length plus one, which is more than any path
    /// can use up.
    pub fn new(inputs: &PolicyInputs) -> Self {
        let counter = |now| if now { 0 } else { u32::MAX };
        let root = Node { parents: BTreeSet::new(), expected: BTreeSet::from([ANY_POLICY]) };
        Self {
            graph: Some(vec![BTreeMap::from([(ANY_POLICY, root)])]),
            explicit: counter(inputs.explicit),
            mapping: counter(inputs.inhibit_mapping),
            any: counter(inputs.inhibit_any),
        }
    }

    /// Takes in the next certificate below: RFC 5280 §6.1.3 (d) to (f), and for a CA §6.1.4 (a), (b), (h) to (j).
    ///
    /// # Errors
    ///
    /// [`PolicyError`] if the path cannot be valid any more.
    pub fn step(&mut self, certificate: &Certificate, position: Position) -> Result<(), PolicyError> {
        let self_issued = certificate.is_self_issued();
        match certificate.policies()? {
            Some(policies) => {
                if policies.len() > MAX_POLICIES {
                    return Err(PolicyError::TooMany);
                }
                let any = self.any > 0 || (position == Position::Intermediate && self_issued);
                self.grow(&policies, any);
            }
            None => self.graph = None,
        }
        if self.explicit == 0 && self.graph.is_none() {
            return Err(PolicyError::None);
        }
        if position == Position::Intermediate {
            self.map(certificate.policy_mappings()?)?;
            if !self_issued {
                self.count_down();
            }
            let limits = certificate.policy_limits()?;
            self.explicit = self.explicit.min(limits.explicit.unwrap_or(u32::MAX));
            self.mapping = self.mapping.min(limits.mapping.unwrap_or(u32::MAX));
            self.any = self.any.min(certificate.inhibit_any_policy()?.unwrap_or(u32::MAX));
        }
        Ok(())
    }

    fn count_down(&mut self) {
        for counter in [&mut self.explicit, &mut self.mapping, &mut self.any] {
            if *counter != u32::MAX {
                *counter = counter.saturating_sub(1);
            }
        }
    }

    /// Adds a level for a certificate's policies (RFC 9618 §5.2, for RFC 5280 §6.1.3 (d)).
    fn grow(&mut self, policies: &[ObjectIdentifier], any: bool) {
        let Some(graph) = &mut self.graph else { return };
        let above = graph.last().expect("the graph starts with one level");
        let mut level = Level::new();
        for policy in policies.iter().filter(|policy| **policy != ANY_POLICY) {
            let matching: BTreeSet<ObjectIdentifier> = above
                .iter()
                .filter(|(_, node)| node.expected.contains(policy))
                .map(|(oid, _)| *oid)
                .collect();
            let parents = if matching.is_empty() && above.contains_key(&ANY_POLICY) {
                BTreeSet::from([ANY_POLICY])
            } else {
                matching
            };
            if !parents.is_empty() {
                level.insert(*policy, Node { parents, expected: BTreeSet::from([*policy]) });
            }
        }
        if any && policies.contains(&ANY_POLICY) {
            let mut open: BTreeMap<ObjectIdentifier, BTreeSet<ObjectIdentifier>> = BTreeMap::new();
            for (oid, node) in above {
                for expected in node.expected.iter().filter(|expected| !level.contains_key(*expected)) {
                    open.entry(*expected).or_default().insert(*oid);
                }
            }
            for (policy, parents) in open {
                level.insert(policy, Node { parents, expected: BTreeSet::from([policy]) });
            }
        }
        graph.push(level);
        self.prune();
    }

    /// Removes nodes without children, from below; an empty last level makes the graph NULL.
    fn prune(&mut self) {
        let Some(graph) = &mut self.graph else { return };
        for depth in (1..graph.len()).rev() {
            let (above, below) = graph.split_at_mut(depth);
            let used: BTreeSet<ObjectIdentifier> =
                below[0].values().flat_map(|node| node.parents.iter().copied()).collect();
            if let Some(above) = above.last_mut() {
                above.retain(|policy, _| used.contains(policy));
            }
        }
        if graph.last().is_none_or(Level::is_empty) {
            self.graph = None;
        }
    }

    /// Applies a CA's policy mappings (RFC 5280 §6.1.4 (a), (b)).
    fn map(&mut self, mappings: Vec<(ObjectIdentifier, ObjectIdentifier)>) -> Result<(), PolicyError> {
        if mappings.len() > MAX_POLICIES {
            return Err(PolicyError::TooMany);
        }
        let mut by_issuer: BTreeMap<ObjectIdentifier, BTreeSet<ObjectIdentifier>> = BTreeMap::new();
        for (issuer, subject) in mappings {
            if issuer == ANY_POLICY || subject == ANY_POLICY {
                return Err(PolicyError::MapsAny);
            }
            by_issuer.entry(issuer).or_default().insert(subject);
        }
        let Some(level) = self.graph.as_mut().and_then(|graph| graph.last_mut()) else { return Ok(()) };
        let any_parents = level.get(&ANY_POLICY).map(|node| node.parents.clone());
        for (issuer, subjects) in by_issuer {
            if self.mapping == 0 {
                level.remove(&issuer);
            } else if let Some(node) = level.get_mut(&issuer) {
                node.expected = subjects;
            } else if let Some(parents) = &any_parents {
                level.insert(issuer, Node { parents: parents.clone(), expected: subjects });
            }
        }
        self.prune();
        Ok(())
    }

    /// Whether a certificate issued next would have `policy` valid for its path if it carried it.
    pub fn allows(&self, policy: ObjectIdentifier) -> bool {
        let last = self.graph.as_ref().and_then(|graph| graph.last());
        last.is_some_and(|level| {
            level.contains_key(&ANY_POLICY) || level.values().any(|node| node.expected.contains(&policy))
        })
    }

    /// The wrap-up at the last certificate: RFC 5280 §6.1.5 (a), (b), (g).
    ///
    /// # Errors
    ///
    /// [`PolicyError::None`] if an acceptable policy is demanded and none is left.
    pub fn finish(mut self, last: &Certificate, inputs: &PolicyInputs) -> Result<(), PolicyError> {
        if self.explicit != u32::MAX {
            self.explicit = self.explicit.saturating_sub(1);
        }
        if last.policy_limits()?.explicit == Some(0) {
            self.explicit = 0;
        }
        if self.explicit > 0 || self.has_acceptable(&inputs.acceptable) {
            Ok(())
        } else {
            Err(PolicyError::None)
        }
    }

    /// Whether a policy that the user accepts is valid for the whole path. What counts is the policy's name in the
    /// anchor's domain: that of a node below anyPolicy. Every node left has a way down to the last level.
    fn has_acceptable(&self, acceptable: &[ObjectIdentifier]) -> bool {
        let Some(graph) = &self.graph else { return false };
        if acceptable.is_empty() || acceptable.contains(&ANY_POLICY) {
            return true;
        }
        let any_to_the_end = graph.last().is_some_and(|level| level.contains_key(&ANY_POLICY));
        any_to_the_end
            || graph.iter().skip(1).flatten().any(|(policy, node)| {
                *policy != ANY_POLICY && node.parents.contains(&ANY_POLICY) && acceptable.contains(policy)
            })
    }
}
