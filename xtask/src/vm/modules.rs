//! The modules that a guest loads: every protocol by which something could get out, and the test's own devices.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// Modules by name; a kernel that has one built in, or has none, is no error.
const WANTED: &[&str] = &[
    // Devices that tests make.
    "veth",
    "dummy",
    "tun",
    "bridge",
    "overlay",
    "fuse",
    // Families and protocols.
    "af_packet",
    "vsock",
    "vsock_loopback",
    "rds",
    "rds_tcp",
    "sctp",
    "dccp",
    "dccp_ipv4",
    "dccp_ipv6",
    "rxrpc",
    "smc",
    "tipc",
    "kcm",
    "l2tp_ip",
    "l2tp_ip6",
    "l2tp_netlink",
    "can",
    "can_raw",
    "af_alg",
    "algif_hash",
    "xsk_diag",
    "phonet",
    "nfc",
    "ax25",
    "x25",
    "qrtr",
    "mctp",
    "tls",
    // Tampering with packets, and the sockets' inspector.
    "nf_tables",
    "nft_nat",
    "nft_chain_nat",
    "nft_redir",
    "nft_masq",
    "nft_compat",
    "nft_ct",
    "nft_reject_inet",
    "sch_ingress",
    "cls_bpf",
    "act_mirred",
    "cls_u32",
    "cls_matchall",
    "inet_diag",
    "tcp_diag",
    "udp_diag",
    "unix_diag",
    "raw_diag",
    "vsock_diag",
    // What a checksum or cipher of the above asks for by itself.
    "crc32c_generic",
    "libcrc32c",
    "crc32c_intel",
    "crypto_null",
];

/// Copies the wanted modules and what they depend on out of an unpacked package, uncompressed, with an index for
/// `modprobe`. Answers the names of those that are there.
pub fn select(tree: &Path, release: &str, into: &Path) -> Result<Vec<String>> {
    let from = library(tree).join(release);
    let base = from.ancestors().nth(3).context("the modules lie below no root")?;
    depmod(base, release)?;
    let index = fs::read_to_string(from.join("modules.dep")).context("reading modules.dep")?;
    let chosen = closure(&index);
    ensure!(!chosen.is_empty(), "none of the wanted modules is in {}", from.display());

    let to = into.join("lib/modules").join(release);
    for file in &chosen {
        let target = to.join(plain(file));
        fs::create_dir_all(target.parent().unwrap_or(&to))?;
        decompress(&from.join(file), &target)?;
    }
    for list in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
        if from.join(list).exists() {
            fs::copy(from.join(list), to.join(list)).with_context(|| format!("copying {list}"))?;
        }
    }
    depmod(into, release)?;
    Ok(chosen.iter().map(|file| module_name(file)).filter(|name| WANTED.contains(&name.as_str())).collect())
}

/// Older packages have `/lib/modules`, newer ones `/usr/lib/modules`.
fn library(tree: &Path) -> PathBuf {
    let merged = tree.join("usr/lib/modules");
    if merged.exists() { merged } else { tree.join("lib/modules") }
}

/// Every file that the wanted modules need, by `modules.dep`: `file: dependency dependency…`.
fn closure(index: &str) -> BTreeSet<String> {
    let mut chosen = BTreeSet::new();
    for line in index.lines() {
        let Some((file, dependencies)) = line.split_once(':') else { continue };
        if WANTED.contains(&module_name(file).as_str()) {
            chosen.insert(file.to_owned());
            chosen.extend(dependencies.split_ascii_whitespace().map(str::to_owned));
        }
    }
    chosen
}

/// `kernel/net/vmw_vsock/vsock.ko.xz` is `vsock`.
fn module_name(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split('.').next().unwrap_or(name).replace('-', "_")
}

fn plain(file: &str) -> &str {
    [".xz", ".zst", ".gz"].into_iter().find_map(|suffix| file.strip_suffix(suffix)).unwrap_or(file)
}

fn decompress(from: &Path, to: &Path) -> Result<()> {
    let program = match from.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::copy(from, to).map(drop).with_context(|| format!("copying {}", from.display())),
    };
    let output = fs::File::create(to).with_context(|| format!("making {}", to.display()))?;
    let mut command = Command::new(program);
    let status = command.args(["--decompress", "--stdout"]).arg(from).stdout(output).stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("starting {program}"))?;
    ensure!(status.success(), "{program} cannot read {}", from.display());
    Ok(())
}

fn depmod(base: &Path, release: &str) -> Result<()> {
    // Symbols that are built in are not in the packages: depmod's warnings about them say nothing.
    let output = Command::new("/sbin/depmod").arg("--basedir").arg(base).arg(release).output().context("depmod")?;
    ensure!(output.status.success(), "depmod failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_brings_what_it_depends_on() {
        let index = "kernel/net/sctp/sctp.ko.xz: kernel/lib/libcrc32c.ko.xz kernel/net/ipv4/udp_tunnel.ko.xz\n\
                     kernel/drivers/net/veth.ko.xz:\n\
                     kernel/sound/snd.ko.xz: kernel/sound/soundcore.ko.xz\n";
        let chosen: Vec<_> = closure(index).into_iter().map(|file| module_name(&file)).collect();
        assert_eq!(chosen, ["veth", "libcrc32c", "udp_tunnel", "sctp"]);
    }

    #[test]
    fn names_are_as_modprobe_takes_them() {
        assert_eq!(module_name("kernel/net/x/nft-nat.ko.zst"), "nft_nat");
        assert_eq!(plain("kernel/net/x/nft-nat.ko.zst"), "kernel/net/x/nft-nat.ko");
    }
}
