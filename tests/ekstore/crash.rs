//! Kills, changed bytes, lost events: what was reported stays, and what is wrong is found.

use std::process::Stdio;
use std::time::Duration;

use crate::support::{Place, copy_folder, shared, text};

/// A generator of its own, so that a failure can be repeated: xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("below a usize")
    }
}

#[test]
fn t2_fifty_kills_at_random_moments_lose_nothing_that_was_reported() {
    let Some(mirror) = shared("real/vendor-sites") else { return };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let vendors = ["AMD", "IFX", "INTC", "MSFT", "NSG", "NTC", "STM"];
    let mut place = Place::new();
    let (mut killed, mut finished) = (0, 0);
    for round in 0..50 {
        if round % 7 == 0 {
            place = Place::new();
        }
        let before = place.list().len();
        let mut child = place
            .command()
            .args(["sync", "--vendor", vendors[round % 7], "--mirror"])
            .arg(&mirror)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        std::thread::sleep(Duration::from_micros(random.below(60_000) as u64));
        let done = child.try_wait().expect("a child of ours").is_some();
        child.kill().ok();
        let output = child.wait_with_output().expect("a child of ours");
        let reported = String::from_utf8_lossy(&output.stdout).contains("generation ");
        if done {
            finished += 1;
        } else {
            killed += 1;
        }

        let verified = place.say("log verify --format json").expect(0).row();
        assert_eq!(verified["sound"], true);
        let after = place.list().len();
        assert!(after >= before, "round {round}: {before} certificates became {after}");
        assert!(!reported || after > before, "round {round}: reported, but not there");
    }
    assert!(killed > 5, "{killed} killed, {finished} finished: the kills come at the wrong moments");
}

#[test]
fn t3_an_index_that_is_changed_or_gone_is_computed_anew_with_the_same_answers() {
    let Some(place) = Place::synced() else { return };
    let answer = place.say("list --format json").expect(0).stdout;
    let index = place.store().join("index");
    let mut random = Random(7);
    for round in 0..40 {
        let files: Vec<_> = ekstore::file::list(&index).expect("readable");
        let files: Vec<_> =
            files.into_iter().filter(|path| path.metadata().is_ok_and(|data| data.len() > 0)).collect();
        let file = &files[random.below(files.len())];
        let mut bytes = std::fs::read(file).expect("readable");
        let at = random.below(bytes.len());
        bytes[at] ^= 1 << random.below(8);
        std::fs::write(file, bytes).expect("writable");
        let run = place.say("list --format json").expect(0);
        assert!(run.stdout == answer, "round {round}, {}, byte {at}", file.display());
        assert_eq!(run.stderr, "", "nothing that a person need know");
    }
    std::fs::remove_dir_all(&index).expect("removable");
    assert!(place.say("list --format json").expect(0).stdout == answer);
    assert!(index.is_dir(), "computed anew");
    std::fs::remove_dir_all(&index).expect("removable");
    std::fs::write(&index, "not a folder").expect("writable");
    assert!(place.say("list --format json").expect(0).stdout == answer);
}

#[test]
fn t5_any_changed_byte_of_the_log_is_located_and_nothing_is_decided_on_it() {
    let Some(place) = Place::synced() else { return };
    let certificate = text(&place.list()[0], "fingerprint").to_owned();
    place.run(["reject", &certificate, "--reason", "a second line"]).expect(0);
    place.run(["reinstate", &certificate, "--reason", "a third line"]).expect(0);
    let sound = std::fs::read(place.log()).expect("a log");
    let ends: Vec<usize> =
        sound.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    let mut random = Random(11);
    let mut spots: Vec<usize> = (0..25).map(|_| random.below(sound.len())).collect();
    spots.extend([0, ends[0], ends[0] + 1, ends[1], ends[2], sound.len() - 10]);
    let out = place.path("out.pem");
    for with_index in [true, false] {
        for at in &spots {
            let mut changed = sound.clone();
            changed[*at] ^= 0x04;
            std::fs::write(place.log(), &changed).expect("writable");
            if !with_index {
                let _ = std::fs::remove_dir_all(place.store().join("index"));
            }
            let verified = place.say("log verify --format json").expect(1).row();
            let line = 1 + ends.iter().filter(|end| *at > **end).count();
            assert_eq!(verified["line"], line, "byte {at}, index {with_index}");
            place.run(["export".as_ref(), "pem".as_ref(), "--out".as_ref(), out.as_os_str()]).expect(3);
            assert!(!out.exists());
            place.run(["reject", &certificate, "--reason", "x"]).expect(3);
            assert_eq!(std::fs::read(place.log()).expect("a log"), changed, "nothing was written");
        }
    }
    std::fs::write(place.log(), &sound).expect("writable");
    place.say("log verify").expect(0);
}

#[test]
fn t3_a_log_that_lost_events_is_refused_until_that_is_accepted() {
    let Some(place) = Place::synced() else { return };
    let certificate = text(&place.list()[0], "fingerprint").to_owned();
    let shorter = std::fs::read(place.log()).expect("a log");
    place.run(["distrust", &certificate, "--reason", "leaked"]).expect(0);
    std::fs::write(place.log(), &shorter).expect("writable");
    for command in ["list", "status", "log verify", "export pem --out /dev/null"] {
        let run = place.say(command).expect(3);
        assert!(run.stderr.contains("lost events"), "{command}: {}", run.stderr);
        assert!(run.stderr.contains("hint: "), "{command}: {}", run.stderr);
    }
    let run =
        place.run(["--accept-truncated-log", "restored from Monday's copy", "list", "--format", "json"]);
    assert_eq!(run.expect(0).rows().len(), 169);
    let last = place.say("log show --last 1 --format json").expect(0).row();
    assert_eq!(text(&last["event"], "kind"), "truncation-accepted");
    place.say("list").expect(0);
    // Nothing is lost now, so there is nothing to accept.
    place.run(["--accept-truncated-log", "x", "list"]).expect(3);
    // Cut inside a line.
    place.run(["reject", &certificate, "--reason", "a line to be cut"]).expect(0);
    let whole = std::fs::read(place.log()).expect("a log");
    std::fs::write(place.log(), &whole[..whole.len() - 40]).expect("writable");
    assert!(place.say("list").expect(3).stderr.contains("lost events"));
    place.run(["--accept-truncated-log", "cut by a full disk", "list"]).expect(0);
    place.say("log verify").expect(0);
    assert!(place.store().join("log.torn").is_file(), "what was left of the line is kept");
    // The log gone altogether, the index not.
    std::fs::remove_file(place.log()).expect("removable");
    place.say("list").expect(3);
}

#[test]
fn t2_a_torn_append_is_set_aside_and_reported() {
    let Some(place) = Place::synced() else { return };
    let mut log = std::fs::read(place.log()).expect("a log");
    log.extend_from_slice(b"{\"n\":2,\"time\":\"2026-");
    std::fs::write(place.log(), &log).expect("writable");
    assert_eq!(place.list().len(), 169);
    let run = place.say("log verify").expect(0);
    assert!(run.stderr.contains("never acknowledged"), "{}", run.stderr);
    let certificate = text(&place.list()[0], "fingerprint").to_owned();
    let run = place.run(["reject", &certificate, "--reason", "x"]).expect(0);
    assert!(run.stderr.contains("log.torn"), "{}", run.stderr);
    let torn = std::fs::read_to_string(place.store().join("log.torn")).expect("kept");
    assert_eq!(torn, "{\"n\":2,\"time\":\"2026-\n");
    place.say("log verify").expect(0);
}

#[test]
fn t4_a_writer_waits_and_then_names_the_holder() {
    let Some(place) = Place::synced() else { return };
    let certificate = text(&place.list()[0], "fingerprint").to_owned();
    let lock = std::fs::File::options().write(true).open(place.store().join("lock")).expect("there");
    lock.lock().expect("free");
    let run = place.run(["--lock-timeout", "0", "reject", &certificate, "--reason", "x"]).expect(3);
    assert!(run.stderr.contains("is being written by another process: process "), "{}", run.stderr);
    assert_eq!(place.list().len(), 169, "readers do not wait");
    drop(lock);
    place.run(["reject", &certificate, "--reason", "x"]).expect(0);
}

#[test]
fn t7_a_store_from_a_newer_version_is_refused_and_none_reads_as_empty() {
    let place = Place::new();
    assert_eq!(place.list().len(), 0);
    assert!(!place.store().exists(), "reading creates nothing");
    place.say("log verify").expect(0);
    let Some(synced) = Place::synced() else { return };
    let log = std::fs::read_to_string(synced.log()).expect("a log");
    let newer =
        log.replace(&format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION")), "\"version\":\"99.0.0\"");
    let body = newer.rfind(",\"sum\"").expect("a checksum");
    let sum = ekstore::fingerprint::Digest::of(&newer.as_bytes()[..body]);
    copy_folder(&synced.store(), &place.store());
    std::fs::remove_dir_all(place.store().join("index")).expect("removable");
    std::fs::write(place.log(), format!("{},\"sum\":\"{sum}\"}}\n", &newer[..body])).expect("writable");
    let run = place.say("list").expect(3);
    assert!(run.stderr.contains("version 99.0.0, which is newer"), "{}", run.stderr);
}
