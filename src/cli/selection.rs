//! Which certificates of which generation: the options that an export and its check have in common.

use crate::cli::Context;
use crate::cli::error::{Error, Kind};
use crate::cli::purpose::{Purpose, PurposeArgs};
use crate::db::Check;
use crate::export::{Aik, Options};
use crate::store::{StoreName, Stores};
use crate::time::Time;
use crate::vendor::VendorId;

/// What is selected.
#[derive(clap::Args, Debug)]
pub struct SelectionArgs {
    /// Only these manufacturers
    #[arg(long, value_name = "ID")]
    vendor: Vec<VendorId>,

    #[command(flatten)]
    purpose: PurposeArgs,

    /// Leave out what is not valid at the time given with --at
    #[arg(long, requires = "at")]
    without_expired: bool,

    /// The generation [default: the current one]
    #[arg(long, value_name = "N")]
    generation: Option<u64>,
}

impl SelectionArgs {
    /// The options of an export; `at` is what the command's own --at says.
    pub fn options(&self, context: &Context, at: Option<Time>, only: Option<StoreName>) -> Options {
        Options {
            vendors: self.vendor.clone(),
            aik: match self.purpose.of(context) {
                Purpose::Ek => Aik::LeaveOut,
                Purpose::Aik => Aik::Include,
            },
            valid_at: at.filter(|_| self.without_expired),
            only,
        }
    }

    /// The stores at the generation, the whole log checked.
    ///
    /// # Errors
    ///
    /// [`Error`] if the log is damaged, or has not come so far.
    pub fn stores(&self, context: &Context) -> Result<Stores, Error> {
        let database = context.database();
        let Some(number) = self.generation else { return Ok(database.load(Check::Full)?) };
        let log = database.log()?;
        let stores = Stores::at_generation(&log, number)
            .map_err(|damage| Error::new(Kind::Unknown, format!("the log is damaged: {damage}")))?;
        stores.ok_or_else(|| {
            Error::new(Kind::No, format!("the store has no generation {number} yet"))
                .with_hint("`ekstore status` tells the current one")
        })
    }
}
