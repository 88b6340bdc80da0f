//! The `portcullis` binary: everything is in the library, so that tests reach it.

fn main() -> std::process::ExitCode {
    portcullis::cli::main()
}
