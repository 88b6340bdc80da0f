//! What systemd is told so that a unit has none of its risks: `systemd.exec(5)`.

use std::{collections::BTreeSet, path::Path};

use super::{Finding, Risk};

/// What every unit of a workload may as well do without.
const ALWAYS: [&str; 2] = ["ProtectControlGroups=yes", "RestrictNamespaces=yes"];

/// The drop-in that ends these findings, with the commands that put it in place; `cgroup` is the unit's, below the
/// mount. `None` for what is no service of systemd's.
pub fn drop_in(workload: &str, cgroup: &Path, findings: &[Finding]) -> Option<String> {
    let unit = cgroup.file_name()?.to_str()?;
    if !unit.ends_with(".service") {
        return None;
    }
    let risks: BTreeSet<Risk> = findings.iter().map(|finding| finding.risk).collect();
    let mut text = format!("# /etc/systemd/system/{unit}.d/portcullis.conf\n");
    text.push_str("# Then: systemctl daemon-reload; systemctl restart ");
    text.push_str(unit);
    text.push_str("\n[Service]\n");
    for risk in risks {
        text.push_str(&format!("# {risk}\n"));
        for line in lines(risk, workload) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text.push_str("# always\n");
    text.extend(ALWAYS.map(|line| format!("{line}\n")));
    Some(text)
}

fn lines(risk: Risk, workload: &str) -> Vec<String> {
    let lines: &[&str] = match risk {
        Risk::Root | Risk::SharedUser => {
            let user = user_name(workload);
            return vec![
                format!("# First: useradd --system --home-dir /nonexistent --shell /usr/sbin/nologin {user}"),
                format!("User={user}"),
                format!("Group={user}"),
                "SupplementaryGroups=".into(),
            ];
        }
        Risk::Capabilities => &["CapabilityBoundingSet=", "AmbientCapabilities="],
        Risk::NewPrivileges => &["NoNewPrivileges=yes", "RestrictSUIDSGID=yes"],
        Risk::Sockets => &[
            "# A socket unit passes its sockets on: stop and mask it. What was open before the capture ends with a",
            "# restart of the service.",
            "Sockets=",
        ],
        Risk::Descriptors => {
            &["RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK", "PrivateDevices=yes", "OpenFile="]
        }
        Risk::Helpers => &[
            "InaccessiblePaths=-/run/docker.sock -/run/containerd -/run/crio -/run/podman -/run/buildkit -/run/snapd.socket",
            "InaccessiblePaths=-/run/dbus -/run/systemd/private -/run/user -/tmp/.X11-unix",
        ],
        Risk::SystemCalls => &[
            "SystemCallArchitectures=native",
            "SystemCallFilter=@system-service",
            "SystemCallFilter=~@keyring @mount @privileged io_uring_setup io_uring_enter io_uring_register",
            "SystemCallFilter=~process_vm_readv process_vm_writev pidfd_getfd kcmp ptrace",
            "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
        ],
    };
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// A name that `useradd` takes: at most 32 of lower-case letters, digits, `-` and `_`, no digit in front.
fn user_name(workload: &str) -> String {
    const LENGTH_MAX: usize = 31;
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c.to_ascii_lowercase() } else { '_' };
    let mut name: String = workload.chars().map(plain).collect();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert(0, '_');
    }
    name.truncate(LENGTH_MAX);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_risk_has_its_lines_and_no_other() {
        for risk in Risk::ALL {
            let findings = [Finding { risk, detail: String::new() }];
            let text = drop_in("CI.runner", Path::new("/system.slice/ci.service"), &findings).unwrap();
            let headings: Vec<_> =
                text.lines().filter(|line| Risk::ALL.iter().any(|risk| *line == format!("# {risk}"))).collect();
            assert_eq!(headings, [format!("# {risk}")]);
            assert!(lines(risk, "x").iter().any(|line| line.contains('=') && !line.starts_with('#')), "{risk}");
        }
    }

    #[test]
    fn only_a_service_has_a_drop_in() {
        for cgroup in ["/", "/kubepods/docker-1.scope", "/ci.slice", "/system.slice/x.service/child"] {
            assert_eq!(drop_in("ci", Path::new(cgroup), &[]), None, "{cgroup}");
        }
    }

    #[test]
    fn a_user_is_named_as_useradd_wants_it() {
        assert_eq!(user_name("CI.runner-2"), "ci_runner-2");
        assert_eq!(user_name("9lives"), "_9lives");
        assert_eq!(user_name(&"x".repeat(64)).len(), 31);
    }
}
