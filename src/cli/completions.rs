//! `completions`: for shells.

use clap::CommandFactory;

use crate::cli::Cli;
use crate::cli::error::Outcome;
use crate::cli::ui::Ui;

/// Print completions for a shell
#[derive(clap::Args, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl CompletionsArgs {
    /// Runs the command.
    pub fn run(&self, ui: &Ui) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "ekstore", &mut script);
        ui.raw(&script);
        Outcome::Done
    }
}
