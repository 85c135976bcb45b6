//! The real network code, against a server on loopback with the manufacturers' host names.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ekstore::demo::server::{Reply, Server};
use serde_json::Value;

use crate::support::{Place, Run, shared, text};

const HOSTS: [&str; 8] = [
    "ftpm.amd.com",
    "pki.infineon.com",
    "tsci.intel.com",
    "www.microsoft.com",
    "pki.nsing.com.sg",
    "www.nuvoton.com",
    "secure.globalsign.com",
    "sw-center.st.com",
];

const VENDORS: [&str; 7] = ["AMD", "IFX", "INTC", "MSFT", "NSG", "NTC", "STM"];

fn hosts() -> Vec<String> {
    HOSTS.map(str::to_owned).to_vec()
}

fn file(mirror: &std::path::Path, host: &str, path: &str) -> Option<Vec<u8>> {
    std::fs::read(mirror.join(host).join(path.trim_start_matches('/').replace("%20", " "))).ok()
}

/// Runs `sync` against the server; hosts that the server has no name for are not in it.
fn sync(place: &Place, server: &Server, vendors: &[&str]) -> Run {
    let root: PathBuf = place.write("tls-root.pem", server.root_pem().as_bytes());
    let mut command = place.command();
    command.args(["sync", "--format", "json", "--cacert"]).arg(root);
    for host in HOSTS {
        for port in [80, 443] {
            command.arg("--resolve").arg(format!("{host}:{port}:127.0.0.1:{}", server.port()));
        }
    }
    for vendor in vendors {
        command.args(["--vendor", vendor]);
    }
    command.output().expect("the program starts").into()
}

#[test]
fn https_gives_the_same_log_as_a_mirror_but_for_time_and_transport() {
    let Some(mirror) = shared("real/vendor-sites") else { return };
    let by_mirror = Place::new();
    by_mirror.run(["sync".as_ref(), "--mirror".as_ref(), mirror.as_os_str()]).expect(0);
    let served = mirror.clone();
    let server =
        Server::start(&hosts(), Arc::new(move |host, path| file(&served, host, path).map(Reply::body)));
    let server = server.expect("loopback");
    let by_https = Place::new();
    // What the folder has not is a failure here, and those that are published by plain http, which this server does not
    // speak: the package and its two signers among them.
    let run = sync(&by_https, &server, &VENDORS).expect(3);
    let rows = run.rows();
    let failed: Vec<&str> =
        rows.iter().filter(|row| text(row, "outcome") == "failed").map(|row| text(row, "url")).collect();
    let pinned = rows.iter().filter(|row| text(row, "outcome") == "pinned").count();
    let signers = failed.iter().filter(|url| url.starts_with("http://www.microsoft.com/pki/certs/"));
    assert_eq!((pinned, signers.count(), failed.len()), (169, 2, rows.len() - 169 - 1), "{}", run.stdout);

    let seen = |place: &Place| {
        let log = std::fs::read_to_string(place.log()).expect("a log");
        let mut first: Value = serde_json::from_str(log.lines().next().expect("an event")).expect("JSON");
        for certificate in first["event"]["certificates"].as_array_mut().expect("a list") {
            let transport = certificate["origin"]["transport"].take();
            assert!(transport == "mirror" || transport == "https (given roots)", "{transport}");
        }
        first["event"].clone()
    };
    assert_eq!(seen(&by_mirror), seen(&by_https));
    assert_eq!(by_mirror.list().len(), 169);

    // Asked again, the server says that nothing changed, and nothing is appended.
    let log = std::fs::read(by_https.log()).expect("a log");
    sync(&by_https, &server, &VENDORS).expect(3);
    assert_eq!(std::fs::read(by_https.log()).expect("a log"), log);
}

#[test]
fn conditional_requests_are_made() {
    let Some(mirror) = shared("real/vendor-sites") else { return };
    let bodies = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&bodies);
    let content = move |host: &str, path: &str| {
        counted.fetch_add(1, Ordering::SeqCst);
        file(&mirror, host, path).map(Reply::body)
    };
    let server = Server::start(&hosts(), Arc::new(content)).expect("loopback");
    let place = Place::new();
    sync(&place, &server, &["NSG"]).expect(0);
    let run = sync(&place, &server, &["NSG"]).expect(0);
    assert_eq!(bodies.load(Ordering::SeqCst), 24, "asked both times");
    let summary = run.rows().pop().expect("a summary");
    assert_eq!((&summary["pinned"], &summary["events_appended"]), (&12.into(), &0.into()));
}

#[test]
fn bot_walls_redirects_and_floods_are_failures_that_change_nothing() {
    let Some(mirror) = shared("real/vendor-sites") else { return };
    let Some(place) = Place::synced() else { return };
    let before = place.list();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let content = move |host: &str, path: &str| {
        let good = file(&mirror, host, path)?;
        Some(match path {
            path if path.ends_with("ODCA_CA2_CSME_Intermediate.cer") => {
                let status = 202;
                Reply { status, headers: vec![], body: good }
            }
            path if path.ends_with("ODCA_CA2_OSSE_Intermediate.cer") => Reply {
                status: 302,
                headers: vec![("location".to_owned(), "https://elsewhere.example/x".to_owned())],
                body: vec![],
            },
            path if path.ends_with("OnDie_CA_RootCA_Certificate.cer") => {
                // Once busy, then too much.
                if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                    let retry = vec![("retry-after".to_owned(), "0".to_owned())];
                    Reply { status: 503, headers: retry, body: vec![] }
                } else {
                    Reply::body(vec![0x30; (1 << 20) + 1])
                }
            }
            path if path.contains("NSEccRootCA001") => Reply::status(403),
            path if path.contains("NSRsaRootCA001") => Reply {
                status: 301,
                headers: vec![("location".to_owned(), "https://www.pki.nsing.com.sg/x".to_owned())],
                body: vec![],
            },
            _ => Reply::body(good),
        })
    };
    let server = Server::start(&hosts(), Arc::new(content)).expect("loopback");
    let run = sync(&place, &server, &["INTC", "NSG"]).expect(3);
    let rows = run.rows();
    let detail = |name: &str| {
        let row = rows.iter().find(|row| text(row, "url").contains(name)).expect(name);
        (text(row, "outcome").to_owned(), text(row, "detail").to_owned())
    };
    let failed = |detail: &str| ("failed".to_owned(), detail.to_owned());
    assert_eq!(detail("ODCA_CA2_CSME"), failed("not a certificate: the server answered with status 202"));
    assert_eq!(
        detail("ODCA_CA2_OSSE"),
        failed("redirected to elsewhere.example, which is not a host of the manufacturer")
    );
    assert_eq!(detail("OnDie_CA_RootCA"), failed("not a certificate: larger than 1048576 bytes"));
    assert_eq!(asked.load(Ordering::SeqCst), 2, "503 is tried again");
    assert_eq!(detail("NSEccRootCA001"), failed("not a certificate: the server answered with status 403"));
    assert_eq!(detail("NSRsaRootCA001").0, "failed");
    assert_eq!(place.list(), before);
}

#[test]
fn t13_a_name_that_points_inside_is_not_connected_to() {
    // No --resolve: the name is asked for, and `localhost` is loopback wherever it can be resolved.
    let toml = format!(
        "id = \"IFX\"\nregistry = \"49465800\"\nname = \"x\"\nhosts = [\"localhost\", \"127.0.0.1\"]\n{}{}",
        source("by name", "https://localhost/x"),
        source("by address", "https://127.0.0.1/x")
    );
    let place = Place::with_catalogue(&toml);
    // Roots of our own: a machine need not have any for this.
    let (root, _, _) = ekstore::demo::authority::tls(&["localhost".to_owned()]).expect("made");
    let root = place.write("root.pem", root.as_bytes());
    let arguments =
        ["sync".as_ref(), "--format".as_ref(), "json".as_ref(), "--cacert".as_ref(), root.as_os_str()];
    let run = place.run(arguments).expect(3);
    for row in run.rows().iter().filter(|row| text(row, "outcome") == "failed") {
        assert_eq!(text(row, "failure"), "address", "{row}");
        assert!(text(row, "detail").ends_with("is not a public address"), "{row}");
    }
    assert_eq!(run.rows().len(), 3);
}

fn source(name: &str, url: &str) -> String {
    format!(
        "[[source]]\nname = \"{name}\"\nurl = \"{url}\"\nrole = \"anchor\"\nsubject = \"CN=x\"\nsha256 = \"{0}\"\n\
         spki_sha256 = \"{0}\"\nevidence = \"made\"\n",
        "00".repeat(32)
    )
}

#[test]
fn a_tls_root_that_was_not_given_is_not_trusted() {
    let Some(mirror) = shared("real/vendor-sites") else { return };
    let serve = |mirror: PathBuf| {
        Server::start(&hosts(), Arc::new(move |host, path| file(&mirror, host, path).map(Reply::body)))
            .expect("loopback")
    };
    let server = serve(mirror.clone());
    let other = serve(mirror);
    let place = Place::new();
    let root = place.write("other.pem", other.root_pem().as_bytes());
    let mut command = place.command();
    command.args(["sync", "--format", "json", "--vendor", "INTC", "--cacert"]).arg(root);
    command.arg("--resolve").arg(format!("tsci.intel.com:443:127.0.0.1:{}", server.port()));
    let run: Run = command.output().expect("starts").into();
    let run = run.expect(3);
    let failed = run.rows().into_iter().filter(|row| text(row, "failure") == "tls").count();
    assert_eq!(failed, 4, "{}", run.stdout);
}

#[test]
fn t4_while_a_sync_is_held_open_readers_answer() {
    let Some(mirror) = shared("real/vendor-sites") else { return };
    let Some(place) = Place::synced() else { return };
    let Some(ek) = shared("real/ek/ifx-slb9670-rsa-ca035.der") else { return };
    let asked = Arc::new(AtomicBool::new(false));
    let free = Arc::new(AtomicBool::new(false));
    let (seen, freed) = (Arc::clone(&asked), Arc::clone(&free));
    let content = move |host: &str, path: &str| {
        seen.store(true, Ordering::SeqCst);
        for _ in 0..1000 {
            if freed.load(Ordering::SeqCst) {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        file(&mirror, host, path).map(Reply::body)
    };
    let server = Server::start(&hosts(), Arc::new(content)).expect("loopback");
    std::thread::scope(|scope| {
        let syncing = scope.spawn(|| sync(&place, &server, &["NSG"]));
        while !asked.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(place.list().len(), 169);
        place.run(["verify".as_ref(), "--at".as_ref(), "2026-11-01".as_ref(), ek.as_os_str()]).expect(0);
        assert!(!syncing.is_finished(), "the sync was still open");
        free.store(true, Ordering::SeqCst);
        syncing.join().expect("no panic").expect(0);
    });
}
