//! `preftune completions`: the script with which a shell completes this program's commands.

use std::io::Write;
use std::path::Path;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::error::{Error, Result};

/// Print the completion script of a shell
#[derive(Args)]
#[command(after_help = "Example:
  preftune completions bash > ~/.local/share/bash-completion/completions/preftune")]
pub(super) struct Arguments {
    shell: Shell,
}

pub(super) fn run(arguments: Arguments) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "preftune", &mut script);
    match std::io::stdout().write_all(&script) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::file("write", Path::new("standard output"), error))
        }
        _ => Ok(()),
    }
}
