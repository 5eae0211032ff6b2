//! `ringway`: arguments → configuration → runtime.

fn main() -> std::process::ExitCode {
    ringway::cli::main()
}
