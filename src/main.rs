//! Arguments in, a command out, an error to an exit code. Nothing else.

fn main() -> std::process::ExitCode {
    portvakt::commands::run()
}
