//! Programs of attach types that aya does not know, out of the same object: parsed and linked by aya-obj, loaded by
//! `bpf(2)`.

use std::{
    collections::HashSet,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use aya::{
    Ebpf,
    maps::{Map, MapData},
};
use aya_obj::Object;
use thiserror::Error;

use super::bpf::{self, AttachType};

/// The attach type of a program that aya cannot load.
pub(super) fn attach_type(program: &str) -> Option<AttachType> {
    match program {
        "unix_connect" => Some(AttachType::UnixConnect),
        "unix_sendmsg" => Some(AttachType::UnixSendmsg),
        _ => None,
    }
}

/// Why one of them was not loaded.
#[derive(Debug, Error)]
pub enum ObjectError {
    #[error("the object cannot be parsed")]
    Parse(#[from] aya_obj::ParseError),
    #[error("the object cannot be linked")]
    Link(#[from] aya_obj::relocation::EbpfRelocationError),
    #[error("the object has no program of this name")]
    Missing,
    #[error("the kernel refused it: {said}")]
    Refused { said: String, source: io::Error },
}

/// Loads one of them, over the maps of `ebpf`, of which none may have been taken.
pub(super) fn load(object: &[u8], ebpf: &Ebpf, name: &str, attach_type: AttachType) -> Result<OwnedFd, ObjectError> {
    let object = link(object, ebpf, name)?;
    let program = object.programs.get(name).ok_or(ObjectError::Missing)?;
    let function = object.functions.get(&program.function_key()).ok_or(ObjectError::Missing)?;
    let words = &function.instructions;
    // SAFETY: instructions are eight bytes each, without padding, as the kernel wants them.
    let instructions = unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<[u8; 8]>(), words.len()) };
    bpf::load_sock_addr(name, instructions, &program.license, attach_type)
        .map_err(|(source, said)| ObjectError::Refused { said, source })
}

/// The object with this program alone, its maps and its calls resolved.
fn link(object: &[u8], ebpf: &Ebpf, name: &str) -> Result<Object, ObjectError> {
    let mut object = Object::parse(object)?;
    let program = object.programs.remove(name).ok_or(ObjectError::Missing)?;
    let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    let entries: HashSet<_> = object.programs.values().map(aya_obj::Program::function_key).collect();
    // Functions that are no programs stay: they may be called.
    object.functions.retain(|key, _| !entries.contains(key));
    object.programs.clear();
    object.programs.insert(name.to_owned(), program);

    let maps: Vec<_> = ebpf.maps().filter_map(|(name, map)| Some((name.to_owned(), descriptor(map)?))).collect();
    let parsed = object.maps.clone();
    let known =
        maps.iter().filter_map(|(name, descriptor)| Some((name.as_str(), descriptor.as_raw_fd(), parsed.get(name)?)));
    object.relocate_maps(known, &sections)?;
    object.relocate_calls(&sections)?;
    Ok(object)
}

/// The descriptor of a map of the kinds that refusing programs use.
fn descriptor(map: &Map) -> Option<BorrowedFd<'_>> {
    let data: &MapData = match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::RingBuf(data)
        | Map::SkStorage(data) => data,
        _ => return None,
    };
    Some(data.fd().as_fd())
}
