//! A set of programs on one cgroup, by pinned links.

use std::{fs, os::fd::AsFd};

use super::{
    CaptureError, at,
    bpf::{self, Link},
    cgroup::Cgroup,
    layer::Scope,
    pins::Pins,
    programs::Programs,
};

/// A captured cgroup.
pub(super) struct Attachment {
    cgroup: Cgroup,
    scope: Scope,
    /// Held open, so that the floor stays when its pin is removed under a running daemon.
    floor: Option<Link>,
}

impl Attachment {
    /// Attaches what is missing, in order, and puts the new program in the place of each older one.
    pub(super) fn ensure(
        programs: &Programs,
        pins: &Pins,
        name: &str,
        cgroup: Cgroup,
        scope: Scope,
    ) -> Result<Self, CaptureError> {
        let directory = pins.links(name)?;
        let mut floor = None;
        for (program, attach_type) in programs.entries(scope) {
            let path = directory.join(program);
            let descriptor = programs.descriptor(program)?;
            let failed = |source| CaptureError::Attach { program, cgroup: cgroup.directory().into(), source };
            if let Ok(link) = Link::open(&path) {
                if link.cgroup().map_err(failed)? == cgroup.id() {
                    link.update(descriptor).map_err(failed)?;
                    floor.get_or_insert(link);
                    continue;
                }
                // Of a cgroup that is gone: it holds nothing any more.
                fs::remove_file(&path).map_err(at("remove the pin", &path))?;
            }
            let link = Link::create(descriptor, cgroup.as_fd(), attach_type).map_err(failed)?;
            link.pin(&path).map_err(at("pin a link as", &path))?;
            floor.get_or_insert(link);
        }
        Ok(Self { cgroup, scope, floor })
    }

    pub(super) fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    /// Holds nothing any more beyond the pins.
    pub(super) fn let_go(&mut self) {
        self.floor = None;
    }

    /// Asks whether each program stays in force without the daemon.
    pub(super) fn verify_pins(&self, programs: &Programs, pins: &Pins, name: &str) -> Result<(), CaptureError> {
        let directory = pins.links(name)?;
        match programs.entries(self.scope).find(|(program, _)| !directory.join(program).exists()) {
            Some((program, _)) => Err(CaptureError::Unpinned { program, cgroup: self.cgroup.directory().into() }),
            None => Ok(()),
        }
    }

    /// Asks the kernel whether each program is in force.
    pub(super) fn verify(&self, programs: &Programs) -> Result<(), CaptureError> {
        for (program, attach_type) in programs.entries(self.scope) {
            let failed = |source| CaptureError::Attach { program, cgroup: self.cgroup.directory().into(), source };
            let attached = bpf::effective_programs(self.cgroup.as_fd(), attach_type).map_err(failed)?;
            if !attached.contains(&programs.id(program)?) {
                return Err(CaptureError::Detached { program, cgroup: self.cgroup.directory().into() });
            }
        }
        Ok(())
    }
}
