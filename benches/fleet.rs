//! A fleet: the library beside the bare signature and beside OpenSSL in the same run, and the command end to end.
//!
//! `cargo bench --bench fleet` prints a table; `cargo bench --bench fleet -- --million` adds a million certificates
//! through the command, with its peak memory. `-- --generate N FILE STORE` writes a load of N lines and a store that
//! trusts it, to be used by hand.

mod support;

use std::io::{BufRead, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use ekstore::cert::decode;
use ekstore::demo::authority::KeyKind;
use ekstore::verify::Moment;
use ekstore::verify::verdict::Verdict;

use crate::support::{KINDS, Line, ek};

/// Long enough that the clock and the first round do not matter.
const ROUND: Duration = Duration::from_secs(2);

/// Nanoseconds for one item: the best of five rounds, as other processes only ever add.
fn best(items: usize, mut work: impl FnMut()) -> f64 {
    work();
    let mut best = f64::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        let mut rounds = 0u32;
        while start.elapsed() < ROUND / 5 {
            work();
            rounds += 1;
        }
        #[allow(clippy::cast_precision_loss, reason = "counts of rounds are small")]
        let each = start.elapsed().as_nanos() as f64 / (f64::from(rounds) * items as f64);
        best = best.min(each);
    }
    best
}

fn peer(folder: &Path) -> Option<std::path::PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peer.c");
    let program = folder.join("peer");
    let built =
        Command::new("cc").args(["-O2", "-o"]).arg(&program).arg(source).arg("-lcrypto").output().ok()?;
    built.status.success().then_some(program)
}

fn openssl(program: &Path, folder: &Path, line: &Line) -> Option<f64> {
    std::fs::write(folder.join("root.der"), line.root.der()).ok()?;
    std::fs::write(folder.join("ca.der"), line.ca.der()).ok()?;
    let mut load = Vec::new();
    for der in &line.eks {
        load.extend_from_slice(&u32::try_from(der.len()).ok()?.to_be_bytes());
        load.extend_from_slice(der);
    }
    std::fs::write(folder.join("load"), load).ok()?;
    let run = || {
        let mut command = Command::new(program);
        command.current_dir(folder).args(["root.der", "ca.der", "load", "20"]);
        let output = command.output().ok()?;
        assert!(
            output.status.success(),
            "OpenSSL refuses the load: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        String::from_utf8(output.stdout).ok()?.split(' ').next()?.parse::<f64>().ok()
    };
    (0..3).filter_map(|_| run()).min_by(f64::total_cmp)
}

fn table(out: &mut impl Write) -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let peer = peer(folder.path());
    if peer.is_none() {
        writeln!(out, "OpenSSL is left out: cc or libssl-dev is missing")?;
    }
    writeln!(out, "| issuer | bare signature | ekstore | of bare | OpenSSL | faster than OpenSSL |")?;
    writeln!(out, "|---|---|---|---|---|---|")?;
    for (name, kind) in KINDS {
        let line = Line::new(kind, 200);
        let verifier = line.verifier();
        let at = Moment::At("2026-11-01".parse().expect("a time"));
        let algorithm: &'static dyn VerificationAlgorithm = match kind {
            KeyKind::Rsa => &signature::RSA_PKCS1_2048_8192_SHA256,
            KeyKind::P256 => &signature::ECDSA_P256_SHA256_ASN1,
            KeyKind::P384 => &signature::ECDSA_P384_SHA384_ASN1,
        };
        let ca = decode::certificate(line.ca.der()).expect("made");
        let key = ParsedPublicKey::new(algorithm, ca.key().bits).expect("made");
        let leaves: Vec<_> = line.eks.iter().map(|der| decode::certificate(der).expect("made")).collect();
        let bare = best(leaves.len(), || {
            for leaf in &leaves {
                key.verify_sig(leaf.tbs(), leaf.signature()).expect("signed");
            }
        });
        let whole = best(leaves.len(), || {
            for der in &line.eks {
                let leaf = decode::certificate(der).expect("made");
                assert_eq!(verifier.verify(&leaf, &[], at, None).verdict, Verdict::Trusted);
            }
        });
        let theirs = peer.as_ref().and_then(|peer| openssl(peer, folder.path(), &line));
        let theirs = theirs.map_or(("-".to_owned(), "-".to_owned()), |theirs| {
            (format!("{:.1} us", theirs / 1e3), format!("{:.1} x", theirs / whole))
        });
        writeln!(
            out,
            "| {} | {:.1} us | {:.1} us | {:.0} % | {} | {} |",
            name,
            bare / 1e3,
            whole / 1e3,
            bare / whole * 100.0,
            theirs.0,
            theirs.1
        )?;
    }
    Ok(())
}

/// Writes a load and a store that trusts it.
fn generate(count: u64, load: &Path, store: &Path) -> std::io::Result<()> {
    let line = Line::new(KeyKind::P256, 0);
    let folder = tempfile::tempdir()?;
    let program = env!("CARGO_BIN_EXE_ekstore");
    let mut fingerprints = Vec::new();
    for (name, der) in [("root.cer", line.root.der()), ("ca.cer", line.ca.der())] {
        let path = folder.path().join(name);
        std::fs::write(&path, der)?;
        Command::new(program)
            .arg("--store")
            .arg(store)
            .args(["-q", "add"])
            .arg(path)
            .stdout(Stdio::null())
            .status()?;
        fingerprints.push(decode::certificate(der).expect("made").fingerprint().to_string());
    }
    let mut approve = Command::new(program);
    approve
        .arg("--store")
        .arg(store)
        .args(["-q", "approve", "--reason", "the bench's own CA"])
        .args(fingerprints);
    approve.stdout(Stdio::null()).status()?;
    let mut out = std::io::BufWriter::new(std::fs::File::create(load)?);
    let pool: Vec<_> = (0..16)
        .map(|number| if number % 2 == 0 { KeyKind::Rsa } else { KeyKind::P256 })
        .map(|kind| (kind, kind.generate().expect("made")))
        .collect();
    for serial in 0..count {
        let (kind, key) = &pool[usize::try_from(serial).expect("fits") % pool.len()];
        let der = line.ca.ek_for(key, *kind, &ek(serial + 1)).expect("made");
        writeln!(out, "{{\"id\":{serial},\"der\":\"{}\"}}", data_encoding::BASE64.encode(&der))?;
    }
    out.flush()
}

/// The command on a load: certificates a second, and its peak memory.
fn end_to_end(count: u64, out: &mut impl Write) -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let (load, store) = (folder.path().join("load.ndjson"), folder.path().join("store"));
    generate(count, &load, &store)?;
    let start = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ekstore"));
    command.arg("--store").arg(&store).args(["--format", "json", "-q", "verify", "--at", "2026-11-01", "-"]);
    command.stdin(std::fs::File::open(&load)?).stdout(std::fs::File::create(folder.path().join("out"))?);
    let mut child = command.spawn()?;
    let mut peak = 0;
    let status = loop {
        // The kernel's own high-water mark.
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let mark = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = mark
            .and_then(|mark| mark.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(peak)
            .max(peak);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let took = start.elapsed();
    assert!(status.success(), "all are trusted");
    let rows = std::io::BufReader::new(std::fs::File::open(folder.path().join("out"))?).split(b'\n').count();
    assert_eq!(rows as u64, count);
    #[allow(clippy::cast_precision_loss, reason = "counts of certificates are far below 2^52")]
    let rate = count as f64 / took.as_secs_f64();
    writeln!(
        out,
        "\n{count} lines of NDJSON in, JSON out, all cores, P-256 issuer: {:.1} s, {rate:.0} certificates a second, peak \
         memory {} MiB",
        took.as_secs_f64(),
        peak / 1024
    )
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut out = std::io::stdout().lock();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--generate", count, load, store] => {
            generate(count.parse().map_err(std::io::Error::other)?, Path::new(load), Path::new(store))
        }
        ["--million"] => {
            table(&mut out)?;
            end_to_end(1_000_000, &mut out)
        }
        _ => {
            table(&mut out)?;
            end_to_end(50_000, &mut out)
        }
    }
}
