//! The issuing CA's own chain: whether relying parties can find the attestation policies valid below it.
//!
//! By RFC 5280 §6.1 a policy counts only if every CA certificate below the root carries it, or anyPolicy. A subordinate CA
//! that was installed without asking for policies has none, whatever the root has.

use der::asn1::ObjectIdentifier;
use serde::Serialize;

use crate::adcs::Method;
use crate::adcs::template::Severity;
use crate::cert::Certificate;
use crate::fingerprint::Fingerprint;
use crate::time::Time;
use crate::verify::algorithms;
use crate::verify::policies::{ANY_POLICY, PolicyInputs, PolicyState, Position};

/// The longest chain that is followed.
const LONGEST: usize = 20;

/// The lines for `%SystemRoot%\CAPolicy.inf` of a CA that is to have all issuance policies (Microsoft, CAPolicy.inf syntax).
pub const CAPOLICY: &str = "[Version]\r\nSignature=\"$Windows NT$\"\r\n[PolicyStatementExtension]\r\nPolicies=AllIssuancePolicy\r\n\
                            Critical=FALSE\r\n[AllIssuancePolicy]\r\nOID=2.5.29.32.0\r\n";

/// Why certificates are not a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// There is no CA certificate.
    #[error("none of the certificates is a CA's")]
    NoCa,
    /// Several of them issued nothing that is here.
    #[error("it is not clear which of {} is the issuing CA: {}", .0.len(), .0.join("; "))]
    Several(Vec<String>),
}

/// One CA of the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ca {
    /// Its certificate.
    pub fingerprint: Fingerprint,
    /// Its subject.
    pub subject: String,
    /// Whether it is the root.
    pub is_root: bool,
    /// Its issuance policies, dotted; none if the extension is missing.
    pub policies: Option<Vec<String>>,
    /// pathLen.
    pub path_len: Option<u32>,
    /// The last second of its validity.
    pub not_after: Time,
}

/// Something wrong with one CA, or with the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule, a kebab-case code.
    pub rule: &'static str,
    /// How much it weighs.
    pub severity: Severity,
    /// The CA.
    pub fingerprint: Fingerprint,
    /// What is wrong.
    pub detail: String,
}

/// What the chain allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// From the issuing CA to the top.
    pub chain: Vec<Ca>,
    /// The methods whose policy would be valid below the issuing CA.
    pub allowed: Vec<Method>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// The text for CAPolicy.inf of each CA that lacks policies, if one does.
    pub capolicy_inf: Option<&'static str>,
}

impl Report {
    /// Whether nothing keeps relying parties from finding the policies of `methods` valid.
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Error)
    }
}

/// Whether a certificate is a root: it names itself as issuer, and its own key signed it. A CA that was renewed under its own
/// name with another key is none.
pub fn is_root(ca: &Certificate) -> bool {
    ca.is_self_issued() && algorithms::signed_by(ca, &ca.key()).is_ok()
}

/// Puts certificates into order, from the issuing CA up; what is not part of its chain is left out.
///
/// # Errors
///
/// [`ChainError`] if there is no CA, or no single lowest one.
pub fn order(certificates: &[Certificate]) -> Result<Vec<Certificate>, ChainError> {
    let issued = |issuer: &Certificate, child: &Certificate| {
        child.issuer() == issuer.subject() && algorithms::signed_by(child, &issuer.key()).is_ok()
    };
    let mut cas: Vec<&Certificate> = certificates.iter().filter(|certificate| certificate.is_ca()).collect();
    cas.sort_by_key(|ca| ca.fingerprint());
    cas.dedup_by_key(|ca| ca.fingerprint());
    let lowest: Vec<&Certificate> =
        cas.iter().copied().filter(|ca| !cas.iter().any(|other| other != ca && issued(ca, other))).collect();
    let mut chain = match lowest[..] {
        [] => return Err(ChainError::NoCa),
        [one] => vec![one.clone()],
        _ => return Err(ChainError::Several(lowest.iter().map(|ca| ca.subject().to_string()).collect())),
    };
    while chain.len() < LONGEST {
        let last = chain.last().expect("the chain starts with one");
        if is_root(last) {
            break;
        }
        let Some(next) = cas.iter().find(|ca| issued(ca, last) && !chain.contains(ca)) else { break };
        chain.push((*next).clone());
    }
    Ok(chain)
}

/// Checks a chain, from the issuing CA up, for the policies of `methods` as of `at`. With no method stated it is not known
/// which are used: a CA that allows none is then an error, one that allows some a warning.
pub fn check(chain: &[Certificate], methods: &[Method], at: Time) -> Report {
    let stated = !methods.is_empty();
    let methods = if stated { methods } else { &Method::ALL };
    let wanted: Vec<ObjectIdentifier> = methods.iter().map(|method| method.policy()).collect();
    let mut report = Report {
        chain: chain.iter().map(describe).collect(),
        allowed: Vec::new(),
        findings: Vec::new(),
        capolicy_inf: None,
    };
    let mut find = |rule, severity, certificate: &Certificate, detail: String| {
        report.findings.push(Finding { rule, severity, fingerprint: certificate.fingerprint(), detail });
    };
    let top = chain.last().expect("a chain has a certificate");
    if !is_root(top) {
        let detail =
            format!("the chain ends at {}; its issuer {} was not given", top.subject(), top.issuer());
        find("incomplete", Severity::Error, top, detail);
    }
    let below_root: Vec<&Certificate> = chain.iter().filter(|ca| !is_root(ca)).collect();
    let mut lacks = false;
    for (position, ca) in chain.iter().enumerate() {
        let validity = ca.validity();
        if !validity.contains(at) {
            let detail = format!("valid {} to {}, asked for {at}", validity.not_before, validity.not_after);
            find("not-valid", Severity::Error, ca, detail);
        }
        if ca.key_usage().is_some_and(|usage| !usage.key_cert_sign()) {
            find("key-usage", Severity::Error, ca, "keyUsage lacks keyCertSign".to_owned());
        }
        // CAs below this one that are not self-issued.
        let below = chain[..position].iter().filter(|ca| !ca.is_self_issued()).count();
        let limit = ca.basic_constraints().and_then(|constraints| constraints.path_len);
        if let Some(limit) = limit.filter(|limit| (*limit as usize) < below) {
            let detail = format!("pathLen {limit} allows {limit} CAs below it, the chain has {below}");
            find("path-len", Severity::Error, ca, detail);
        }
        if is_root(ca) {
            continue;
        }
        match ca.policies() {
            Ok(Some(policies)) if policies.contains(&ANY_POLICY) => {}
            Ok(policies) => {
                let policies = policies.unwrap_or_default();
                let missing: Vec<String> = wanted
                    .iter()
                    .filter(|policy| !policies.contains(policy))
                    .map(ToString::to_string)
                    .collect();
                if !missing.is_empty() {
                    lacks = true;
                    let some = !stated && missing.len() < wanted.len();
                    let severity = if some { Severity::Warning } else { Severity::Error };
                    let has = if policies.is_empty() {
                        "has no issuance policies"
                    } else {
                        "lacks issuance policies"
                    };
                    let detail = format!(
                        "{has}: neither anyPolicy nor {}; it needs a new certificate, requested with the lines of \
                         CAPolicy.inf, and its parent must not drop the extension",
                        missing.join(", ")
                    );
                    find("no-policies", severity, ca, detail);
                }
            }
            Err(error) => find("malformed", Severity::Error, ca, error.to_string()),
        }
    }
    // The whole of RFC 5280 §6.1: inhibitAnyPolicy, mappings and constraints above count too.
    let mut state = PolicyState::new(&PolicyInputs::default());
    for ca in below_root.iter().rev() {
        if let Err(error) = state.step(ca, Position::Intermediate) {
            find("policy-constraints", Severity::Error, ca, error.to_string());
        }
    }
    for method in Method::ALL {
        if state.allows(method.policy()) {
            report.allowed.push(method);
        }
    }
    let allowed = methods.iter().filter(|method| report.allowed.contains(method)).count();
    let blocked = if stated { allowed < methods.len() } else { allowed == 0 };
    if blocked && !lacks {
        report.findings.push(Finding {
            rule: "policies-blocked",
            severity: Severity::Error,
            fingerprint: chain[0].fingerprint(),
            detail: "every CA has the policies, but constraints above keep them from being valid (inhibitAnyPolicy, \
                     policyConstraints or policyMappings)"
                .to_owned(),
        });
    }
    report.capolicy_inf = lacks.then_some(CAPOLICY);
    report
}

fn describe(ca: &Certificate) -> Ca {
    Ca {
        fingerprint: ca.fingerprint(),
        subject: ca.subject().to_string(),
        is_root: is_root(ca),
        policies: ca
            .policies()
            .ok()
            .flatten()
            .map(|policies| policies.iter().map(ToString::to_string).collect()),
        path_len: ca.basic_constraints().and_then(|constraints| constraints.path_len),
        not_after: ca.validity().not_after,
    }
}
