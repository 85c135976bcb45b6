//! Name constraints along a path (RFC 5280 §4.2.1.10, §6.1.3 (b), (c), §6.1.4 (g)).

use crate::cert::Certificate;
use crate::cert::general_name::{self, GeneralName};
use crate::cert::name::Name;
use crate::cert::tlv::TlvError;
use crate::oid;

/// More name comparisons than this for one certificate are refused: names times constraints.
pub const MAX_COMPARISONS: usize = 250_000;

/// Why a certificate's names do not keep the constraints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// A name is in no permitted subtree of its form.
    #[error("{0} is in no permitted subtree")]
    NotPermitted(String),
    /// A name is in an excluded subtree.
    #[error("{0} is in an excluded subtree")]
    Excluded(String),
    /// A constraint is of a form that cannot be checked, and the certificate has a name of that form.
    #[error("a constraint on names of form [{0}] cannot be checked")]
    Unsupported(u32),
    /// A URI has no host name, which is what constraints on URIs are about.
    #[error("{0} has no host name to hold against a constraint")]
    NoHost(String),
    /// There are more names and constraints than any real path has.
    #[error("more than {MAX_COMPARISONS} comparisons of names and constraints")]
    TooMany,
    /// An extension is malformed.
    #[error(transparent)]
    Malformed(#[from] TlvError),
}

/// A constraint, owned: the state outlives the certificate it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subtree {
    Email(String),
    Dns(String),
    Directory(Name),
    Uri(String),
    Ip(Vec<u8>),
    Other(u32),
}

/// The constraints in force. Each CA's permitted subtrees must hold on their own, which is their intersection.
#[derive(Debug, Clone, Default)]
pub struct ConstraintState {
    permitted: Vec<Vec<Subtree>>,
    excluded: Vec<Subtree>,
}

impl ConstraintState {
    /// Adds a CA's constraints (RFC 5280 §6.1.4 (g)).
    ///
    /// # Errors
    ///
    /// [`ConstraintError::Malformed`] if the extension is.
    pub fn add(&mut self, certificate: &Certificate) -> Result<(), ConstraintError> {
        if let Some(constraints) = certificate.name_constraints()? {
            if !constraints.permitted.is_empty() {
                self.permitted.push(constraints.permitted.iter().map(owned).collect());
            }
            self.excluded.extend(constraints.excluded.iter().map(owned));
        }
        Ok(())
    }

    /// Checks a certificate's subject and subject alternative names (RFC 5280 §6.1.3 (b), (c)).
    ///
    /// # Errors
    ///
    /// [`ConstraintError`] about the first name that breaks a constraint.
    pub fn check(&self, certificate: &Certificate) -> Result<(), ConstraintError> {
        if self.permitted.is_empty() && self.excluded.is_empty() {
            return Ok(());
        }
        let alternative = certificate.extension(&oid::SUBJECT_ALT_NAME);
        let names = alternative.map(|extension| general_name::sequence(extension.value)).transpose()?;
        let mut names = names.unwrap_or_default();
        let subject = certificate.subject();
        // A mailbox in the subject counts where there is none in the alternative names (RFC 5280 §4.2.1.10).
        let mailboxes: Vec<String> = if names.iter().any(|name| matches!(name, GeneralName::Email(_))) {
            Vec::new()
        } else {
            let attributes = subject.attributes();
            let mailboxes =
                attributes.iter().filter(|(_, attribute)| attribute.oid == oid::EMAIL_ADDRESS.as_bytes());
            mailboxes.filter_map(|(_, attribute)| attribute.text()).collect()
        };
        names.extend(mailboxes.iter().map(|mailbox| GeneralName::Email(mailbox)));
        if !subject.is_empty() {
            names.push(GeneralName::Directory(subject.clone()));
        }
        let constraints = self.excluded.len() + self.permitted.iter().map(Vec::len).sum::<usize>();
        if names.len().saturating_mul(constraints) > MAX_COMPARISONS {
            return Err(ConstraintError::TooMany);
        }
        names.iter().try_for_each(|name| self.check_name(name))
    }

    fn check_name(&self, name: &GeneralName<'_>) -> Result<(), ConstraintError> {
        for permitted in &self.permitted {
            let mut of_form = permitted.iter().filter(|subtree| same_form(name, subtree)).peekable();
            if of_form.peek().is_none() {
                continue;
            }
            let mut inside = false;
            for subtree in of_form {
                inside |= matches(name, subtree)?;
            }
            if !inside {
                return Err(ConstraintError::NotPermitted(describe(name)));
            }
        }
        for subtree in self.excluded.iter().filter(|subtree| same_form(name, subtree)) {
            if matches(name, subtree)? {
                return Err(ConstraintError::Excluded(describe(name)));
            }
        }
        Ok(())
    }
}

fn owned(name: &GeneralName<'_>) -> Subtree {
    match name {
        GeneralName::Email(text) => Subtree::Email(text.to_ascii_lowercase()),
        GeneralName::Dns(text) => Subtree::Dns(text.to_ascii_lowercase()),
        GeneralName::Directory(name) => Subtree::Directory(name.clone()),
        GeneralName::Uri(text) => Subtree::Uri(text.to_ascii_lowercase()),
        GeneralName::Ip(octets) => Subtree::Ip(octets.to_vec()),
        GeneralName::Other(number) => Subtree::Other(*number),
    }
}

fn describe(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::Email(text) | GeneralName::Dns(text) | GeneralName::Uri(text) => (*text).to_owned(),
        GeneralName::Directory(name) => name.to_string(),
        GeneralName::Ip(octets) => data_encoding::HEXLOWER.encode(octets),
        GeneralName::Other(number) => format!("a name of form [{number}]"),
    }
}

fn same_form(name: &GeneralName<'_>, subtree: &Subtree) -> bool {
    match (name, subtree) {
        (GeneralName::Email(_), Subtree::Email(_))
        | (GeneralName::Dns(_), Subtree::Dns(_))
        | (GeneralName::Directory(_), Subtree::Directory(_))
        | (GeneralName::Uri(_), Subtree::Uri(_))
        | (GeneralName::Ip(_), Subtree::Ip(_)) => true,
        (GeneralName::Other(one), Subtree::Other(other)) => one == other,
        _ => false,
    }
}

/// Whether `name` is in `subtree`, both of one form.
fn matches(name: &GeneralName<'_>, subtree: &Subtree) -> Result<bool, ConstraintError> {
    Ok(match (name, subtree) {
        (GeneralName::Directory(name), Subtree::Directory(base)) => name.is_within(base),
        (GeneralName::Dns(name), Subtree::Dns(base)) => is_host_within(&name.to_ascii_lowercase(), base),
        (GeneralName::Email(mailbox), Subtree::Email(base)) => {
            // A mailbox, a host, or with a leading dot all hosts of a domain; the local part keeps its case.
            let Some((local, host)) = mailbox.rsplit_once('@') else { return Ok(false) };
            let host = host.to_ascii_lowercase();
            match base.rsplit_once('@') {
                Some((base_local, base_host)) => local.eq_ignore_ascii_case(base_local) && host == base_host,
                None => is_host_or_domain(&host, base),
            }
        }
        (GeneralName::Uri(uri), Subtree::Uri(base)) => {
            // Only the host counts; a URI without one, or with an address, is refused (RFC 5280 §4.2.1.10).
            let url = url::Url::parse(uri).ok();
            let host = url.as_ref().and_then(url::Url::host);
            let Some(url::Host::Domain(host)) = host else {
                return Err(ConstraintError::NoHost((*uri).to_owned()));
            };
            is_host_or_domain(&host.to_ascii_lowercase(), base)
        }
        (GeneralName::Ip(address), Subtree::Ip(base)) => {
            let (network, mask) = base.split_at(base.len() / 2);
            address.len() == network.len()
                && mask.len() == network.len()
                && address.iter().zip(network).zip(mask).all(|((a, n), m)| a & m == n & m)
        }
        (GeneralName::Other(number), _) => return Err(ConstraintError::Unsupported(*number)),
        _ => false,
    })
}

/// dNSName: the base itself and everything with labels added in front; an empty base is everything.
fn is_host_within(host: &str, base: &str) -> bool {
    let base = base.strip_prefix('.').unwrap_or(base);
    base.is_empty() || host == base || host.strip_suffix(base).is_some_and(|front| front.ends_with('.'))
}

/// rfc822Name and URI: exactly that host, or with a leading dot the hosts below it.
fn is_host_or_domain(host: &str, base: &str) -> bool {
    if base.starts_with('.') { host.ends_with(base) && host.len() > base.len() } else { host == base }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_without_a_host_name_is_refused_where_uris_are_constrained() {
        let excluded = ConstraintState {
            permitted: Vec::new(),
            excluded: vec![Subtree::Uri(".bad.example".to_owned())],
        };
        let check = |uri| excluded.check_name(&GeneralName::Uri(uri));
        assert_eq!(check("https://good.example/"), Ok(()));
        assert!(matches!(check("https://HOST.bad.example/"), Err(ConstraintError::Excluded(_))));
        for uri in ["urn:tcg:ek", "https://192.0.2.1/", "https://[2001:db8::1]/", "no uri"] {
            assert!(matches!(check(uri), Err(ConstraintError::NoHost(_))), "{uri}");
        }
        // Names of other forms are not touched.
        assert_eq!(excluded.check_name(&GeneralName::Dns("host.bad.example")), Ok(()));
    }
}
