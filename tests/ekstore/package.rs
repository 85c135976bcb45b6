//! Signed packages: T26, T27, what is sorted where, and what an edition changes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ekstore::cert::container;
use ekstore::demo::authority::{Authority, KeyKind};
use ekstore::demo::server::{Reply, Server};
use ekstore::fingerprint::Fingerprint;
use serde_json::Value;

use crate::package_maker::{For, Signer, believes, cabinet, can_sign, version};
use crate::real::unpacked;
use crate::support::{Place, Run, shared, text};

const APRIL: &str = "TrustedTpm-04152024.cab";
const DECEMBER: &str = "TrustedTpm-12242024.cab";
const ROOTS: [&str; 2] = ["MicRooCerAut_2010-06-23.crt", "MicrosoftRootCertificateAuthority2011.cer"];

fn real(name: &str) -> Option<PathBuf> {
    shared(&format!("real/trustedtpm/{name}"))
}

/// `sync --package` with these roots.
fn take(place: &Place, package: &Path, roots: &[PathBuf], more: &[&str]) -> Run {
    let mut command = place.command();
    command.args(["sync", "--format", "json", "--package"]).arg(package);
    for root in roots {
        command.arg("--package-root").arg(root);
    }
    command.args(more).output().expect("the program starts").into()
}

/// `sync --package` with the real roots.
fn take_real(place: &Place, package: &Path) -> Option<Run> {
    let roots: Option<Vec<PathBuf>> = ROOTS.into_iter().map(real).collect();
    Some(take(place, package, &roots?, &[]))
}

/// Refused with this code, and nothing recorded.
#[track_caller]
fn assert_refused(place: &Place, run: Run, code: &str) {
    let events = std::fs::read(place.log()).unwrap_or_default();
    let run = run.expect(1);
    let row = &run.rows()[0];
    assert_eq!((text(row, "outcome"), text(row, "code")), ("refused", code), "{row}");
    assert_eq!(std::fs::read(place.log()).unwrap_or_default(), events);
}

#[test]
fn december_and_the_vendor_sites_make_43_and_366() {
    let (Some(package), Some(sites)) = (real(DECEMBER), shared("real/vendor-sites")) else { return };
    let place = Place::new();
    let Some(run) = take_real(&place, &package) else { return };
    let row = &run.expect(0).rows()[0];
    assert_eq!((&row["certificates"], &row["new"]), (&2188.into(), &2188.into()));
    assert_eq!(
        (&row["ek"], &row["aik"], &row["unreadable"]),
        (&366.into(), &1822.into(), &Value::Array(vec![]))
    );
    assert_eq!(text(row, "edition"), "21-November-2024");
    assert_eq!(text(row, "signed"), "2024-11-22T00:03:32Z");
    assert_eq!(place.list().len(), 2188);
    // Alone it has no anchor for AMD's 36 fTPM intermediates, nor for STMicroelectronics' under GlobalSign's roots.
    let gaps = place.say("status --gaps --format json").expect(0).row();
    let orphans = gaps["orphans"].as_array().expect("a list");
    assert_eq!(orphans.len(), 36);
    assert!(
        orphans.iter().all(|orphan| text(orphan, "missing_issuer").contains("CN=AMDTPM")),
        "{orphans:#?}"
    );

    place.sync(&sites).expect(0);
    let mut counts = BTreeMap::new();
    for row in place.list() {
        *counts.entry((text(&row, "store").to_owned(), text(&row, "purpose") == "aik")).or_insert(0) += 1;
        assert_eq!(row["flags"], serde_json::json!([]), "{row}");
    }
    let expected = [(("EKROOT", false), 43), (("EKCA", false), 366), (("", true), 1822)];
    let expected = expected.map(|((store, aik), count)| ((store.to_owned(), aik), count));
    assert_eq!(counts, BTreeMap::from(expected));

    let gaps = place.say("status --gaps --format json").expect(0).row();
    assert_eq!(gaps["orphans"], serde_json::json!([]));
    let known = gaps["known_to_microsoft_only"].as_array().expect("a list");
    let ids: Vec<(&str, &str)> =
        known.iter().map(|ca| (text(ca, "key_id"), text(ca, "manufacturer"))).collect();
    let intel = [
        "14b8e7137fa99526c4717dfa881b24936bbc6bd0",
        "30b86f094da6abd52371043f2bf7668c783f0e66",
        "72750c52ca3e250e701ded65cc69204494a8573a",
    ];
    assert_eq!(ids, intel.map(|id| (id, "INTC")));

    let status = place.say("status --format json").expect(0).row();
    let amd = &status["manufacturers"]["AMD"];
    assert_eq!((&amd["ekroot"], &amd["ekca"], &amd["orphans"]), (&3.into(), &56.into(), &0.into()));
    assert_eq!(status["manufacturers"]["IFX"]["sha1"], 38);
    assert_eq!(status["manufacturers"]["MSFT"]["aik"], 1822);

    // Who vouches for what: the package and AMD's own site for the factory CA, the package alone for its root.
    let row = place.say("show 593a1794f9e17476 --format json").expect(0).row();
    let vouchers: BTreeSet<&str> =
        row["vouched_for_by"].as_array().expect("a list").iter().map(|voucher| text(voucher, "by")).collect();
    assert_eq!((text(&row, "store"), vouchers), ("EKCA", BTreeSet::from(["package", "pin"])));
    let row = place.say("show 853d5c5abe1fe97b --format json").expect(0).row();
    assert_eq!((text(&row, "store"), row["vouched_for_by"].as_array().map(Vec::len)), ("EKROOT", Some(1)));

    // Taken again: nothing new. The older edition afterwards: refused.
    let log = std::fs::read(place.log()).expect("a log");
    let again = take_real(&place, &package).expect("as before").expect(0);
    assert_eq!(text(&again.rows()[0], "outcome"), "unchanged");
    assert_eq!(std::fs::read(place.log()).expect("a log"), log);
    let Some(april) = real(APRIL) else { return };
    assert_refused(&place, take_real(&place, &april).expect("as before"), "rollback");
    place.say("log verify").expect(0);
    // The purpose, on the command line and in the configuration.
    let out = place.path("all.pem");
    let count = |run: Run| run.expect(0).row()["certificates"].as_u64();
    let export = |more: &[&str]| {
        let mut command = place.command();
        command.args(["export", "pem", "--with-malformed", "--format", "json", "--out"]).arg(&out).args(more);
        count(command.output().expect("the program starts").into())
    };
    let config = place.write("aik.toml", b"purpose = \"aik\"\n");
    assert_eq!(export(&[]), Some(43 + 366));
    assert_eq!(export(&["--purpose", "aik"]), Some(43 + 366 + 1822));
    assert_eq!(export(&["--config", config.to_str().expect("UTF-8")]), Some(43 + 366 + 1822));
}

#[test]
fn both_real_editions_verify_offline_as_osslsigncode_says() {
    let (Some(one), Some(two)) = (real(APRIL), real(DECEMBER)) else { return };
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let Some(roots) = ROOTS.into_iter().map(real).collect::<Option<Vec<PathBuf>>>() else { return };
    let mut pem = String::new();
    for root in &roots {
        let der = std::fs::read(root).expect("readable");
        pem.push_str(&ekstore::cert::pem::write(&der));
    }
    let pem = place.write("roots.pem", pem.as_bytes());
    for package in [one, two] {
        let good = std::fs::read(&package).expect("readable");
        let mut altered = good.clone();
        altered[1_000_000] ^= 1;
        let altered = place.write("altered.cab", &altered);
        for (file, expected) in [(&package, true), (&altered, false)] {
            assert_eq!(believes(file, &pem), expected, "{}", file.display());
            let mut inspect = place.command();
            inspect.args(["inspect", "--format", "json"]).arg(file);
            roots.iter().for_each(|root| {
                inspect.arg("--package-root").arg(root);
            });
            let run: Run = inspect.output().expect("the program starts").into();
            let row = run.expect(i32::from(!expected)).row();
            assert_eq!(text(&row, "signature"), if expected { "trusted" } else { "refused" });
            assert_eq!(
                row["edition"].is_string(),
                expected,
                "the content is read only if the signature holds"
            );
        }
    }
}

#[test]
fn t26_every_tampering_is_refused_with_its_own_reason() {
    let (Some(april), Some(december)) = (real(APRIL), real(DECEMBER)) else { return };
    let good = std::fs::read(&december).expect("readable");
    let place = Place::new();
    let end = u32::from_le_bytes([good[8], good[9], good[10], good[11]]) as usize;
    let refuse = |bytes: &[u8], code: &str| {
        let file = place.write("tampered.cab", bytes);
        let run = take_real(&place, &file).expect("the roots are there");
        assert_refused(&place, run, code);
    };
    // Bytes that are signed: the header, the tables, the data; the first and the last.
    for at in [16, 24, 26, 33, 56, 60, 64, 68, 200, 100_000, 1_300_000, end - 1] {
        let mut changed = good.clone();
        changed[at] ^= 0x01;
        refuse(&changed, if (24..26).contains(&at) { "not-a-cabinet" } else { "altered" });
    }
    for (at, code) in [(0, "not-a-cabinet"), (3, "not-a-cabinet"), (8, "layout"), (11, "not-a-cabinet")] {
        let mut changed = good.clone();
        changed[at] ^= 0x01;
        refuse(&changed, code);
    }
    refuse(b"", "not-a-cabinet");
    refuse(&good[..2000], "not-a-cabinet");
    // Bytes that are not signed, but that a reader acts on: reserved1, iCabinet, cbCFHeader, the reserve.
    for at in [4, 34, 36, 38, 39, 40, 52, 55] {
        let mut changed = good.clone();
        changed[at] ^= 0x40;
        let place = Place::new();
        let file = place.write("tampered.cab", &changed);
        let run = take_real(&place, &file).expect("the roots are there").expect(1);
        let code = text(&run.rows()[0], "code").to_owned();
        assert!(["layout", "not-signed"].contains(&code.as_str()), "byte {at}: {code}");
    }
    refuse(&[&good[..], b"appended"].concat(), "layout");
    refuse(&good[..good.len() - 8], "layout");
    // Without its signature: the flag taken away, or the signature's size.
    let mut unsigned = good.clone();
    unsigned[30] = 0;
    refuse(&unsigned, "not-signed");
    let mut unsigned = good.clone();
    unsigned[48..52].fill(0);
    refuse(&unsigned, "not-signed");
    // The signature of the other edition.
    let other = std::fs::read(&april).expect("readable");
    let from = u32::from_le_bytes([other[44], other[45], other[46], other[47]]) as usize;
    let mut swapped = [&good[..end], &other[from..]].concat();
    let length = u32::try_from(other.len() - from).expect("small");
    swapped[48..52].copy_from_slice(&length.to_le_bytes());
    refuse(&swapped, "altered");
    // Every octet of the signature, some of them: never taken as another package. The certificates of the message are not
    // signed themselves; what is spoilt there breaks a path or nothing.
    let mut refused = 0;
    for at in (end..good.len()).step_by(97) {
        let mut changed = good.clone();
        changed[at] ^= 0x01;
        let place = Place::new();
        let file = place.write("tampered.cab", &changed);
        let run = take_real(&place, &file).expect("the roots are there");
        assert!(run.code == 1 || run.code == 0, "byte {at}: {} {}", run.code, run.stderr);
        refused += run.code;
        if run.code == 0 {
            assert_eq!(place.list().len(), 2188, "byte {at}");
        }
    }
    assert!(refused > 50, "{refused} of 107");
    // Roots: of the wrong edition only, and one that signs nothing here.
    let roots: Vec<PathBuf> = [ROOTS[0]].into_iter().filter_map(real).collect();
    assert_refused(&place, take(&place, &december, &roots, &[]), "signer-not-trusted");
    let roots: Vec<PathBuf> = [ROOTS[1]].into_iter().filter_map(real).collect();
    assert_refused(&place, take(&place, &april, &roots, &[]), "timestamp-not-trusted");
    let Some(vendor_root) = shared("real/vendor-sites/pki.infineon.com/OptigaRsaRootCA/OptigaRsaRootCA.crt")
    else {
        return;
    };
    assert_refused(&place, take(&place, &december, &[vendor_root], &[]), "root-not-pinned");
    assert!(take(&place, &december, &[], &[]).expect(3).stderr.contains("--package-root"));
    // What is no package is told so first.
    let other = place.write("other.cab", b"hello");
    assert_refused(&place, take(&place, &other, &[], &[]), "not-a-cabinet");
}

/// What cabextract and our decoder of single files say about an edition: file names by fingerprint.
fn independent(edition: &str) -> Option<BTreeMap<String, BTreeSet<String>>> {
    let place = Place::new();
    let mut inventory: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in unpacked(&place, edition)? {
        let found = container::read(&std::fs::read(&path).expect("readable")).expect("a certificate");
        let name = path.strip_prefix(place.path("cab")).expect("below").to_string_lossy().replace('/', "\\");
        inventory.entry(found[0].certificate.fingerprint().to_string()).or_default().insert(name);
    }
    Some(inventory)
}

#[test]
fn editions_are_compared_by_their_contents_and_a_withdrawal_is_a_question() {
    let (Some(april), Some(december)) = (real(APRIL), real(DECEMBER)) else { return };
    let (Some(before), Some(after)) = (independent(APRIL), independent(DECEMBER)) else { return };
    let place = Place::new();
    let Some(run) = take_real(&place, &april) else { return };
    assert!(run.expect(0).stderr.contains("one of 21-November-2024 is known"));
    let run = take_real(&place, &december).expect("the roots are there").expect(0);
    let comparison = run.rows()[0]["comparison"].clone();
    let set = |list: &Value| -> BTreeSet<String> {
        list.as_array().expect("a list").iter().map(|change| text(change, "fingerprint").to_owned()).collect()
    };
    let only = |one: &BTreeMap<String, BTreeSet<String>>, other: &BTreeMap<String, BTreeSet<String>>| {
        one.keys().filter(|key| !other.contains_key(*key)).cloned().collect::<BTreeSet<_>>()
    };
    let renamed = before.iter().filter(|(key, names)| after.get(*key).is_some_and(|new| new != *names));
    assert_eq!(set(&comparison["added"]), only(&after, &before));
    assert_eq!(set(&comparison["removed"]), only(&before, &after));
    assert_eq!(set(&comparison["renamed"]), renamed.map(|(key, _)| key.clone()).collect());
    assert_eq!(set(&comparison["removed"]).len(), 7);
    let kinds = |kind: &str| -> Vec<String> {
        let all = comparison["disagreements"].as_array().expect("a list").iter();
        all.filter(|row| text(row, "kind") == kind).map(|row| text(row, "name").to_owned()).collect()
    };
    assert_eq!(
        kinds("removed-unclaimed"),
        ["Microsoft\\IntermediateCA\\NTC-KEYID-23F4E22AD3BE374A449772954AA283AED752572E.cer"]
    );
    assert_eq!(kinds("added-unclaimed").len(), 7);
    assert_eq!(kinds("added-but-absent").len(), 1);

    // Intel's two stay where they are, flagged, until a reviewer decides; approving answers the question.
    let waiting = place.say("review --format json").expect(0).rows();
    let names: BTreeSet<&str> = waiting.iter().map(|row| text(row, "subject")).collect();
    assert_eq!(waiting.len(), 2, "{names:?}");
    for row in &waiting {
        assert_eq!((text(row, "state"), &row["flags"]), ("approved", &serde_json::json!(["withdrawn"])));
        assert_eq!(text(row, "store"), "EKCA");
        let withdrawn = &row["sources"][0]["origin"]["withdrawn"];
        assert_eq!(text(withdrawn, "reason"), "19-April-2024: Removed the following EK Certificates");
        assert_eq!(row["vouched_for_by"], serde_json::json!([]));
    }
    assert_eq!(place.say("review --purpose aik --format json").expect(0).rows().len(), 7);
    let (keep, drop) = (text(&waiting[0], "fingerprint"), text(&waiting[1], "fingerprint"));
    place.run(["approve", keep, "--reason", "devices in the field"]).expect(0);
    place.run(["reject", drop, "--reason", "withdrawn by Intel"]).expect(0);
    assert!(place.say("review --format json").expect(0).rows().is_empty());
    assert_eq!(place.standing(keep), ("EKCA".to_owned(), "approved".to_owned()));
    assert_eq!(place.standing(drop), (String::new(), "rejected".to_owned()));
    // What the index holds is what the log says.
    let row = place.say("status --format json").expect(0).row();
    std::fs::remove_dir_all(place.store().join("index")).expect("an index");
    assert_eq!(place.say("status --format json").expect(0).row(), row);
}

/// A manufacturer, its signer, and a catalogue that pins the signer's root.
struct Made {
    place: Place,
    signer: Signer,
    root: Authority,
    cas: Vec<Authority>,
}

fn made() -> Option<Made> {
    if !can_sign() {
        return None;
    }
    let workshop = Place::new();
    let signer = Signer::new(&workshop, "signer", "Made Corporation", For::Code);
    let root = Authority::root("Root", KeyKind::P256, 1).expect("made");
    let cas: Vec<Authority> =
        (2..5).map(|n| root.intermediate(&format!("CA {n}"), KeyKind::P256, n).expect("made")).collect();
    let place = Place::with_catalogue(&catalogue(&signer.root, "\"Made Corporation\"", &cas[0]));
    // The files of the signer go with the place that lives on.
    crate::support::copy_folder(&workshop.path("signer"), &place.path("signer"));
    let signer = Signer::at(&place, "signer", signer.root);
    Some(Made { place, signer, root, cas })
}

fn catalogue(root: &[u8], signers: &str, pinned: &Authority) -> String {
    let entry = |name: &str, role: &str, der: &[u8]| {
        let certificate = ekstore::cert::decode::certificate(der).expect("made for the test");
        format!(
            "[[source]]\nname = \"{name}\"\nurl = \"https://pki.made.example/{name}\"\nrole = \"{role}\"\nsubject = {:?}\n\
             sha256 = \"{}\"\nspki_sha256 = \"{}\"\nevidence = \"made\"\n",
            certificate.subject().to_string(),
            certificate.fingerprint(),
            certificate.key().fingerprint(),
        )
    };
    format!(
        "id = \"IFX\"\nregistry = \"49465800\"\nname = \"x\"\nhosts = [\"pki.made.example\"]\n{}{}\
         [[signed-package]]\nname = \"Made.cab\"\nurl = \"https://link.made.example/cab\"\nhosts = [\"link.made.example\"]\n\
         roots = [\"{}\"]\nsigners = [{signers}]\nedition = \"1-June-2023\"\noldest_edition = \"1-March-2023\"\n\
         evidence = \"made\"\n[signed-package.folders]\nMade = \"STM\"\n",
        entry("signer", "package-signer", root),
        entry("pinned", "intermediate", pinned.der()),
        Fingerprint::of(root),
    )
}

impl Made {
    /// A signed package of this edition with the root and some of the CAs.
    fn package(&self, name: &str, edition: &str, cas: &[usize], stamped: Option<&str>) -> PathBuf {
        let version = version(edition, "");
        let names: Vec<String> = cas.iter().map(|n| format!("Made\\IntermediateCA\\{n}.cer")).collect();
        let mut members: Vec<(&str, &[u8])> =
            vec![("version.txt", &version), ("Made\\RootCA\\root.cer", self.root.der())];
        members.extend(cas.iter().zip(&names).map(|(n, name)| (name.as_str(), self.cas[*n].der())));
        self.signed(name, &members, stamped)
    }

    fn signed(&self, name: &str, members: &[(&str, &[u8])], stamped: Option<&str>) -> PathBuf {
        let plain = self.place.write(&format!("plain-{name}"), &cabinet(members));
        let signed = self.place.path(name);
        self.signer.sign(&plain, &signed, stamped);
        signed
    }

    fn take(&self, package: &Path, more: &[&str]) -> Run {
        take(&self.place, package, &[self.signer.root_file()], more)
    }
}

#[test]
fn t27_editions_and_time_stamps_never_go_back() {
    let Some(made) = made() else { return };
    let refuse = |package: &Path, code: &str| assert_refused(&made.place, made.take(package, &[]), code);
    let old = made.package("old.cab", "28-February-2023", &[0], Some("2023-02-28"));
    refuse(&old, "edition-too-old");
    assert_eq!(made.take(&old, &["--accept-old-edition", " "]).code, 2);
    let may = made.package("may.cab", "1-May-2023", &[0, 1], Some("2023-05-02"));
    assert!(made.signer.peer_believes(&may));
    made.take(&may, &[]).expect(0);
    // A manufacturer by the package's folder, and by the catalogue where it speaks of the certificate.
    let vendor = |der: &[u8]| {
        let fingerprint = Fingerprint::of(der).to_string();
        let list = made.place.list();
        let row = list.iter().find(|row| text(row, "fingerprint") == fingerprint).expect("listed");
        (text(row, "manufacturer").to_owned(), text(row, "store").to_owned())
    };
    assert_eq!(vendor(made.root.der()), ("STM".to_owned(), "EKROOT".to_owned()));
    assert_eq!(vendor(made.cas[0].der()), ("IFX".to_owned(), "EKCA".to_owned()));
    assert_eq!(vendor(made.cas[1].der()), ("STM".to_owned(), "EKCA".to_owned()));

    refuse(&made.package("april.cab", "1-April-2023", &[0, 1, 2], Some("2023-06-01")), "rollback");
    refuse(&made.package("backdated.cab", "1-June-2023", &[0, 1, 2], Some("2023-04-01")), "rollback");
    refuse(&made.package("same.cab", "1-May-2023", &[0], Some("2023-05-01")), "rollback");
    // The same edition signed later with other bytes is the newer one; then the next edition.
    let run = made.take(&made.package("again.cab", "1-May-2023", &[0, 2], Some("2023-05-03")), &[]).expect(0);
    let comparison = &run.rows()[0]["comparison"];
    let one = |field: &str| {
        let list = comparison[field].as_array().expect("a list");
        assert_eq!(list.len(), 1, "{comparison}");
        text(&list[0], "fingerprint").to_owned()
    };
    assert_eq!(one("added"), Fingerprint::of(made.cas[2].der()).to_string());
    assert_eq!(one("removed"), Fingerprint::of(made.cas[1].der()).to_string());
    made.take(&made.package("june.cab", "1-June-2023", &[0, 1, 2], Some("2023-06-01")), &[]).expect(0);
    // It is back, so there is no question any more.
    assert!(made.place.say("review --format json").expect(0).rows().is_empty());
    made.place.say("log verify").expect(0);
}

#[test]
fn t26_a_missing_time_stamp_a_wrong_usage_and_another_signer_are_told_apart() {
    let Some(made) = made() else { return };
    let refuse = |package: &Path, code: &str| assert_refused(&made.place, made.take(package, &[]), code);
    refuse(&made.package("bare.cab", "1-May-2023", &[0], None), "no-timestamp");
    // The time stamp says that it was signed when the signer's certificate was not valid yet, or not any more.
    let late = made.package("late.cab", "1-May-2023", &[0], Some("2024-05-02"));
    assert!(!made.signer.peer_believes(&late));
    refuse(&late, "signer-not-trusted");
    // A signer for e-mail.
    let mail = Signer::new(&made.place, "mail", "Made Corporation", For::Mail);
    let plain = made.place.path("plain-bare.cab");
    let sign = |signer: &Signer, name: &str| {
        let out = made.place.path(name);
        signer.sign(&plain, &out, Some("2023-05-02"));
        out
    };
    let package = sign(&mail, "mail.cab");
    let by_hand = ["--trust-package-root", "a test"];
    let run = take(&made.place, &package, &[mail.root_file()], &by_hand);
    assert_refused(&made.place, run, "signer-not-trusted");
    // Somebody else under another root: not pinned; believed by hand, and then all are candidates.
    let other = Signer::new(&made.place, "other", "Somebody Else", For::Code);
    let package = sign(&other, "other.cab");
    assert_refused(&made.place, made.take(&package, &[]), "timestamp-not-trusted");
    assert_refused(&made.place, take(&made.place, &package, &[other.root_file()], &[]), "root-not-pinned");
    assert_eq!(take(&made.place, &package, &[other.root_file()], &["--trust-package-root", ""]).code, 2);
    take(&made.place, &package, &[other.root_file()], &by_hand).expect(0);
    assert!(made.place.list().iter().all(|row| text(row, "state") == "candidate"));
    // The catalogue's own root vouches, and is not held up by what was taken by hand.
    made.take(&made.package("may.cab", "1-May-2023", &[0], Some("2023-05-02")), &[]).expect(0);
    assert_eq!(made.place.standing(&Fingerprint::of(made.cas[0].der()).to_string()).0, "EKCA");
    // Under the pinned root, but another signer than the catalogue names.
    let strict = Place::with_catalogue(&catalogue(&made.signer.root, "\"Another Name\"", &made.cas[0]));
    let run = take(&strict, &made.place.path("may.cab"), &[made.signer.root_file()], &[]);
    assert_refused(&strict, run, "other-signer");
}

#[test]
fn hostile_archives_are_refused_though_their_signature_holds() {
    let Some(made) = made() else { return };
    let version = version("1-May-2023", "");
    let ca = made.cas[0].der();
    let mut number = 0;
    let mut refuse = |members: &[(&str, &[u8])], code: &str| {
        number += 1;
        let package = made.signed(&format!("hostile-{number}.cab"), members, Some("2023-05-02"));
        assert_refused(&made.place, made.take(&package, &[]), code);
    };
    refuse(&[("version.txt", &version), ("..\\..\\x.cer", ca)], "hostile-archive");
    refuse(&[("version.txt", &version), ("C:\\x.cer", ca)], "hostile-archive");
    refuse(&[("version.txt", &version), ("Made\\x.cer", ca), ("made\\X.CER", ca)], "hostile-archive");
    // A bomb: 16 MiB of zeros, and a member of 5 MiB.
    let zeros = vec![0; 4 << 20];
    let bomb: Vec<(String, &[u8])> = (0..4).map(|n| (format!("{n}.cer"), &zeros[..])).collect();
    let mut members: Vec<(&str, &[u8])> = vec![("version.txt", &version)];
    members.extend(bomb.iter().map(|(name, content)| (name.as_str(), *content)));
    refuse(&members, "hostile-archive");
    let large = vec![7; 5 << 20];
    refuse(&[("version.txt", &version), ("large.cer", &large)], "hostile-archive");
    refuse(&[("Made\\x.cer", ca)], "not-a-package");
    refuse(&[("version.txt", b"no date"), ("Made\\x.cer", ca)], "not-a-package");
    refuse(&[("version.txt", &version)], "not-a-package");
    // One member that is no certificate does not hold up the others.
    let package = made.signed(
        "mixed.cab",
        &[("version.txt", &version), ("Made\\x.cer", ca), ("Made\\bad.cer", b"not one")],
        Some("2023-05-02"),
    );
    let run = made.take(&package, &[]).expect(0);
    assert_eq!(run.rows()[0]["unreadable"].as_array().map(Vec::len), Some(1));
    assert!(run.stderr.contains("Made\\bad.cer"), "{}", run.stderr);
}

#[test]
fn what_suffices_for_approval_is_recorded_and_holds() {
    let Some(made) = made() else { return };
    let package = made.package("may.cab", "1-May-2023", &[0, 1], Some("2023-05-02"));
    made.take(&package, &[]).expect(0);
    made.place.write("mirror/pki.made.example/pinned", made.cas[0].der());
    made.place.sync(&made.place.path("mirror")).expect(0);
    let states = || [0, 1].map(|n| made.place.standing(&Fingerprint::of(made.cas[n].der()).to_string()).1);
    assert_eq!(states(), ["approved", "approved"]);
    let require = |policy: &str| {
        let config = made.place.write("config.toml", format!("[trust]\nrequire = \"{policy}\"\n").as_bytes());
        let mut command = made.place.command();
        command.arg("--config").arg(config).args(["sync", "--mirror"]).arg(made.place.path("mirror"));
        Run::from(command.output().expect("the program starts"))
    };
    require("two-sources").expect(0);
    assert_eq!(states(), ["approved", "candidate"]);
    require("pin").expect(0);
    assert_eq!(states(), ["approved", "candidate"]);
    require("package").expect(0);
    assert_eq!(states(), ["approved", "approved"]);
    // The package's own root has a pin and no second source; it is believed for packages all the same.
    made.place.write("mirror/pki.made.example/signer", &made.signer.root);
    let june = made.package("june.cab", "1-June-2023", &[0, 1], Some("2023-06-01"));
    made.place.write("mirror/link.made.example/cab", &std::fs::read(june).expect("signed"));
    let run = require("two-sources").expect(0);
    assert!(run.stdout.contains("edition of 1-June-2023"), "{}", run.stdout);
    // Not any more when a reviewer decided against it.
    let root = Fingerprint::of(&made.signer.root).to_string();
    made.place.run(["reject", &root, "--reason", "for the test"]).expect(0);
    let july = made.package("july.cab", "1-July-2023", &[0, 1], Some("2023-07-01"));
    made.place.write("mirror/link.made.example/cab", &std::fs::read(&july).expect("signed"));
    let refused = require("two-sources").expect(3);
    assert!(refused.stdout.contains("is at hand"), "{}", refused.stdout);
    made.place.run(["reinstate", &root, "--reason", "for the test"]).expect(0);
    require("two-sources").expect(0);
    assert_eq!(require("three").code, 2);
    // It stands in the log, so it holds for everyone, whatever their configuration says.
    assert_eq!(text(&made.place.say("status --format json").expect(0).row(), "approved_by"), "two-sources");
    // A reviewer's word suffices alone.
    for der in [made.root.der(), made.cas[1].der()] {
        let fingerprint = Fingerprint::of(der).to_string();
        made.place.run(["approve", &fingerprint, "--reason", "seen on paper"]).expect(0);
    }
    assert_eq!(states(), ["approved", "approved"]);
    require("any").expect(0);
    assert_eq!(text(&made.place.say("status --format json").expect(0).row(), "approved_by"), "any");
}

#[test]
fn sources_are_proposed_where_certificates_and_package_agree() {
    let (Some(package), Some(folder)) = (real(DECEMBER), shared("real/ek")) else { return };
    // With the catalogue of before: Infineon's third roots are not in it.
    let toml = "id = \"IFX\"\nregistry = \"49465800\"\nname = \"x\"\nhosts = [\"pki.infineon.com\"]\n";
    let msft = include_str!("../../vendors/msft.toml");
    let place = Place::with_catalogue(toml);
    place.write("catalogue/msft.toml", msft.as_bytes());
    let Some(run) = take_real(&place, &package) else { return };
    run.expect(0);
    let rows = place.say("vendors propose --format json").expect(0).rows();
    let urls = |listed: bool| -> BTreeMap<String, (String, String)> {
        rows.iter()
            .filter(|row| row["host_listed"] == listed)
            .map(|row| {
                let source = &row["source"];
                let pin = (text(source, "sha256").to_owned(), text(source, "role").to_owned());
                (text(source, "url").to_owned(), pin)
            })
            .collect()
    };
    let listed = urls(true);
    let root = &listed["http://pki.infineon.com/OptigaRsaRootCA3/OptigaRsaRootCA3.crt"];
    assert_eq!(root.0, "976b0579c016741b0003bf8055e920ab08f72abc819547b3480b0c141e956b70");
    assert_eq!(root.1, "anchor");
    assert!(listed.keys().all(|url| url.starts_with("http://pki.infineon.com/")), "{listed:?}");
    assert!(
        urls(false).contains_key("https://trustedservices.intel.com/content/CRL/ekcert/EKRootPublicKey.cer")
    );
    // As text, what is not listed is commented out, and what is can be read back as a catalogue.
    let ek = folder.join("intc-spt-rsa-ekop.der");
    let text = place.run(["vendors".as_ref(), "propose".as_ref(), ek.as_os_str()]).expect(0).stdout;
    assert!(text.contains("# url = \"http://upgrades.intel.com/"), "{text}");
    let place = Place::with_catalogue(&format!("{toml}{text}"));
    place.write("catalogue/msft.toml", msft.as_bytes());
    place.say("vendors lint").expect(0);
}

/// A mirror with the two roots and this package, where the link led.
fn mirror(place: &Place, package: &[u8]) -> Option<PathBuf> {
    let published = ["MicRooCerAut_2010-06-23.crt", "MicRooCerAut2011_2011_03_22.crt"];
    for (file, name) in ROOTS.into_iter().zip(published) {
        let der = std::fs::read(real(file)?).expect("readable");
        place.write(&format!("mirror/www.microsoft.com/pki/certs/{name}"), &der);
    }
    let led_to = "download.microsoft.com/download/D/6/5/D65270B2-EAFD-43FD-B9BA-F65CA00B153E/TrustedTpm.cab";
    place.write(&format!("mirror/{led_to}"), package);
    Some(place.path("mirror"))
}

#[test]
fn a_sync_takes_the_package_with_the_roots_that_it_fetched() {
    let (Some(april), Some(december)) = (real(APRIL), real(DECEMBER)) else { return };
    let read = |path: &Path| std::fs::read(path).expect("readable");
    let place = Place::new();
    let Some(folder) = mirror(&place, &read(&april)) else { return };
    let run = place.sync(&folder).expect(0);
    let package = |run: &Run| -> Value {
        let rows = run.rows();
        rows.into_iter().find(|row| text(row, "name") == "TrustedTpm.cab").expect("a row")
    };
    assert_eq!(text(&package(&run), "outcome"), "taken");
    // Not trusted for anything but packages (T19).
    let signers: Vec<(String, String)> = place
        .list()
        .iter()
        .filter(|row| text(row, "purpose") == "package-signer")
        .map(|row| (text(row, "store").to_owned(), text(row, "state").to_owned()))
        .collect();
    assert_eq!(signers, vec![(String::new(), "approved".to_owned()); 2]);
    // From a file no roots need be given now. An altered package on the way is refused as long as it is served, once in the log.
    let mut altered = read(&december);
    altered[500_000] ^= 1;
    mirror(&place, &altered);
    assert_eq!(text(&package(&place.sync(&folder).expect(1)), "code"), "altered");
    let log = read(&place.log());
    place.sync(&folder).expect(1);
    assert_eq!(read(&place.log()), log);
    assert!(place.say("status").expect(0).stdout.contains("drifting"));
    mirror(&place, &read(&december));
    assert_eq!(text(&package(&place.sync(&folder).expect(0)), "edition"), "21-November-2024");
    assert!(!place.say("status").expect(0).stdout.contains("drifting"));
    let run = take(&place, &december, &[], &[]).expect(0);
    assert_eq!(text(&run.rows()[0], "outcome"), "unchanged");
    // A bot wall is no package, and no reason for alarm.
    mirror(&place, b"<!doctype html><title>one moment</title>");
    assert_eq!(text(&package(&place.sync(&folder).expect(3)), "code"), "not-a-package");
}

#[test]
fn t19_a_package_signer_is_trusted_for_nothing_else_whoever_approves_it() {
    let Some(root) = real(ROOTS[1]) else { return };
    let place = Place::new();
    let run = place.run(["add".as_ref(), "--format".as_ref(), "json".as_ref(), root.as_os_str()]).expect(0);
    assert!(run.stderr.contains("trusted for nothing else"), "{}", run.stderr);
    let fingerprint = text(&run.row(), "fingerprint").to_owned();
    place.run(["approve", &fingerprint, "--anchor", "--reason", "a mistake"]).expect(0);
    assert_eq!(place.standing(&fingerprint), (String::new(), "approved".to_owned()));
    let out = place.path("out.pem");
    let export = place.run([
        "export".as_ref(),
        "pem".as_ref(),
        "--purpose".as_ref(),
        "aik".as_ref(),
        "--format".as_ref(),
        "json".as_ref(),
        "--out".as_ref(),
        out.as_os_str(),
    ]);
    assert_eq!(export.expect(0).row()["certificates"], 0);
}

#[test]
fn the_link_may_redirect_to_its_own_hosts_only() {
    let Some(december) = real(DECEMBER) else { return };
    let bytes = std::fs::read(&december).expect("readable");
    let place = Place::new();
    let Some(folder) = mirror(&place, b"") else { return };
    std::fs::remove_dir_all(folder.join("download.microsoft.com")).expect("made before");
    place.sync(&folder).expect(0);
    let elsewhere = Arc::new(AtomicBool::new(true));
    let (leave, asked) = (Arc::clone(&elsewhere), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    let content = move |host: &str, path: &str| match (host, path) {
        ("go.microsoft.com", "/fwlink/") => {
            let to =
                if leave.load(Ordering::SeqCst) { "www.microsoft.com" } else { "download.microsoft.com" };
            let headers = vec![("location".to_owned(), format!("https://{to}/TrustedTpm.cab"))];
            Some(Reply { status: 302, headers, body: vec![] })
        }
        ("download.microsoft.com", "/TrustedTpm.cab") => {
            counted.fetch_add(1, Ordering::SeqCst);
            Some(Reply::body(bytes.clone()))
        }
        _ => None,
    };
    let hosts = ["go.microsoft.com", "download.microsoft.com", "www.microsoft.com"].map(str::to_owned);
    let server = Server::start(&hosts, Arc::new(content)).expect("loopback");
    let root = place.write("tls-root.pem", server.root_pem().as_bytes());
    let sync = || {
        let mut command = place.command();
        command.args(["sync", "--format", "json", "--vendor", "MSFT", "--cacert"]).arg(&root);
        for host in &hosts {
            command.arg("--resolve").arg(format!("{host}:443:127.0.0.1:{}", server.port()));
            command.arg("--resolve").arg(format!("{host}:80:127.0.0.1:{}", server.port()));
        }
        let run: Run = command.output().expect("the program starts").into();
        // The server has none of the single certificates.
        let rows = run.expect(3).rows();
        rows.into_iter().find(|row| text(row, "name") == "TrustedTpm.cab").expect("a row")
    };
    let row = sync();
    assert_eq!((text(&row, "outcome"), text(&row, "code")), ("failed", "redirect"));
    elsewhere.store(false, Ordering::SeqCst);
    let row = sync();
    assert_eq!((text(&row, "outcome"), text(&row, "transport")), ("taken", "https (given roots)"));
    // Asked again with what the server said to recognise it by: unchanged, and nothing is appended.
    let log = std::fs::read(place.log()).expect("a log");
    assert_eq!(text(&sync(), "outcome"), "unchanged");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(std::fs::read(place.log()).expect("a log"), log);
}
