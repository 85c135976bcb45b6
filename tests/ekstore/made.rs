//! The rules of trust on a manufacturer made for the test: re-issues, earlier certificates, cross-certificates.

use ekstore::cert::decode;
use ekstore::demo::authority::{Authority, KeyKind};
use ekstore::fingerprint::Fingerprint;

use crate::support::{Place, Run, text};

const HOST: &str = "pki.made.example";

/// A source of the catalogue for this certificate, published as `name`.
fn source(name: &str, role: &str, der: &[u8], more: &str) -> String {
    let certificate = decode::certificate(der).expect("made for the test");
    format!(
        "[[source]]\nname = \"{name}\"\nurl = \"https://{HOST}/{name}\"\nrole = \"{role}\"\nsubject = {:?}\nsha256 = \"{}\"\n\
         spki_sha256 = \"{}\"\nevidence = \"made\"\n{more}\n",
        certificate.subject().to_string(),
        certificate.fingerprint(),
        certificate.key().fingerprint(),
    )
}

fn place(sources: &[String]) -> Place {
    let head = format!("id = \"IFX\"\nregistry = \"49465800\"\nname = \"x\"\nhosts = [\"{HOST}\"]\n");
    Place::with_catalogue(&format!("{head}{}", sources.concat()))
}

fn publish(place: &Place, name: &str, der: &[u8]) {
    place.write(&format!("mirror/{HOST}/{name}"), der);
}

fn sync(place: &Place) -> Run {
    place.sync(&place.path("mirror"))
}

fn outcome(run: &Run, name: &str) -> String {
    let rows = run.rows();
    text(rows.iter().find(|row| text(row, "name") == name).expect(name), "outcome").to_owned()
}

fn of(der: &[u8]) -> String {
    Fingerprint::of(der).to_string()
}

fn root(name: &str) -> Authority {
    Authority::root(name, KeyKind::P256, 1).expect("made")
}

#[test]
fn t9_a_reissue_is_a_candidate_even_in_the_very_first_sync() {
    let root = root("Root");
    let ca = root.intermediate("CA", KeyKind::P256, 2).expect("made");
    let again = root.reissue(&ca, 3).expect("made");
    let place =
        place(&[source("root", "anchor", root.der(), ""), source("ca", "intermediate", ca.der(), "")]);
    publish(&place, "root", root.der());
    publish(&place, "ca", again.der());
    let run = sync(&place).expect(0);
    assert_eq!(outcome(&run, "ca"), "re-issued-same-key");
    assert_eq!(place.standing(&of(again.der())), (String::new(), "candidate".to_owned()));
    // Once more: nothing new. Then the pinned one is back.
    let log = std::fs::read(place.log()).expect("a log");
    sync(&place).expect(0);
    assert_eq!(std::fs::read(place.log()).expect("a log"), log);
    place.run(["approve", &of(again.der()), "--reason", "same key"]).expect(0);
    assert_eq!(place.standing(&of(again.der())).0, "EKCA");
    publish(&place, "ca", ca.der());
    sync(&place).expect(0);
    assert_eq!(place.standing(&of(ca.der())).0, "EKCA");
}

#[test]
fn t10_the_same_key_and_name_under_another_issuer_is_drift() {
    let (root, other) = (root("Root"), root("Root"));
    let ca = root.intermediate("CA", KeyKind::P256, 2).expect("made");
    // Right key, right names, but not signed by the root that is trusted.
    let forged = other.reissue(&ca, 3).expect("made");
    let place =
        place(&[source("root", "anchor", root.der(), ""), source("ca", "intermediate", ca.der(), "")]);
    publish(&place, "root", root.der());
    publish(&place, "ca", forged.der());
    let run = sync(&place).expect(1);
    assert_eq!(outcome(&run, "ca"), "drifted");
    assert_eq!(place.list().len(), 1);
}

#[test]
fn t8_an_earlier_certificate_is_approved_and_reported() {
    let root = root("Root");
    let ca = root.intermediate("CA", KeyKind::P256, 2).expect("made");
    let now = root.reissue(&ca, 3).expect("made");
    let earlier = format!("earlier = [\"{}\"]", of(ca.der()));
    let place =
        place(&[source("root", "anchor", root.der(), ""), source("ca", "intermediate", now.der(), &earlier)]);
    publish(&place, "root", root.der());
    publish(&place, "ca", ca.der());
    let run = sync(&place).expect(0);
    assert_eq!(outcome(&run, "ca"), "earlier-certificate");
    assert_eq!(place.standing(&of(ca.der())), ("EKCA".to_owned(), "approved".to_owned()));
}

#[test]
fn t14_t15_distrust_outranks_the_pin_and_takes_the_twin_unless_narrowed() {
    let root = root("Root");
    let ca = root.intermediate("CA", KeyKind::P256, 2).expect("made");
    let twin = root.reissue(&ca, 3).expect("made");
    let sources = [
        source("root", "anchor", root.der(), ""),
        source("ca", "intermediate", ca.der(), ""),
        source("twin", "intermediate", twin.der(), ""),
    ];
    let place = place(&sources);
    for (name, authority) in [("root", &root), ("ca", &ca), ("twin", &twin)] {
        publish(&place, name, authority.der());
    }
    sync(&place).expect(0);
    let (ca, twin) = (of(ca.der()), of(twin.der()));
    place.run(["distrust", &ca, "--only-this-certificate", "--reason", "narrow"]).expect(0);
    assert_eq!((place.standing(&ca).0.as_str(), place.standing(&twin).0.as_str()), ("", "EKCA"));
    place.run(["reinstate", &ca, "--reason", "back"]).expect(0);
    assert_eq!(place.standing(&ca).0, "EKCA");
    place.run(["distrust", &ca, "--reason", "wide"]).expect(0);
    assert_eq!((place.standing(&ca).0.as_str(), place.standing(&twin).0.as_str()), ("", ""));
    let run = sync(&place).expect(0);
    assert!(run.rows().iter().any(|row| text(row, "refused") == "distrusted"), "{}", run.stdout);
    assert_eq!(
        (place.standing(&ca).1.as_str(), place.standing(&twin).1.as_str()),
        ("distrusted", "distrusted")
    );
    place.run(["reinstate", &twin, "--reason", "back"]).expect(0);
    assert_eq!((place.standing(&ca).0.as_str(), place.standing(&twin).0.as_str()), ("EKCA", "EKCA"));
}

#[test]
fn t17_cross_certificates_do_not_hold_each_other_up() {
    // A and B certify each other; neither is self-signed, and no anchor reaches them.
    let (a, b) = (root("A"), root("B"));
    let a_by_b = b.reissue(&a, 5).expect("made");
    let b_by_a = a.reissue(&b, 6).expect("made");
    let place = place(&[source("none", "anchor", root("other").der(), "")]);
    let files = [place.write("a.cer", a_by_b.der()), place.write("b.cer", b_by_a.der())];
    place.run(["add".as_ref(), files[0].as_os_str(), files[1].as_os_str()]).expect(0);
    let (one, other) = (of(a_by_b.der()), of(b_by_a.der()));
    place.run(["approve", &one, &other, "--reason", "both"]).expect(0);
    assert_eq!((place.standing(&one).0.as_str(), place.standing(&other).0.as_str()), ("", ""));
    // With an anchor among them both are reached, and both leave with it.
    let anchor = place.write("anchor.cer", a.der());
    place.run(["add".as_ref(), anchor.as_os_str()]).expect(0);
    place.run(["approve", &of(a.der()), "--reason", "the root"]).expect(0);
    assert_eq!((place.standing(&one).0.as_str(), place.standing(&other).0.as_str()), ("EKCA", "EKCA"));
    place.run(["reject", &of(a.der()), "--reason", "not the root"]).expect(0);
    assert_eq!((place.standing(&one).0.as_str(), place.standing(&other).0.as_str()), ("", ""));
}

#[test]
fn t19_a_package_signer_is_in_no_store_whatever_is_approved() {
    let signer = root("Signer");
    let place = place(&[source("signer", "package-signer", signer.der(), "")]);
    publish(&place, "signer", signer.der());
    sync(&place).expect(0);
    let fingerprint = of(signer.der());
    place.run(["approve", &fingerprint, "--anchor", "--reason", "try"]).expect(0);
    let rows = place.list();
    assert_eq!((text(&rows[0], "store"), text(&rows[0], "purpose")), ("", "package-signer"));
}
