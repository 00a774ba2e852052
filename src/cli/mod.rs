//! The command line: reads arguments, calls the library, prints. No logic lives here.

mod bench;
mod common;
mod completions;
mod demo;
mod doctor;
mod eval;
mod export;
mod fetch;
mod label;
mod presets;
mod pretrain;
mod report;
mod sample;
mod sft;
mod standings;
mod table;
mod train;
mod train_labeler;
mod train_policy;
mod train_reward;
mod wrong_usage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Result;
use crate::run::interrupt::outlive_file_size_limit;
pub use common::Common;

/// Fine-tunes a language model from human preferences: people choose the best of several
/// continuations, a reward model learns their choice, and PPO tunes the model towards it.
#[derive(Parser)]
#[command(name = "preftune", version, max_term_width = 100, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Arguments),
    Sample(sample::Arguments),
    Label(label::Arguments),
    Train(train::Arguments),
    TrainReward(train_reward::Arguments),
    TrainPolicy(train_policy::Arguments),
    Eval(eval::Arguments),
    Report(report::Arguments),
    Export(export::Arguments),
    Fetch(fetch::Arguments),
    Pretrain(pretrain::Arguments),
    Sft(sft::Arguments),
    TrainLabeler(train_labeler::Arguments),
    Presets(presets::Arguments),
    Doctor(doctor::Arguments),
    Bench(bench::Arguments),
    Completions(completions::Arguments),
}

/// Runs the program and says how it went.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return wrong_usage::report(error),
    };
    let common = arguments.common;
    common.start_logging();
    outlive_file_size_limit();
    match run(arguments.command, &common) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => common::report_failure(&error),
    }
}

fn run(command: Command, common: &Common) -> Result<()> {
    match command {
        Command::Demo(arguments) => demo::run(&arguments, common),
        Command::Sample(arguments) => sample::run(arguments, common),
        Command::Label(arguments) => label::run(arguments, common),
        Command::Train(arguments) => train::run(arguments, common),
        Command::TrainReward(arguments) => train_reward::run(arguments, common),
        Command::TrainPolicy(arguments) => train_policy::run(arguments, common),
        Command::Eval(arguments) => eval::run(arguments, common),
        Command::Export(arguments) => export::run(arguments, common),
        Command::Report(arguments) => report::run(arguments, common),
        Command::Fetch(arguments) => fetch::run(arguments, common),
        Command::Pretrain(arguments) => pretrain::run(arguments, common),
        Command::Sft(arguments) => sft::run(arguments, common),
        Command::TrainLabeler(arguments) => train_labeler::run(arguments, common),
        Command::Presets(arguments) => presets::run(&arguments, common),
        Command::Doctor(arguments) => doctor::run(arguments, common),
        Command::Bench(arguments) => bench::run(arguments, common),
        Command::Completions(arguments) => completions::run(arguments),
    }
}
