//! `sync` on the real vendor sites: pins, drift, failures, and what goes into the log.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ekstore::cert::decode;

use crate::support::{Place, copy_folder, shared, text};

/// The real mirror, to be changed.
fn copied(place: &Place) -> Option<PathBuf> {
    let mirror = place.path("mirror");
    copy_folder(&shared("real/vendor-sites")?, &mirror);
    Some(mirror)
}

#[test]
fn t16_t17_the_real_vendor_sites_give_24_anchors_and_145_intermediates() {
    let Some(mirror) = shared("real/vendor-sites") else { return };
    let place = Place::new();
    let run = place.sync(&mirror).expect(0);
    let summary = run.rows().pop().expect("a summary");
    assert_eq!((&summary["pinned"], &summary["absent"]), (&169.into(), &17.into()));

    let list = place.list();
    let mut counts = BTreeMap::new();
    for row in &list {
        *counts.entry((text(row, "store"), text(row, "state"))).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([(("EKROOT", "approved"), 24), (("EKCA", "approved"), 145)]));

    // Every certificate of the list, by SHA-256, with its manufacturer.
    let sources = std::fs::read_to_string(mirror.join("sources.tsv")).expect("readable");
    let mut expected: Vec<(&str, &str)> = sources
        .lines()
        .skip(1)
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            (columns[5], columns[0])
        })
        .collect();
    expected.sort_unstable();
    let found: Vec<(&str, &str)> =
        list.iter().map(|row| (text(row, "fingerprint"), text(row, "manufacturer"))).collect();
    assert_eq!(found, expected);
    for row in &list {
        for field in
            ["thumbprint", "subject", "issuer", "not_before", "not_after", "purpose", "sources", "quirks"]
        {
            assert!(!row[field].is_null(), "{field} of {row}");
        }
    }
}

#[test]
fn a_second_sync_appends_nothing() {
    let Some(mirror) = shared("real/vendor-sites") else { return };
    let Some(place) = Place::synced() else { return };
    let before = std::fs::read(place.log()).expect("a log");
    place.sync(&mirror).expect(0);
    assert_eq!(std::fs::read(place.log()).expect("a log"), before);
}

#[test]
fn t10_one_changed_byte_in_signature_key_or_name_is_drift() {
    let place = Place::new();
    let Some(mirror) = copied(&place) else { return };
    place.sync(&mirror).expect(0);
    let before = place.list();
    let file = mirror.join("pki.infineon.com/OptigaRsaMfrCA035/OptigaRsaMfrCA035.crt");
    let sound = std::fs::read(&file).expect("readable");
    let certificate = decode::certificate(&sound).expect("a certificate");
    let offset =
        |part: &[u8]| sound.windows(part.len()).position(|window| window == part).expect("a slice of it");
    let spots = [
        offset(certificate.signature()) + 20,
        offset(certificate.key().bits) + 40,
        offset(certificate.subject().der()) + certificate.subject().der().len() - 1,
        0,
    ];
    for spot in spots {
        let mut changed = sound.clone();
        changed[spot] ^= 0x01;
        std::fs::write(&file, &changed).expect("writable");
        let run = place.sync(&mirror).expect(1);
        let mut kinds = BTreeMap::new();
        for row in run.rows() {
            *kinds.entry(text(&row, "outcome").to_owned()).or_insert(0) += 1;
        }
        assert_eq!((kinds["drifted"], kinds["pinned"]), (1, 168), "byte {spot}");
        assert_eq!(place.list(), before, "what was trusted stays trusted");

        // The event is written once; the drift is reported as long as it lasts.
        let log = std::fs::read(place.log()).expect("a log");
        place.sync(&mirror).expect(1);
        assert_eq!(std::fs::read(place.log()).expect("a log"), log);
        let status = place.say("status --format json").expect(0).row();
        assert_eq!(
            text(&status["drifting"][0]["source"], "url"),
            "https://pki.infineon.com/OptigaRsaMfrCA035/OptigaRsaMfrCA035.crt"
        );
    }
    std::fs::write(&file, &sound).expect("writable");
    place.sync(&mirror).expect(0);
    let last = place.say("log show --last 1 --format json").expect(0).row();
    assert_eq!(last["event"]["kind"], "recovered");
    let status = place.say("status --format json").expect(0).row();
    assert_eq!(status["drifting"], serde_json::json!([]));
}

#[test]
fn t11_what_is_no_certificate_is_a_failure_and_said_plainly() {
    let place = Place::new();
    let Some(mirror) = copied(&place) else { return };
    place.sync(&mirror).expect(0);
    let before = place.list();
    let file = mirror.join("pki.infineon.com/OptigaRsaMfrCA035/OptigaRsaMfrCA035.crt");
    std::fs::write(&file, "<!DOCTYPE html><html><body>Are you a robot?</body></html>").expect("writable");
    let run = place.sync(&mirror).expect(3);
    let rows = run.rows();
    let failed = rows.iter().find(|row| text(row, "outcome") == "failed").expect("one failure");
    assert_eq!(text(failed, "detail"), "not a certificate: an HTML page");
    assert_eq!(place.list(), before);

    // Larger than any certificate: stopped at the cap.
    std::fs::write(&file, vec![0x30; 2 << 20]).expect("writable");
    let run = place.sync(&mirror).expect(3);
    assert!(run.stdout.contains("not a certificate: larger than 1048576 bytes"), "{}", run.stdout);

    // Gone from the mirror: never an event.
    let log = std::fs::read(place.log()).expect("a log");
    std::fs::remove_file(&file).expect("removable");
    place.sync(&mirror).expect(0);
    assert_eq!(std::fs::read(place.log()).expect("a log"), log);
    assert_eq!(place.list(), before);
}

#[test]
fn a_mirror_that_is_another_folder_is_not_a_quiet_success() {
    let place = Place::new();
    let empty = place.path("empty");
    std::fs::create_dir(&empty).expect("writable");
    place.sync(&empty).expect(3);
    let run = place.sync(&place.path("missing")).expect(3);
    assert!(run.stderr.contains("hint: a mirror is a folder laid out as host/path"), "{}", run.stderr);
    assert!(
        place.say("sync --vendor ZZZ").expect(2).stderr.contains("the catalogue has no manufacturer ZZZ")
    );
}
