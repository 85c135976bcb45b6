//! The program as its users meet it, on real certificates and against real peers. One binary, so that it links once.

mod adcs;
mod crash;
mod decisions;
mod demo;
mod differential;
mod ekpub;
mod export;
mod forms;
mod hostile;
mod https;
mod layers;
mod made;
mod package;
mod package_maker;
mod pkits;
mod properties;
mod real;
mod reference;
mod support;
mod swtpm;
mod sync;
mod verdicts;
