//! The first command of the README.

use std::time::{Duration, Instant};

use crate::support::{Place, Run};

#[test]
fn the_demo_goes_the_whole_way_and_leaves_a_folder_to_explore() {
    let place = Place::new();
    let start = Instant::now();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ekstore"));
    let run: Run = command.arg("demo").current_dir(place.path("")).output().expect("starts").into();
    // Its promise to the reader is ten seconds; a hang must not stop the tests.
    assert!(start.elapsed() < Duration::from_mins(1));
    let run = run.expect(0);
    for line in [
        "trusted ekstore-demo/ek/good-rsa.der",
        ": expired",
        ": signature-invalid",
        "drifted   DEMO",
        "sound: ",
    ] {
        assert!(run.stdout.contains(line), "{line}\n{}", run.stdout);
    }
    assert!(place.path("ekstore-demo/import/manifest.json").is_file());
    // Once more over the same folder.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ekstore"));
    Run::from(command.arg("demo").current_dir(place.path("")).output().expect("starts")).expect(0);
    // A folder of someone else's stays.
    let mine = place.write("mine/README.txt", b"years of work");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ekstore"));
    let run = Run::from(command.args(["demo", "--dir"]).arg(place.path("mine")).output().expect("starts"));
    assert!(run.expect(3).stderr.contains("did not write there"));
    assert_eq!(std::fs::read(mine).expect("still there"), b"years of work");
}
