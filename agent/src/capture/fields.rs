//! Where this kernel keeps the fields that programs on security hooks read.

use std::sync::LazyLock;

use aya::EbpfLoader;
use portcullis_common::Fields;

use super::btf::{BtfError, Types};

/// The places of every field that the programs read; they are the same as long as the kernel runs.
static PLACES: LazyLock<Result<Fields, BtfError>> = LazyLock::new(find);

/// Where the fields are, or why that is not known.
pub(super) fn places() -> Result<&'static Fields, &'static BtfError> {
    PLACES.as_ref()
}

/// Tells the programs where this kernel's fields are. Where that is not known, none of them will be attached.
pub(super) fn describe(loader: &mut EbpfLoader<'_>) {
    if let Ok(fields) = places() {
        loader.override_global("FIELDS", fields, true);
    }
}

fn find() -> Result<Fields, BtfError> {
    let types = Types::of_this_kernel()?;
    let ids = types.offset("cgroup", "ancestor_ids");
    Ok(Fields {
        socket_sock: types.offset("socket", "sk")?,
        sock_family: types.offset("sock", "__sk_common")? + types.offset("sock_common", "skc_family")?,
        sock_cgroup: types.offset("sock", "sk_cgrp_data")? + types.offset("sock_cgroup_data", "cgroup")?,
        unix_address: types.offset("unix_sock", "addr")?,
        unix_length: types.offset("unix_address", "len")?,
        unix_name: types.offset("unix_address", "name")?,
        task_set: types.offset("task_struct", "cgroups")?,
        set_cgroup: types.offset("css_set", "dfl_cgrp")?,
        cgroup_level: types.offset("cgroup", "level")?,
        ancestors_are_ids: ids.is_ok().into(),
        cgroup_ancestors: ids.or_else(|_| types.offset("cgroup", "ancestors"))?,
        cgroup_node: types.offset("cgroup", "kn")?,
        node_id: types.offset("kernfs_node", "id")?,
        file_inode: types.offset("file", "f_inode")?,
        file_data: types.offset("file", "private_data")?,
        inode_superblock: types.offset("inode", "i_sb")?,
        inode_mode: types.offset("inode", "i_mode")?,
        inode_device: types.offset("inode", "i_rdev")?,
        superblock_magic: types.offset("super_block", "s_magic")?,
        mount_superblock: types.offset("vfsmount", "mnt_sb")?,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn this_kernel_has_every_field() {
        if Path::new("/sys/kernel/btf/vmlinux").exists() {
            find().unwrap();
        }
    }
}
