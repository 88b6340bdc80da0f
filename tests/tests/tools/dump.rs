//! pg_dump and pg_restore of an allowed schema.

use super::*;

/// Lines that no two dumps share.
fn comparable(dump: &[u8]) -> String {
    let text = String::from_utf8_lossy(dump);
    text.lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .collect::<Vec<_>>()
        .join("\n")
}

const UNCLASSIFIED: [&str; 8] = ["pg_dump", "-n", "public", "-T", "salaries", "-T", "customers", "--no-comments"];

#[test]
fn a_plain_dump_needs_no_more_than_the_shipped_policy_and_is_the_same() -> Result<()> {
    let server = server()?;
    let gate = Gate::before(&server)?;
    for options in [&[][..], &["--inserts"], &["--schema-only"], &["--data-only", "--table", "orders"]] {
        let words: Vec<_> = UNCLASSIFIED.iter().chain(options).collect();
        let governed = gate.workload(&server, &words).output()?;
        said(&governed)?;
        let ungoverned = direct(&server, &words)?.output()?;
        assert_eq!(comparable(&governed.stdout), comparable(&ungoverned.stdout), "{options:?}");
    }
    Ok(())
}

#[test]
fn a_dump_of_classified_data_is_masked() -> Result<()> {
    let rig = Rig::start()?;
    for words in ["pg_dump -t customers", "pg_dump -t customers -Fc -f masked && pg_restore -f - masked"] {
        let shown = said(&rig.governed(["sh", "-c", words])?)?;
        ensure!(shown.contains("Ada Lovelace") && shown.contains("***-**-4399"), "{shown}");
        ensure!(!shown.contains("536-90") && !shown.contains("ada.lovelace@example.com"), "{shown}");
    }
    Ok(())
}

#[test]
fn a_view_of_classified_columns_is_not_restored_and_the_refusal_says_why() -> Result<()> {
    let rig = Rig::start()?;
    rig.server.superuser("postgres", "create database copy owner app")?;
    let script = "pg_dump -s -t customers -t customer_contacts -Fc -f archive && pg_restore -Od copy archive";
    let shown = String::from_utf8_lossy(&rig.governed(["sh", "-c", script])?.stderr).into_owned();
    ensure!(shown.contains("CREATE VIEW would store values of class email, which must be masked, unmasked"), "{shown}");
    Ok(())
}

#[test]
fn every_format_of_an_archive_is_restored_as_it_was() -> Result<()> {
    let rig = Rig::start()?;
    for (format, options) in [("custom", ""), ("tar", ""), ("directory", "-j 2")] {
        rig.server.superuser("postgres", &format!("create database copy_{format} owner app"))?;
        let script = format!(
            "pg_dump -n public -T salaries -T customer_contacts -F{format} {options} -f archive_{format} && \
             pg_restore -l archive_{format} | grep -v ' SCHEMA ' > list && \
             pg_restore --no-owner --no-privileges --exit-on-error -L list -d copy_{format} archive_{format}"
        );
        said(&rig.governed(["sh", "-c", &script])?)?;
        for sql in [
            "select * from orders order by id",
            "select * from payments order by id",
            "select nextval('orders_id_seq')",
        ] {
            assert_eq!(rig.server.superuser(&format!("copy_{format}"), sql)?, rig.server.shop(sql)?, "{format}");
        }
    }
    Ok(())
}
