//! A real nginx: files, an echo of what it was sent, and a log of what reached it.

use std::{
    fs,
    net::{Ipv4Addr, TcpStream},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    certificates::Certificates,
    place, port,
    service::{Service, Signal},
};

/// A running server with one port in the clear and one with TLS.
pub struct Nginx {
    service: Service,
    directory: TempDir,
    plain: u16,
    secure: u16,
}

impl Nginx {
    pub fn start() -> Result<Self> {
        let directory = place::temporary()?;
        let certificates = Certificates::make(directory.path())?;
        for folder in ["files", "uploads", "temporary"] {
            fs::create_dir(directory.path().join(folder))?;
        }
        let (plain, secure) = (port::free()?, port::free()?);
        let configuration = directory.path().join("nginx.conf");
        fs::write(&configuration, configured(&directory, &certificates, plain, secure)).context("nginx.conf")?;
        let mut command = Command::new("/usr/sbin/nginx");
        command.arg("-p").arg(directory.path()).arg("-c").arg(&configuration);
        let mut service = Service::start("nginx", &mut command, &directory.path().join("nginx.log"), Signal::SIGQUIT)?;
        service.wait_until(|| TcpStream::connect((Ipv4Addr::LOCALHOST, secure)).is_ok())?;
        Ok(Self { service, directory, plain, secure })
    }

    /// The port that speaks in the clear.
    pub fn plain(&self) -> u16 {
        self.plain
    }

    /// The port that speaks TLS, with a certificate for `localhost` and the loopback addresses.
    pub fn secure(&self) -> u16 {
        self.secure
    }

    pub fn authority(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Serves a file under this name.
    pub fn serve(&self, name: &str, content: &[u8]) -> Result<()> {
        fs::write(self.directory.path().join("files").join(name), content).with_context(|| name.to_owned())
    }

    /// What was uploaded under this name.
    pub fn uploaded(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.directory.path().join("uploads").join(name)).ok()
    }

    /// Every request that reached it: method and target, and the field `Authorization`.
    pub fn requests(&self) -> String {
        fs::read_to_string(self.directory.path().join("requests.log")).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.service.pid()
    }
}

fn configured(directory: &TempDir, certificates: &Certificates, plain: u16, secure: u16) -> String {
    let place = directory.path().display();
    let (certificate, key) = certificates.pair("server");
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {place}/temporary/{kind};\n"))
        .concat();
    format!(
        r#"user root;
daemon off;
worker_processes 1;
pid {place}/nginx.pid;
error_log {place}/error.log warn;
events {{ worker_connections 512; }}
http {{
{temporary}  log_format requests '$request_method $request_uri $http_authorization $http_host';
  access_log {place}/requests.log requests;
  default_type text/plain;
  types {{ application/json json; text/html html; }}
  gzip on;
  gzip_types application/json;
  client_max_body_size 0;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{plain};
    listen 127.0.0.1:{secure} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location / {{ root {place}/files; }}
    location = /echo {{ return 200 "$request_method $http_authorization $arg_key $http_x_api_key\n"; }}
    location /uploads/ {{ alias {place}/uploads/; dav_methods PUT DELETE; }}
  }}
}}
"#,
        certificate = certificate.display(),
        key = key.display(),
    )
}
