//! Arguments in, a command out, an error to an exit code. Nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    portvakt::commands::run()
}
