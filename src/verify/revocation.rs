//! Whether a certificate is revoked, by CRLs given as bytes (RFC 5280 §6.3).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::cert::Certificate;
use crate::cert::extension::DistributionPoint;
use crate::cert::general_name::GeneralName;
use crate::cert::name::Name;
use crate::crl::{Crl, IssuingPoint, Revocation};
use crate::fingerprint::{Digest, Fingerprint};
use crate::time::Time;
use crate::verify::algorithms::{self, SignatureAlgorithm};

/// What must be known about revocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nothing; CRLs are not looked at.
    Off,
    /// What the CRLs at hand say counts; what they do not say is a warning.
    #[default]
    Soft,
    /// A certificate that names a CRL must be found good.
    Require,
    /// Every certificate below the anchor must be found good.
    RequireAll,
}

/// What the CRLs say about one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// A current CRL for all reasons does not list it.
    Good,
    /// A current CRL lists it; or an older one does, not as on hold, and no current one tells otherwise.
    Revoked {
        /// When.
        date: Time,
        /// The reason, in the words of RFC 5280 §5.3.1.
        reason: &'static str,
    },
    /// It names a CRL, or its issuer has one, but none at hand tells.
    Unknown {
        /// Why not.
        why: String,
    },
    /// It names no CRL, and none of its issuer is at hand.
    NoInformation,
}

/// The CRLs at hand, by issuer.
#[derive(Debug, Default)]
pub struct CrlSet {
    by_issuer: HashMap<Box<[u8]>, Vec<Crl>>,
    /// Which CRL was signed by which certificate's key: a CRL is long, and a fleet asks for the same one each time.
    signed: Mutex<HashMap<(Digest, Fingerprint), bool>>,
}

/// How many signatures are remembered. Signers come from the stores, a few for each CRL, or with the leaf: a fleet of leaves
/// that each bring others must not fill the memory.
const MAX_REMEMBERED: usize = 1 << 16;

/// certificateHold, the one reason that can be lifted (RFC 5280 §5.3.1).
const CERTIFICATE_HOLD: u8 = 6;

/// All reasons: bits 1 to 8 (RFC 5280 §4.2.1.13).
const ALL_REASONS: u16 = 0x7f80;

/// Finds who may have signed a CRL: certificates with this name, each with whether a valid path leads to it.
pub(crate) trait Signers {
    /// Certificates with this name that may sign CRLs.
    fn named(&self, name: &Name) -> Vec<Certificate>;
    /// Whether a path under the same anchor leads to this certificate, and it is not revoked itself.
    fn is_valid(&self, signer: &Certificate) -> bool;
}

impl CrlSet {
    /// Adds a CRL; one that is at hand already is not added again.
    pub fn add(&mut self, crl: Crl) {
        let list = self.by_issuer.entry(crl.issuer().canonical().into()).or_default();
        if !list.iter().any(|there| there.digest() == crl.digest()) {
            list.push(crl);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_issuer.is_empty()
    }

    fn issued_by(&self, name: &Name) -> &[Crl] {
        self.by_issuer.get(name.canonical()).map_or(&[], Vec::as_slice)
    }

    /// What the CRLs say about `certificate`, whose issuer on the path is `issuer`.
    pub(crate) fn status(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
        signers: &dyn Signers,
        at: Time,
    ) -> Status {
        let points = match certificate.crl_distribution_points() {
            Ok(points) => points,
            Err(error) => return Status::Unknown { why: error.to_string() },
        };
        let named = points.is_some();
        // Without a distribution point: the CRL of the issuer itself, under the issuer's name.
        let points = points.unwrap_or_else(|| {
            let names = vec![GeneralName::Directory(certificate.issuer().clone())];
            vec![DistributionPoint { names, ..DistributionPoint::default() }]
        });
        let mut covered = 0u16;
        let mut why = None;
        let mut any = false;
        // What lists it in a CRL whose time is over: a key that was compromised then is so now.
        let mut listed_before = None;
        for point in &points {
            for crl in self.issued_by(point.crl_issuer.as_ref().unwrap_or_else(|| certificate.issuer())) {
                any = true;
                if let Err(reason) = applies(crl, point, certificate) {
                    why = why.or(Some(reason));
                    continue;
                }
                let listed = crl.revocation(certificate.issuer(), certificate.serial());
                if !crl.is_current(at) {
                    let lasting = listed
                        .filter(|listed| listed.reason != CERTIFICATE_HOLD && crl.this_update() <= at)
                        .filter(|_| self.is_signed(crl, issuer, signers));
                    listed_before = listed_before.or(lasting);
                    why = Some(format!("the CRL is of {} and not current at {at}", crl.this_update()));
                    continue;
                }
                if !self.is_signed(crl, issuer, signers) {
                    why = Some("the CRL's signature does not verify under a valid issuer".to_owned());
                    continue;
                }
                if let Some(revocation) = listed {
                    return revoked(revocation);
                }
                let of_crl = crl.issuing_point().and_then(|point| point.reasons).unwrap_or(ALL_REASONS);
                covered |= of_crl & point.reasons.unwrap_or(ALL_REASONS);
            }
        }
        if covered & ALL_REASONS == ALL_REASONS {
            Status::Good
        } else if let Some(revocation) = listed_before {
            revoked(revocation)
        } else if !named && !any {
            Status::NoInformation
        } else {
            let lacking =
                if covered != 0 { "the CRLs do not cover all reasons" } else { "its CRL is not at hand" };
            Status::Unknown { why: why.unwrap_or_else(|| lacking.to_owned()) }
        }
    }

    /// Whether the CRL was signed by the certificate's issuer, or by another holder of the CRL issuer's name to whom a
    /// valid path leads (RFC 5280 §6.3.3 (f), (g)).
    fn is_signed(&self, crl: &Crl, issuer: &Certificate, signers: &dyn Signers) -> bool {
        if issuer.subject() == crl.issuer() && self.is_signed_by(crl, issuer) {
            return true;
        }
        signers
            .named(crl.issuer())
            .iter()
            .any(|signer| self.is_signed_by(crl, signer) && signers.is_valid(signer))
    }

    fn is_signed_by(&self, crl: &Crl, signer: &Certificate) -> bool {
        if !signer.key_usage().is_none_or(crate::cert::KeyUsage::crl_sign) {
            return false;
        }
        let pair = (crl.digest(), signer.fingerprint());
        let known = || self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signed) = known().get(&pair) {
            return *signed;
        }
        let algorithm = SignatureAlgorithm::from_der(crl.signature_algorithm());
        let signed = algorithm.is_some_and(|algorithm| {
            algorithms::verify(algorithm, &signer.key(), crl.tbs(), crl.signature()).is_ok()
        });
        let mut known = known();
        if known.len() >= MAX_REMEMBERED {
            known.clear();
        }
        known.insert(pair, signed);
        signed
    }
}

/// Whether a CRL speaks about this certificate for this distribution point: RFC 5280 §6.3.3 (b).
fn applies(crl: &Crl, point: &DistributionPoint<'_>, certificate: &Certificate) -> Result<(), String> {
    let issuing = crl.issuing_point();
    let indirect = issuing.is_some_and(|issuing| issuing.indirect);
    if point.crl_issuer.as_ref().is_some_and(|issuer| issuer != certificate.issuer()) && !indirect {
        return Err("the CRL is not an indirect one, but another issuer's".to_owned());
    }
    let Some(issuing) = issuing else { return Ok(()) };
    if issuing.has_name && !names_match(issuing, point) {
        return Err("the CRL is for another distribution point".to_owned());
    }
    let scope = match (issuing.only_user, issuing.only_ca, issuing.only_attribute) {
        (_, _, true) => Some("attribute certificates"),
        (true, _, _) if certificate.is_ca() => Some("end entities"),
        (_, true, _) if !certificate.is_ca() => Some("CAs"),
        _ => None,
    };
    scope.map_or(Ok(()), |scope| Err(format!("the CRL is for {scope} only")))
}

fn names_match(issuing: &IssuingPoint, point: &DistributionPoint<'_>) -> bool {
    let one = |name: &GeneralName<'_>| match name {
        GeneralName::Uri(uri) => issuing.uris.iter().any(|there| there == uri),
        GeneralName::Directory(name) => issuing.directory_names.contains(name),
        _ => false,
    };
    if point.names.is_empty() {
        point.crl_issuer.as_ref().is_some_and(|issuer| issuing.directory_names.contains(issuer))
    } else {
        point.names.iter().any(one)
    }
}

fn revoked(revocation: Revocation) -> Status {
    Status::Revoked { date: revocation.date, reason: reason(revocation.reason) }
}

fn reason(code: u8) -> &'static str {
    match code {
        1 => "keyCompromise",
        2 => "cACompromise",
        3 => "affiliationChanged",
        4 => "superseded",
        5 => "cessationOfOperation",
        CERTIFICATE_HOLD => "certificateHold",
        8 => "removeFromCRL",
        9 => "privilegeWithdrawn",
        10 => "aACompromise",
        _ => "unspecified",
    }
}
