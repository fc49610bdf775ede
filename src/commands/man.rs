//! `portvakt man`: the manual pages.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap_mangen::Man;

use super::{Failure, definition, print_bytes, say};

const EXAMPLES: &str = "\
Examples:
  portvakt man | man -l -                          read the first page
  portvakt man --dir /usr/local/share/man/man1     install all of them";

/// Print the manual page, or write those of all commands into a directory
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Write a page for each command into this directory, over older ones
    #[arg(long, value_name = "DIRECTORY")]
    dir: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let unwritten = |error: io::Error| Failure::failed(format_args!("the manual pages could not be written: {error}"));
    let Some(directory) = &arguments.dir else {
        let mut page = Vec::new();
        Man::new(definition()).render(&mut page).map_err(unwritten)?;
        return print_bytes(&page);
    };
    fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(definition(), directory)).map_err(unwritten)?;
    say(format_args!("The manual pages are in {}.", directory.display()));
    Ok(())
}
