//! `portvakt completions`: what a shell needs to complete our commands and options.

use clap_complete::Shell;

use super::{Failure, definition, print_bytes};

const EXAMPLES: &str = "\
Examples:
  portvakt completions bash > /etc/bash_completion.d/portvakt
  portvakt completions zsh  > /usr/local/share/zsh/site-functions/_portvakt
  portvakt completions fish > ~/.config/fish/completions/portvakt.fish";

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_enum, value_name = "SHELL", hide_possible_values = true)]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut completions = Vec::new();
    clap_complete::generate(arguments.shell, &mut definition(), "portvakt", &mut completions);
    print_bytes(&completions)
}
