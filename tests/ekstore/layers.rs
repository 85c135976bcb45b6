//! The architecture of the crate: imports go down, and each unmaintained or outward crate stands in one file.

use std::collections::BTreeMap;
use std::path::Path;

/// The layer of each top-level module, as the table in `src/lib.rs` and the README have it.
const LAYERS: [(&str, u8); 30] = [
    ("fingerprint", 0),
    ("time", 0),
    ("oid", 0),
    ("vendor", 0),
    ("cert", 0),
    ("crl", 0),
    ("catalogue", 1),
    ("log", 1),
    ("store", 1),
    ("verify", 1),
    ("cms", 1),
    ("package", 1),
    ("gaps", 1),
    ("adcs", 1),
    ("ekpub", 1),
    ("ek_folder", 2),
    ("export", 1),
    ("clock", 2),
    ("batch", 2),
    ("aia", 2),
    ("crls", 2),
    ("file", 2),
    ("fetch", 2),
    ("db", 2),
    ("sync", 2),
    ("review", 2),
    ("demo", 3),
    ("cli", 3),
    ("lib", 3),
    ("main", 3),
];

/// Names that occur in one file only (or below one folder).
const ALONE: [(&str, &str); 7] = [
    ("sled::", "db/local/index.rs"),
    ("reqwest::", "fetch/http.rs"),
    ("cab::C", "package/cabinet.rs"),
    ("rustls_pemfile::", "cert/pem.rs"),
    ("io::stdout()", "cli/ui.rs"),
    ("io::stderr()", "cli/ui.rs"),
    ("Timestamp::now", "clock.rs"),
];

fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = ekstore::file::list(&root).expect("the source is readable");
    let read = |path: &Path| std::fs::read_to_string(path).expect("the source is UTF-8");
    let name =
        |path: &Path| path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
    files.iter().map(|path| (name(path), read(path))).collect()
}

fn top(path: &str) -> &str {
    path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

#[test]
fn modules_import_from_their_own_layer_or_lower() {
    let layers: BTreeMap<&str, u8> = LAYERS.into_iter().collect();
    let mut checked = 0;
    for (path, text) in sources() {
        let own = *layers.get(top(&path)).unwrap_or_else(|| panic!("{path} has no layer"));
        for line in text.lines() {
            // `use crate::a::b` and paths in the code alike.
            for part in line.split("crate::").skip(1) {
                let module: String =
                    part.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                let Some(layer) = layers.get(module.as_str()) else { continue };
                checked += 1;
                assert!(*layer <= own, "{path} (layer {own}) imports {module} (layer {layer}): {line}");
            }
        }
    }
    assert!(checked > 200, "the test reads the imports: {checked}");
}

#[test]
fn some_crates_and_streams_are_named_in_one_file_only() {
    for (name, alone) in ALONE {
        let users: Vec<String> = sources()
            .into_iter()
            .filter(|(_, text)| {
                text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(name))
            })
            .map(|(path, _)| path)
            .collect();
        assert_eq!(users, [alone], "{name}");
    }
}

#[test]
fn verification_knows_neither_network_nor_disk() {
    for (path, text) in sources() {
        if matches!(
            top(&path),
            "cert" | "verify" | "store" | "log" | "catalogue" | "export" | "cms" | "package"
        ) {
            for forbidden in ["std::fs", "std::net", "tokio::", "SystemTime", "Instant::now"] {
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                assert!(!code.contains(forbidden), "{path} names {forbidden}");
            }
        }
    }
}
