//! tmp
use crate::cli::{error::{Error,Outcome}, ui::Ui};
/// Demo
#[derive(clap::Args, Debug)]
pub struct DemoArgs {}
impl DemoArgs {
/// r
pub fn run(&self, _ui:&Ui)->Result<Outcome,Error>{ Ok(Outcome::Done) }
}
