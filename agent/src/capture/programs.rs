//! The programs of `agent-ebpf`, loaded: those that this kernel takes.

use std::{
    collections::BTreeMap,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use aya::{Ebpf, EbpfLoader, include_bytes_aligned, programs::Program};

use super::{
    CaptureError, bpf, fields, kernel,
    layer::{Entry, Layer, Scope},
    object,
};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/portcullis.bpf"));

/// The maps that outlive the daemon.
const MAPS: &[&str] = &[
    "SETTINGS",
    "NAMESPACES",
    "UNIX_ALLOWED",
    "ORIGINS",
    "JAILED",
    "FLOWS",
    "DATAGRAMS",
    "REFUSALS",
    "ATTEMPTS",
    "BURSTS",
    "SPENT",
    "LOST",
    "GOVERNED",
    "LEVELS",
];

/// Loaded programs, and what came of those that were not loaded.
pub(super) struct Programs {
    ebpf: Ebpf,
    /// Those that aya does not know.
    others: BTreeMap<&'static str, OwnedFd>,
    missing: BTreeMap<Layer, CaptureError>,
}

impl Programs {
    /// Loads every program that this kernel takes, with the maps that are pinned in `maps`, or pins new ones there.
    /// Without a directory nothing is pinned.
    pub(super) fn load(maps: Option<&Path>) -> Result<Self, CaptureError> {
        let mut loader = EbpfLoader::new();
        for (directory, name) in maps.iter().flat_map(|directory| MAPS.iter().map(move |name| (directory, name))) {
            loader.map_pin_path(name, directory.join(name));
        }
        let options_know_process = u8::from(kernel::release() >= kernel::OPTIONS_KNOW_PROCESS);
        loader.override_global("OPTIONS_KNOW_PROCESS", &options_know_process, true);
        fields::describe(&mut loader);
        let ebpf = loader.load(OBJECT).map_err(Box::new)?;
        let mut programs = Self { ebpf, others: BTreeMap::new(), missing: BTreeMap::new() };
        for layer in Layer::ALL {
            if let Err(error) = layer.all_programs().try_for_each(|(name, _)| programs.load_one(name)) {
                programs.missing.insert(layer, error);
            }
        }
        Ok(programs)
    }

    /// The object's maps, to take.
    pub(super) fn maps(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// Why a layer is not there, if it is not.
    pub(super) fn missing(&self, layer: Layer) -> Option<&CaptureError> {
        self.missing.get(&layer)
    }

    /// Fails where a layer is not there that these cgroups need, and that the configuration does not allow to miss.
    pub(super) fn require(&self, scopes: &[Scope], allowed: &[Layer]) -> Result<(), CaptureError> {
        match self.missing.iter().find(|(layer, _)| layer.is_required(scopes, allowed)) {
            Some((layer, error)) => Err(CaptureError::MissingLayer { layer: *layer, cause: chain(error) }),
            None => Ok(()),
        }
    }

    /// What is attached to such a cgroup, in order.
    pub(super) fn entries(&self, scope: Scope) -> impl Iterator<Item = Entry> {
        let present = Layer::ALL.into_iter().filter(|layer| !self.missing.contains_key(layer));
        present.flat_map(move |layer| layer.programs(scope)).copied()
    }

    /// The name of every loaded program.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries(Scope::Existing).chain(self.entries(Scope::Daemon)).map(|(name, _)| name)
    }

    /// A loaded program's descriptor.
    pub(super) fn descriptor(&self, name: &'static str) -> Result<BorrowedFd<'_>, CaptureError> {
        if let Some(other) = self.others.get(name) {
            return Ok(other.as_fd());
        }
        let program = self.ebpf.program(name).ok_or(CaptureError::MissingProgram(name))?;
        match program.fd() {
            Ok(descriptor) => Ok(descriptor.as_fd()),
            Err(source) => Err(CaptureError::Load { program: name, source: Box::new(source) }),
        }
    }

    /// A loaded program's id.
    pub(super) fn id(&self, name: &'static str) -> Result<u32, CaptureError> {
        bpf::program_id(self.descriptor(name)?).map_err(|source| CaptureError::Describe { program: name, source })
    }

    fn load_one(&mut self, name: &'static str) -> Result<(), CaptureError> {
        if let Some(attach_type) = object::attach_type(name) {
            let failed = |source| CaptureError::LoadOther { program: name, source: Box::new(source) };
            let loaded = object::load(OBJECT, &self.ebpf, name, attach_type).map_err(failed)?;
            self.others.insert(name, loaded);
            return Ok(());
        }
        let program = self.ebpf.program_mut(name).ok_or(CaptureError::MissingProgram(name))?;
        let loaded = match program {
            Program::CgroupSkb(program) => program.load(),
            Program::CgroupSock(program) => program.load(),
            Program::CgroupSockAddr(program) => program.load(),
            Program::CgroupSockopt(program) => program.load(),
            Program::SockOps(program) => program.load(),
            _ => return Err(CaptureError::MissingProgram(name)),
        };
        loaded.map_err(|source| CaptureError::Load { program: name, source: Box::new(source) })
    }
}

/// An error and what caused it, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
