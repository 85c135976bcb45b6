//! NIST PKITS: every case of path validation and revocation gives the expected outcome.

use std::collections::BTreeMap;
use std::path::Path;

use ekstore::cert::{Certificate, decode};
use ekstore::crl::Crl;
use ekstore::verify::chain::ChainInputs;
use ekstore::verify::policies::PolicyInputs;
use ekstore::verify::profile::{RULES, Severities, Severity};
use ekstore::verify::revocation::{CrlSet, Mode};
use ekstore::verify::trust::{Anchor, TrustStore};
use ekstore::verify::verdict::{Reason, Report};
use ekstore::verify::{Moment, Policy, Sha1, Verifier};

use crate::support::shared;

fn certificates(folder: &Path) -> BTreeMap<String, Certificate> {
    let files = ekstore::file::list(&folder.join("certs")).expect("readable");
    files
        .iter()
        .map(|path| {
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            let der = std::fs::read(path).expect("readable");
            (name, decode::certificate(&der).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        })
        .collect()
}

fn crls(folder: &Path) -> CrlSet {
    let mut set = CrlSet::default();
    for path in ekstore::file::list(&folder.join("crls")).expect("readable") {
        let der = std::fs::read(&path).expect("readable");
        // What cannot be used (an unknown critical extension, for one) is as if it were not there.
        if let Ok(crl) = Crl::from_der(&der) {
            set.add(crl);
        }
    }
    set
}

/// The settings of the suite's README.
fn inputs(settings: &str) -> PolicyInputs {
    let policy = |number: u8| format!("2.16.840.1.101.3.2.1.48.{number}").parse().expect("an OID");
    let any = Vec::new;
    let (explicit, acceptable, inhibit_mapping, inhibit_any) = match settings {
        "default_settings" => (false, any(), false, false),
        "settings1" => (true, any(), false, false),
        "settings2" => (true, vec![policy(1)], false, false),
        "settings3" => (true, vec![policy(2)], false, false),
        "settings4" => (true, vec![policy(1), policy(2)], false, false),
        "settings5" => (false, vec![policy(1)], false, false),
        "settings6" => (false, vec![policy(2)], false, false),
        "settings7" => (false, vec![policy(3)], false, false),
        "settings8" => (false, any(), true, false),
        "settings9" => (false, vec![policy(6)], false, false),
        "settings10" => (false, any(), false, true),
        other => panic!("{other}"),
    };
    PolicyInputs { acceptable, explicit, inhibit_mapping, inhibit_any }
}

/// Whether the path is valid: what the EK profile thinks of the suite's certificates does not matter here.
fn is_valid(report: &Report) -> bool {
    report.failures.iter().all(|failure| failure.reason == Reason::NotAnEk)
}

#[test]
fn all_200_cases_give_the_expected_outcome() {
    let Some(folder) = shared("pkits") else { return };
    let certificates = certificates(&folder);
    let extra: Vec<Certificate> = certificates.values().cloned().collect();
    let anchor = certificates["TrustAnchorRootCertificate.crt"].clone();
    let severities: Severities = RULES.iter().map(|rule| (rule.id.to_owned(), Severity::Off)).collect();
    let at = "2020-01-01T00:00:00Z".parse().expect("a time");
    let cases = std::fs::read_to_string(folder.join("cases.tsv")).expect("readable");
    let mut surprises = Vec::new();
    let mut count = 0;
    for line in cases.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (section, target, settings, expected) = (columns[0], columns[2], columns[3], columns[4]);
        let mut trust = TrustStore::default();
        trust.add_anchor(Anchor { certificate: anchor.clone(), sha1: true, manufacturers: None });
        let policy = Policy {
            sha1: Sha1::WhereTheCatalogueSays,
            revocation: Mode::RequireAll,
            chain: ChainInputs { policies: inputs(settings), ..ChainInputs::default() },
            severities: severities.clone(),
            ..Policy::default()
        };
        let verifier = Verifier::new(trust, policy, crls(&folder));
        let report = verifier.verify(&certificates[target], &extra, Moment::At(at), None);
        count += 1;
        if is_valid(&report) != (expected == "valid") {
            surprises.push(format!(
                "{section} {target} {settings}: expected {expected} {}, got {:?}",
                columns.get(5).unwrap_or(&""),
                report.failures
            ));
        }
    }
    assert!(surprises.is_empty(), "{} of {count}:\n{}", surprises.len(), surprises.join("\n"));
    assert_eq!(count, 200);
}
