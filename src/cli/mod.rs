//! The command line, which reads arguments, calls the library and prints results.

mod bench;
mod common;
mod completions;
mod demo;
mod doctor;
mod eval;
mod experiment_call;
mod export;
#[cfg(feature = "fetch")]
mod fetch;
mod guide;
mod label;
mod presets;
mod pretrain;
mod report;
mod sample;
mod settings;
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

use crate::error::{Error, Result};
use crate::platform::signals::outlive_file_size_limit;
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
    #[cfg(feature = "fetch")]
    Fetch(fetch::Arguments),
    Pretrain(pretrain::Arguments),
    Sft(sft::Arguments),
    TrainLabeler(train_labeler::Arguments),
    Presets(presets::Arguments),
    Doctor(doctor::Arguments),
    Bench(bench::Arguments),
    Guide(guide::Arguments),
    Completions(completions::Arguments),
}

impl Command {
    /// Checks whether the command reads or writes the folder of a run, `--run`.
    fn has_run_folder(&self) -> bool {
        matches!(
            self,
            Self::Demo(_)
                | Self::Label(_)
                | Self::Train(_)
                | Self::TrainReward(_)
                | Self::TrainPolicy(_)
                | Self::Eval(_)
                | Self::Pretrain(_)
                | Self::Sft(_)
                // The argument of `report` has the same id as `--run`.
                | Self::Report(_)
        )
    }
}

/// Runs the program and returns its exit code.
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
    if common.run.is_some() && !command.has_run_folder() {
        let what = "this command has no run folder, and --run is given";
        return Err(Error::usage(what, "leave out --run"));
    }
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
        #[cfg(feature = "fetch")]
        Command::Fetch(arguments) => fetch::run(arguments, common),
        Command::Pretrain(arguments) => pretrain::run(arguments, common),
        Command::Sft(arguments) => sft::run(arguments, common),
        Command::TrainLabeler(arguments) => train_labeler::run(arguments, common),
        Command::Presets(arguments) => presets::run(&arguments, common),
        Command::Doctor(arguments) => doctor::run(arguments, common),
        Command::Bench(arguments) => bench::run(arguments, common),
        Command::Guide(arguments) => guide::run(&arguments, common),
        Command::Completions(arguments) => completions::run(arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guide::PAGES;

    /// Splits a line of a shell into words, without redirections and comments.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
        for character in line.chars().chain([' ']) {
            match (character, quote) {
                (_, Some(open)) if character == open => quote = None,
                ('"' | '\'', None) => quote = Some(character),
                (' ', None) if !word.is_empty() => words.push(std::mem::take(&mut word)),
                (' ', None) => {}
                _ => word.push(character),
            }
        }
        words.into_iter().take_while(|word| !matches!(word.as_str(), "#" | "|" | ">" | "&&") && word != "…").collect()
    }

    /// Returns the commands of this program in a text in Markdown.
    fn commands(text: &str) -> Vec<Vec<String>> {
        let (mut commands, mut set) = (Vec::new(), Vec::new());
        let mut is_shell = false;
        for line in text.replace("\\\n", " ").replace("$(preftune fetch gpt2)", "FOLDER").lines() {
            match line.trim() {
                "```sh" => is_shell = true,
                "```" => is_shell = false,
                _ if !is_shell => {}
                line => {
                    let mut words = words(line);
                    if let [first, dashes, ..] = words.as_slice()
                        && (first.as_str(), dashes.as_str()) == ("set", "--")
                    {
                        set = words.split_off(2);
                        continue;
                    }
                    let begins = words.iter().position(|word| word == "preftune" || word == "--").filter(|&at| {
                        let before = words.get(..at).unwrap_or_default().join(" ");
                        matches!(before.as_str(), "" | "cargo run --release")
                    });
                    if let Some(begins) = begins {
                        let mut command = words.split_off(begins);
                        let place = command.iter().position(|word| word == "$@");
                        place.map(|place| command.splice(place..=place, set.iter().cloned()).count());
                        commands.push(command);
                    }
                }
            }
        }
        commands
    }

    #[test]
    fn every_command_in_the_documentation_is_understood() {
        let read = |path: &str| std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let mut texts =
            ["README.md", "examples/README.md", "models/README.md", "datasets/README.md"].map(read).to_vec();
        let results = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/results")).unwrap();
        texts.extend(results.map(|page| std::fs::read_to_string(page.unwrap().path()).unwrap()));
        texts.extend(PAGES.iter().map(|page| page.text.to_string()));
        let recipes = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/recipes")).unwrap();
        texts.extend(
            recipes.map(|recipe| format!("```sh\n{}```\n", std::fs::read_to_string(recipe.unwrap().path()).unwrap())),
        );
        let mut understood = 0;
        for command in texts.iter().flat_map(|text| commands(text)) {
            if let Err(error) = Arguments::try_parse_from(&command) {
                panic!("{}: {error}", command.join(" "));
            }
            understood += 1;
        }
        assert!(understood > 30, "only {understood} commands found");
    }

    #[test]
    fn every_page_of_the_manual_that_is_named_exists() {
        let read = |path: &str| std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let texts =
            PAGES.iter().map(|page| page.text.to_string()).chain([read("README.md"), read("examples/README.md")]);
        for text in texts {
            for named in text.split("`preftune guide ").skip(1) {
                let name = named.split('`').next().unwrap();
                assert!(name == "PAGE" || PAGES.iter().any(|page| page.name == name), "{name}");
            }
        }
    }
}
