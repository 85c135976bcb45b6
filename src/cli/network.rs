//! The options of every command that fetches.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::cli::error::{Error, Kind};
use crate::fetch::Transport;
use crate::fetch::http::{Http, Options, Resolution};
use crate::fetch::mirror::Mirror;
use crate::file;

/// Where to fetch from, and whom to believe.
#[derive(clap::Args, Debug)]
pub struct NetworkArgs {
    /// Read from a folder laid out as host/path, not from the network
    #[arg(long, value_name = "DIR", conflicts_with_all = ["resolve", "cacert"], help_heading = "Network")]
    mirror: Option<PathBuf>,

    /// Connect to ADDR for HOST:PORT, past DNS and proxy, as in curl; ADDR may carry a port of its own
    #[arg(long, value_name = "HOST:PORT:ADDR", help_heading = "Network")]
    resolve: Vec<Resolution>,

    /// Trust only the TLS roots in this PEM file
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    cacert: Option<PathBuf>,
}

impl NetworkArgs {
    /// Whether a mirror stands for the network.
    pub fn is_mirror(&self) -> bool {
        self.mirror.is_some()
    }

    /// The transport that the options ask for.
    ///
    /// # Errors
    ///
    /// [`Error`] if the mirror is no folder, or TLS cannot be set up.
    pub fn transport(&self) -> Result<Arc<dyn Transport>, Error> {
        if let Some(folder) = &self.mirror {
            if !folder.is_dir() {
                return Err(Error::new(Kind::Unknown, format!("{} is not a folder", folder.display()))
                    .with_hint("a mirror is a folder laid out as host/path"));
            }
            return Ok(Arc::new(Mirror::new(folder)));
        }
        let ca_certificates =
            self.cacert.as_deref().map(|path| file::read(path, file::CERTIFICATE_FILE_CAP)).transpose()?;
        Ok(Arc::new(Http::new(Options { resolutions: self.resolve.clone(), ca_certificates })?))
    }
}

/// A runtime for what fetches.
///
/// # Errors
///
/// [`Error`] if the system gives no threads.
pub fn runtime() -> Result<Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Error::new(Kind::Unknown, format!("cannot start the network: {error}")))
}
