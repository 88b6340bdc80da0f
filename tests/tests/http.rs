//! HTTP through the gate, end to end: a real nginx, a real daemon, workloads captured by the kernel.

#[path = "http/credential.rs"]
mod credential;
#[path = "http/denial.rs"]
mod denial;
#[path = "http/masking.rs"]
mod masking;
#[path = "http/passing.rs"]
mod passing;
#[path = "http/record.rs"]
mod record;

use std::{
    fs,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use portcullis_tests::{gate::Gate, nginx::Nginx, place};
use tempfile::TempDir;

/// Everything may be read; files may be put anywhere but under a name that begins with `private`, and tell who asks.
const RULES: &str = r#"
@id("read") permit (principal, action in Http::Action::"read", resource) unless { resource.path like "/private*" };
@id("upload") permit (principal, action == Http::Action::"PUT", resource);
@id("no-private-upload") @message("files of {principal.name} may not be private")
forbid (principal, action == Http::Action::"PUT", resource) when { resource.path like "/uploads/private*" };
@id("ask-to-delete") @approval("sre-oncall") @approval_wait("1m")
forbid (principal, action == Http::Action::"DELETE", resource)
unless { context.approvals.contains(Group::"sre-oncall") };
@id("delete") permit (principal, action == Http::Action::"DELETE", resource);
@id("mask") @mask("email=partial,ssn=redact,credit_card=last4")
forbid (principal, action == Http::Action::"GET", resource) when { resource.path like "/masked*" }
unless { context.masked.containsAll([DataClass::"email", DataClass::"ssn", DataClass::"credit_card"]) };
"#;

/// The secret that the gate adds, and what a workload sends in its place.
const SECRET: &str = "gate-held-secret-4711";
const PLACEHOLDER: &str = "placeholder-of-the-workload";

/// A server and the gate before it. The gate is dropped first.
struct Pair {
    gate: Gate,
    server: Nginx,
    _files: TempDir,
}

impl Pair {
    fn start() -> Result<Self> {
        Self::with("")
    }

    /// With lines for the target that speaks TLS, and after it.
    fn with(lines: &str) -> Result<Self> {
        let server = Nginx::start()?;
        let files = place::temporary()?;
        let policies = files.path().join("policies");
        fs::create_dir(&policies)?;
        fs::write(policies.join("rules.cedar"), RULES)?;
        let site = place::repository().join("policies/site.cedarschema");
        fs::copy(site, policies.join("site.cedarschema")).context("the site's schema")?;
        let secret = files.path().join("secret");
        fs::write(&secret, format!("{SECRET}\n"))?;
        place::open(&secret, 0o600)?;
        let (plain, secure, authority) = (server.plain(), server.secure(), server.authority());
        let lines = lines.replace("{secret}", &format!("{secret:?}"));
        let gate = Gate::on(&format!(
            r#"[policy]
directory = {policies:?}

[[approvers]]
group = "sre-oncall"
members = {{ unix_group = "root" }}

[[target]]
name = "files"
protocol = "http"
address = ["127.0.0.1:{plain}"]
tls = {{ verify = "off" }}

[[target]]
name = "api"
protocol = "http"
address = ["127.0.0.1:{secure}", "localhost:{secure}"]
tls = {{ verify = "full", ca = {authority:?} }}
{lines}
"#
        ))?;
        fs::write(gate.place().join("authority.pem"), gate.authority()?)?;
        Ok(Self { gate, server, _files: files })
    }

    /// The URL of a path at the server, in the clear.
    fn plain(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.server.plain())
    }

    /// The same through TLS.
    fn secure(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.server.secure())
    }

    /// curl as a workload, which trusts the gate's authority.
    fn curl(&self, arguments: &[&str]) -> Command {
        let words = ["curl", "-sS", "--max-time", "60", "--cacert", "authority.pem"];
        self.gate.run(words.iter().chain(arguments))
    }

    fn said(&self, arguments: &[&str]) -> Result<String> {
        Ok(said(&self.curl(arguments).output()?))
    }
}

/// Everything that a program printed.
fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Fails with both texts when `text` lacks `part`.
fn contains(text: &str, part: &str) -> Result<()> {
    ensure!(text.contains(part), "`{part}` is not in:\n{text}");
    Ok(())
}

/// Fails with the text when it has what it must not have.
fn lacks(text: &str, part: &str) -> Result<()> {
    ensure!(!text.contains(part), "`{part}` is in:\n{text}");
    Ok(())
}
