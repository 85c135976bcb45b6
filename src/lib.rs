//! Keeps the two trust stores that an issuing CA needs to believe a TPM: **EKROOT** (the manufacturers' root CA
//! certificates) and **EKCA** (their intermediates).
//!
//! The crate is laid out in layers; a module imports only from its own layer or a lower one:
//!
//! | layer | modules | may touch |
//! |---|---|---|
//! | L0 words | [`fingerprint`], [`time`], [`oid`], [`vendor`], [`cert`], [`crl`] | bytes |
//! | L1 rules | [`catalogue`], [`log`], [`store`], [`verify`], [`cms`], [`package`], [`gaps`], [`export`], [`adcs`], [`ekpub`] | bytes, a generation and a time |
//! | L2 edges | [`clock`], [`batch`], [`mod@file`], [`ek_folder`], [`fetch`], [`aia`], [`db`], [`sync`], [`crls`], [`review`] | network, disk, clock |
//! | L3 faces | [`demo`], [`cli`] | the person at the terminal |

pub mod adcs;
pub mod aia;
pub mod batch;
pub mod catalogue;
pub mod cert;
pub mod cli;
pub mod clock;
pub mod cms;
pub mod crl;
pub mod crls;
pub mod db;
pub mod demo;
pub mod ek_folder;
pub mod ekpub;
pub mod export;
pub mod fetch;
pub mod file;
pub mod fingerprint;
pub mod gaps;
pub mod log;
pub mod oid;
pub mod package;
pub mod review;
pub mod store;
pub mod sync;
pub mod time;
pub mod vendor;
pub mod verify;
