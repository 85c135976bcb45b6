//! `adcs plan`: the whole procedure for one method.

use crate::adcs::plan::{self, Facts};
use crate::cli::Context;
use crate::cli::adcs::MethodArg;
use crate::cli::error::{Error, Outcome};
use crate::cli::ui::{Tone, Ui};
use crate::ekpub::List;
use crate::gaps;
use crate::log::Event;
use crate::store::placement::Flag;
use crate::store::record::State;
use crate::store::{StoreName, Stores};

/// Print the whole procedure for one method of attestation as a checklist, with this store's own values
#[derive(clap::Args, Debug)]
pub struct PlanArgs {
    /// How the CA attests
    #[arg(long, value_enum)]
    method: MethodArg,
}

impl PlanArgs {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// [`Error`] if the store cannot be read.
    pub fn run(&self, context: &Context, ui: &Ui) -> Result<Outcome, Error> {
        let log = context.database().log()?;
        let stores = Stores::fold(&log).map_err(|damage| {
            Error::new(crate::cli::error::Kind::Unknown, format!("the log is damaged: {damage}"))
        })?;
        let exported = log.lines.iter().rev().find_map(|line| match &line.entry.event {
            Event::Exported { form, generation, manifest, .. } if form == "adcs" => {
                Some((*generation, manifest.to_string()))
            }
            _ => None,
        });
        let waits = |record: &&crate::store::record::Record| {
            record.placement.purpose.is_for_ek()
                && (stores.state(record) == State::Candidate
                    || record.placement.flags.contains(&Flag::Withdrawn))
        };
        let facts = Facts {
            generation: stores.generation(),
            ekroot: stores.members(StoreName::Ekroot).count(),
            ekca: stores.members(StoreName::Ekca).count(),
            waiting: stores.records().filter(waits).count(),
            orphans: stores.records().filter(|record| gaps::is_orphan(record)).count(),
            exported,
            ekpubs: List::fold(&log).len(),
        };
        for (number, step) in plan::plan(self.method.into(), &facts).iter().enumerate() {
            if ui.is_json() {
                ui.json(step);
                continue;
            }
            let ready = match step.ready {
                Some(true) => ui.tone(Tone::Good, "[ready]"),
                Some(false) => ui.tone(Tone::Caution, "[to do]"),
                None => "[     ]".to_owned(),
            };
            ui.line(format!("{:>2}. {ready} {:<8} {}", number + 1, step.place, step.what));
            step.commands.iter().for_each(|command| ui.line(format!("        {command}")));
        }
        Ok(Outcome::Done)
    }
}
