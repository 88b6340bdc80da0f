//! What every command takes that reads the configuration itself.

use std::path::PathBuf;

use crate::config::{self, Config, ConfigErrors};

/// Which configuration, and how the answer is written.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// The configuration that `up` is given [default: /etc/portcullis/portcullis.toml, where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// Reads and checks the configuration.
    pub fn load(&self) -> Result<Config, ConfigErrors> {
        config::load(self.config.as_deref())
    }
}
