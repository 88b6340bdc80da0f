//! Completions and man pages, made from the command line's own description.

use std::{fs, io, path::PathBuf, process::ExitCode};

use clap::CommandFactory;

use super::{Cli, output};

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  portcullis completions bash > /etc/bash_completion.d/portcullis")]
pub struct CompletionArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// Write the man pages.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  portcullis man /usr/local/share/man/man1")]
pub struct ManArgs {
    /// The directory; made if missing
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub fn completions(args: CompletionArgs) -> ExitCode {
    // Into memory first: a reader that stops early is no reason to panic.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "portcullis", &mut script);
    ended(io::Write::write_all(&mut io::stdout(), &script))
}

pub fn man(args: ManArgs) -> ExitCode {
    ended(fs::create_dir_all(&args.directory).and_then(|()| clap_mangen::generate_to(Cli::command(), &args.directory)))
}

fn ended(result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            output::fail(&error.into());
            ExitCode::from(2)
        }
    }
}
