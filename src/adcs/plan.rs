//! The whole procedure for one method as a checklist, with a store's own values.

use serde::Serialize;

use crate::adcs::{Method, template};

/// What the checklist takes from the store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The generation.
    pub generation: u64,
    /// How many certificates EKROOT and EKCA hold.
    pub ekroot: usize,
    /// As above.
    pub ekca: usize,
    /// Candidates and questions that wait.
    pub waiting: usize,
    /// CAs without an issuer.
    pub orphans: usize,
    /// The manifest's SHA-256 of the last export for AD CS, and its generation.
    pub exported: Option<(u64, String)>,
    /// How many hashes the EKPub list has.
    pub ekpubs: usize,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Where it is done: `ekstore`, `ca`, `console`, `client`.
    pub place: &'static str,
    /// What to do.
    pub what: String,
    /// The commands, if there are any.
    pub commands: Vec<String>,
    /// Whether the store is ready for it; not known for what is done on Windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
}

/// The checklist for one method.
pub fn plan(method: Method, facts: &Facts) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut step = |place, what: String, commands: &[&str], ready| {
        let commands = commands.iter().map(|command| (*command).to_owned()).collect();
        steps.push(Step { place, what, commands, ready });
    };
    step(
        "ca",
        "An enterprise CA on Windows Server 2012 R2 or later. Every CA certificate below the root carries anyPolicy \
         (2.5.29.32.0) or the policy of the method; if one does not, it needs a new certificate before anything else"
            .to_owned(),
        &["ekstore adcs check-chain issuing-ca.cer root-ca.cer"],
        None,
    );
    match method {
        Method::User => {}
        Method::Certificate => {
            step(
                "ekstore",
                format!(
                    "The manufacturers' CAs are fetched and decided on: generation {}, EKROOT {}, EKCA {}, {} waiting, {} \
                     without an issuer",
                    facts.generation, facts.ekroot, facts.ekca, facts.waiting, facts.orphans
                ),
                &["ekstore sync", "ekstore review", "ekstore status --gaps"],
                Some(facts.ekroot > 0 && facts.ekca > 0),
            );
            step(
                "ekstore",
                "The EK certificates of your devices are trusted: each intermediate is in EKCA, as a request brings none".to_owned(),
                &["ekstore verify fleet/"],
                None,
            );
            let current = facts.exported.as_ref().filter(|(generation, _)| *generation == facts.generation);
            let exported = match (&facts.exported, current) {
                (_, Some((generation, sha256))) => {
                    format!("exported: generation {generation}, manifest SHA-256 {sha256}")
                }
                (Some((generation, _)), None) => {
                    format!(
                        "generation {generation} was exported, the stores are at {} now",
                        facts.generation
                    )
                }
                (None, _) => "not exported yet".to_owned(),
            };
            step(
                "ekstore",
                format!("The folder for the CA ({exported})"),
                &["ekstore export adcs --out import"],
                Some(current.is_some()),
            );
            let digest = current.map_or("<64 digits>", |(_, sha256)| sha256.as_str());
            step(
                "ca",
                "As an administrator, in the folder: look, import, check".to_owned(),
                &[
                    &format!(".\\Import-EkStores.ps1 -ManifestSha256 {digest} -WhatIf"),
                    &format!(".\\Import-EkStores.ps1 -ManifestSha256 {digest}"),
                    &format!(".\\Test-EkStores.ps1 -ManifestSha256 {digest} -SaveTo C:\\Temp\\held"),
                ],
                None,
            );
            step(
                "ekstore",
                "What the CA holds is what was approved".to_owned(),
                &["ekstore adcs check-stores held"],
                None,
            );
        }
        Method::Key => {
            step(
                "ekstore",
                format!("The list has the hash of every TPM that may attest: {} now", facts.ekpubs),
                &["ekstore ekpub add ek.cer --label LAPTOP-1 --reason TEXT", "ekstore ekpub list"],
                Some(facts.ekpubs > 0),
            );
            step(
                "ekstore",
                "The list as a folder that the CA's machine account can read and nobody else can write"
                    .to_owned(),
                &["ekstore ekpub export --dir EKPubList --prune"],
                None,
            );
            step(
                "ca",
                "Register the folder, and give the CA's machine account read access, no more".to_owned(),
                &register(r"C:\EKPubList").iter().map(String::as_str).collect::<Vec<_>>(),
                None,
            );
        }
    }
    step(
        "console",
        format!(
            "A certificate template: compatibility Windows Server 2012 R2 and Windows 8.1 or later; Cryptography: Key Storage \
             Provider, RSA, {} and no other; Request Handling: no archival, no export, no renewal with the same key; Key \
             Attestation: Required, {}",
            template::PROVIDER,
            method.title()
        ),
        &[],
        None,
    );
    step(
        "ekstore",
        "The template is as it must be".to_owned(),
        &[
            "ldifde -f template.ldf -d \"CN=<template>,CN=Certificate Templates,CN=Public Key Services,CN=Services,CN=Configuration,<forest>\"",
            &format!("ekstore adcs check-template template.ldf --method {}", method_name(method)),
        ],
        None,
    );
    step("console", "Publish the template on the CA and give the enrollees Enroll".to_owned(), &[], None);
    step(
        "client",
        "Request a certificate with it".to_owned(),
        &["certreq -enroll -machine <template>"],
        None,
    );
    step(
        "ekstore",
        format!(
            "The certificate carries {} ({} assurance), and its chain lets a relying party believe it",
            method.policy(),
            method.assurance()
        ),
        &["ekstore adcs check-issued issued.cer --chain issuing-ca.cer --chain root-ca.cer"],
        None,
    );
    steps
}

/// The name of a method on the command line.
pub fn method_name(method: Method) -> &'static str {
    match method {
        Method::User => "user",
        Method::Certificate => "certificate",
        Method::Key => "key",
    }
}

/// The commands that register a folder with EKPub hashes on a CA, with least privilege: the value is a list of folders, read
/// when the service starts; the machine account needs to read, no more.
pub fn register(folder: &str) -> Vec<String> {
    vec![
        format!(
            "icacls \"{folder}\" /inheritance:r /grant:r \"Administrators:(OI)(CI)F\" \"SYSTEM:(OI)(CI)RX\""
        ),
        format!(
            "rem on another machine than the CA: icacls \"{folder}\" /grant \"<DOMAIN>\\<CA machine>$:(OI)(CI)RX\""
        ),
        format!("certutil.exe -setreg CA\\EndorsementKeyListDirectories +\"{folder}\""),
        "net stop certsvc && net start certsvc".to_owned(),
    ]
}
