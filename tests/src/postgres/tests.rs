use super::*;

fn client(port: u16, user: &str, mode: &str) -> Command {
    let mut psql = Command::new("psql");
    environment(&mut psql, port).env("PGUSER", user).env("PGPASSWORD", PASSWORD).env("PGSSLMODE", mode);
    psql.args(["-X", "-q", "-t", "-A", "-c", "select count(*) from customers"]);
    psql
}

#[test]
fn every_role_logs_in_its_own_way_and_only_over_tls() {
    let server = Postgres::start().unwrap();
    for user in ["app", "app_md5", "app_clear"] {
        assert_eq!(succeeded(user, client(server.port(), user, "require").output().unwrap()).unwrap(), "5");
        assert!(!client(server.port(), user, "disable").output().unwrap().status.success());
    }
    let mut certified = client(server.port(), "app_cert", "verify-full");
    let (certificate, key) = server.certificates().pair("client");
    certified.env("PGSSLCERT", certificate).env("PGSSLKEY", key);
    certified.env("PGSSLROOTCERT", server.certificates().authority()).env("PGHOST", "localhost");
    assert_eq!(succeeded("app_cert", certified.output().unwrap()).unwrap(), "5");
}

#[test]
fn a_stopped_server_resumes_on_its_port() {
    let mut server = Postgres::with(Release::Debian, Tls::Offered, &["work_mem=5MB"]).unwrap();
    server.shop("insert into imports values (7, 'kept')").unwrap();
    server.stop().unwrap();
    assert!(server.shop("select 1").is_err());
    server.resume().unwrap();
    assert_eq!(server.shop("select label from imports where id = 7").unwrap(), "kept");
    assert_eq!(server.shop("show work_mem").unwrap(), "5MB");
}
