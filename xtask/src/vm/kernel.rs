//! A kernel as a guest needs it, kept outside the repository from run to run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use portcullis_tests::cache;

use super::{modules, source::Source};
use crate::apt::{Apt, Packages};

/// What `uname -r` will say, and where the image and its modules are.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub source: Source,
    pub release: String,
    directory: PathBuf,
}

impl Kernel {
    /// Takes the kernel that is kept; fetches the archive's current one when none is, or when `fresh` is asked for.
    pub fn ready(source: Source, fresh: bool) -> Result<Self> {
        let directory = cache::root().join("vm/kernels").join(source.name);
        let release = directory.join("release");
        if fresh || !release.exists() {
            fetch(source, &directory).with_context(|| format!("fetching the kernel {}", source.name))?;
        }
        let release = fs::read_to_string(&release).with_context(|| format!("reading {}", release.display()))?;
        Ok(Self { source, release, directory })
    }

    pub fn image(&self) -> PathBuf {
        self.directory.join("vmlinuz")
    }

    /// A tree with `lib/modules`.
    pub fn modules(&self) -> PathBuf {
        self.directory.join("modules")
    }

    /// Modules to load, by name.
    pub fn module_names(&self) -> Result<String> {
        fs::read_to_string(self.directory.join("names")).context("reading the names of modules")
    }
}

/// Packages that a kernel may be split into; each archive has some of them.
const PARTS: [&str; 4] = ["linux-image", "linux-binary", "linux-modules", "linux-modules-extra"];

fn fetch(source: Source, directory: &Path) -> Result<()> {
    let lists = tempfile::tempdir().context("temporary directory")?;
    let title = format!("package lists for {}", source.name);
    let apt = Apt::of(source.archive, source.suites, Packages::Binary, lists.path(), &title)?;
    let release = apt
        .depends(source.package)?
        .into_iter()
        .find_map(|package| package.strip_prefix("linux-image-").map(str::to_owned))
        .with_context(|| format!("`{}` depends on no kernel", source.package))?;
    let packages: Vec<_> =
        PARTS.iter().map(|part| format!("{part}-{release}")).filter(|package| apt.has(package)).collect();

    // What is kept stays until the new one has arrived.
    let tree = lists.path().join("unpacked");
    fs::create_dir_all(&tree)?;
    apt.unpack(&packages, &tree)?;
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    let image = image(&tree, &release).context("the packages have no vmlinuz")?;
    fs::copy(&image, directory.join("vmlinuz")).with_context(|| format!("copying {}", image.display()))?;
    let names = modules::select(&tree, &release, &directory.join("modules"))?;
    fs::write(directory.join("names"), names.join("\n"))?;
    // Last: what is not whole is fetched again.
    fs::write(directory.join("release"), release).context("keeping the kernel")
}

/// Older packages have the image in `/boot`, newer ones beside the modules.
fn image(tree: &Path, release: &str) -> Option<PathBuf> {
    let places = [format!("boot/vmlinuz-{release}"), format!("usr/lib/modules/{release}/vmlinuz")];
    places.into_iter().map(|place| tree.join(place)).find(|image| image.is_file())
}
