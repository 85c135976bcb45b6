//! Certificates made with OpenSSL, brought in by hand: where each decision puts them, and what the log says.

use std::path::{Path, PathBuf};

use crate::support::{Place, Run, openssl, peer, text};

/// A root, an intermediate and an EK certificate made with OpenSSL.
struct Chain {
    root: PathBuf,
    ca: PathBuf,
    ek: PathBuf,
}

fn make(place: &Place) -> Option<Chain> {
    if !peer("openssl") {
        return None;
    }
    let path = |name: &str| place.path(name);
    place.write(
        "openssl.cnf",
        b"[req]\ndistinguished_name=dn\n[dn]\n[ca]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
          subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n\
          [ek]\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,keyAgreement\nextendedKeyUsage=2.23.133.8.1\n\
          subjectAltName=critical,dirName:tpm\n[tpm]\n1.2.23.133.2.1=id:49465800\n2.2.23.133.2.2=SLB\n3.2.23.133.2.3=id:0001\n",
    );
    let run = |words: &[&str]| {
        let arguments: Vec<std::ffi::OsString> = words
            .iter()
            .map(|word| {
                word.strip_prefix('@').map_or_else(|| (*word).into(), |name| path(name).into_os_string())
            })
            .collect();
        let arguments: Vec<&std::ffi::OsStr> = arguments.iter().map(std::ffi::OsString::as_os_str).collect();
        openssl(&arguments)
    };
    for name in ["root", "ca", "ek"] {
        let key = format!("@{name}.key");
        run(&["ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", &key]);
        let subject = if name == "ek" { "/" } else { &format!("/O=Example/CN={name}") };
        run(&[
            "req",
            "-new",
            "-config",
            "@openssl.cnf",
            "-key",
            &key,
            "-subj",
            subject,
            "-out",
            &format!("@{name}.csr"),
        ]);
    }
    let days = ["-days", "3650", "-extfile", "@openssl.cnf"];
    run(&[
        &[
            "x509",
            "-req",
            "-in",
            "@root.csr",
            "-signkey",
            "@root.key",
            "-extensions",
            "ca",
            "-out",
            "@root.pem",
        ],
        &days[..],
    ]
    .concat());
    run(&[
        &[
            "x509",
            "-req",
            "-in",
            "@ca.csr",
            "-CA",
            "@root.pem",
            "-CAkey",
            "@root.key",
            "-set_serial",
            "2",
            "-extensions",
            "ca",
            "-out",
            "@ca.pem",
        ],
        &days[..],
    ]
    .concat());
    run(&[
        &[
            "x509",
            "-req",
            "-in",
            "@ek.csr",
            "-CA",
            "@ca.pem",
            "-CAkey",
            "@ca.key",
            "-set_serial",
            "3",
            "-extensions",
            "ek",
            "-out",
            "@ek.pem",
        ],
        &days[..],
    ]
    .concat());
    Some(Chain { root: path("root.pem"), ca: path("ca.pem"), ek: path("ek.pem") })
}

fn fingerprint(place: &Place, file: &Path) -> String {
    let run =
        place.run(["inspect".as_ref(), "--format".as_ref(), "json".as_ref(), file.as_os_str()]).expect(0);
    text(&run.row(), "fingerprint").to_owned()
}

fn reason(place: &Place, ek: &Path) -> String {
    let run = place.run(["verify".as_ref(), "--format".as_ref(), "json".as_ref(), ek.as_os_str()]);
    let row = run.row();
    assert_eq!(run.code == 0, text(&row, "verdict") == "trusted");
    text(&row, "reason").to_owned()
}

fn decide(place: &Place, verb: &str, fingerprint: &str, why: &str) -> Run {
    place.run([verb, fingerprint, "--reason", why, "--actor", "alice"])
}

#[test]
fn add_approve_distrust_reinstate_each_followed_by_verify_and_on_record() {
    let place = Place::new();
    let Some(chain) = make(&place) else { return };
    let (root, ca) = (fingerprint(&place, &chain.root), fingerprint(&place, &chain.ca));
    assert_eq!(reason(&place, &chain.ek), "unknown-issuer", "an empty store trusts nothing");

    place.run(["add".as_ref(), chain.ca.as_os_str(), chain.root.as_os_str()]).expect(0);
    for certificate in [&root, &ca] {
        assert_eq!(place.standing(certificate), (String::new(), "candidate".to_owned()));
    }
    assert_eq!(reason(&place, &chain.ek), "issuer-not-trusted");
    assert_eq!(place.say("review --format json").expect(0).rows().len(), 2);

    // T17: approved without its issuer it is in no store.
    let run = decide(&place, "approve", &ca, "seen on paper").expect(0);
    assert!(run.stderr.contains("no-issuer"), "{}", run.stderr);
    assert_eq!(place.standing(&ca), (String::new(), "approved".to_owned()));
    decide(&place, "approve", &root, "seen on paper").expect(0);
    assert_eq!(place.standing(&root), ("EKROOT".to_owned(), "approved".to_owned()));
    assert_eq!(place.standing(&ca), ("EKCA".to_owned(), "approved".to_owned()));
    assert_eq!(reason(&place, &chain.ek), "");

    // T14: approving what is approved is no event.
    let log = std::fs::read(place.log()).expect("a log");
    decide(&place, "approve", &root, "again").expect(0);
    assert_eq!(std::fs::read(place.log()).expect("a log"), log);

    // T15: what hangs only under a distrusted key leaves with it.
    decide(&place, "distrust", &root, "key leaked").expect(0);
    assert_eq!(place.standing(&root), (String::new(), "distrusted".to_owned()));
    assert_eq!(place.standing(&ca), (String::new(), "approved".to_owned()));
    assert_eq!(reason(&place, &chain.ek), "issuer-not-trusted");
    let run = decide(&place, "approve", &root, "changed my mind").expect(1);
    assert!(run.stderr.contains("hint: `ekstore reinstate`"), "{}", run.stderr);
    decide(&place, "reinstate", &root, "false alarm").expect(0);
    assert_eq!(place.standing(&ca), ("EKCA".to_owned(), "approved".to_owned()));
    decide(&place, "reject", &ca, "not ours").expect(0);
    assert_eq!(place.standing(&ca), (String::new(), "rejected".to_owned()));

    let events = place.say("log show --format json").expect(0).rows();
    let decisions: Vec<(&str, &str)> = events
        .iter()
        .filter(|event| text(event, "actor") == "alice")
        .map(|event| (text(&event["event"], "kind"), text(&event["event"], "reason")))
        .collect();
    assert_eq!(
        decisions,
        [
            ("approved", "seen on paper"),
            ("approved", "seen on paper"),
            ("distrusted", "key leaked"),
            ("reinstated", "false alarm"),
            ("rejected", "not ours"),
        ]
    );
    assert!(events.iter().all(|event| text(event, "time").ends_with('Z')));
}

#[test]
fn t16_an_anchor_that_another_ca_issued_moves_when_that_one_is_approved() {
    let place = Place::new();
    let Some(chain) = make(&place) else { return };
    let (root, ca) = (fingerprint(&place, &chain.root), fingerprint(&place, &chain.ca));
    place.run(["add".as_ref(), chain.ca.as_os_str(), chain.root.as_os_str()]).expect(0);
    let run =
        place.run(["approve", &ca, "--anchor", "--reason", "the manufacturer publishes no root"]).expect(0);
    assert!(run.stderr.contains("anchor-not-self-signed"), "{}", run.stderr);
    assert_eq!(place.standing(&ca).0, "EKROOT");
    assert_eq!(reason(&place, &chain.ek), "");
    let run = decide(&place, "approve", &root, "now it does").expect(0);
    assert!(run.stdout.contains("from EKROOT to EKCA"), "{}", run.stdout);
    assert_eq!(place.standing(&ca).0, "EKCA");
    assert_eq!(reason(&place, &chain.ek), "");
}

#[test]
fn decisions_on_nothing_or_without_a_reason_are_refused() {
    let place = Place::new();
    let Some(chain) = make(&place) else { return };
    place.run(["add".as_ref(), chain.root.as_os_str()]).expect(0);
    let log = std::fs::read(place.log()).expect("a log");
    let root = fingerprint(&place, &chain.root);
    decide(&place, "approve", &root, "  ").expect(2);
    decide(&place, "approve", "deadbeef", "x").expect(1);
    decide(&place, "approve", "xyz", "x").expect(2);
    place.run(["approve", &root]).expect(2);
    // One unknown among several: none is approved.
    place.run(["approve", &root, "deadbeef", "--reason", "x"]).expect(1);
    assert_eq!(std::fs::read(place.log()).expect("a log"), log);
    assert_eq!(place.standing(&root).1, "candidate");
    // The beginning of a fingerprint will do.
    decide(&place, "approve", &root[..8], "x").expect(0);
}
