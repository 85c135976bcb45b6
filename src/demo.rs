//! A TPM manufacturer that exists on this machine only: its CAs, its EK certificates, and the server they are
//! published on. For the `demo` command and for tests.

pub mod authority;
pub mod server;
