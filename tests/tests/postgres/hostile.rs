//! Whoever may do everything but see classified values sees none, however they ask.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use portcullis_tests::place;

use super::*;

/// Everything that policy can permit, so that masking alone stands between the workload and the values.
pub const OPEN: &str = r#"
@id("open-tables") permit (principal, action, resource is Sql::Table) when { resource.name like "*" };
@id("open-functions") permit (principal, action, resource is Sql::Function) when { resource.name like "*" };
@id("open-settings") permit (principal, action, resource is Sql::Setting) when { resource.name like "*" };
@id("open-databases") permit (principal, action, resource is Sql::Database)
  when { resource.name like "*" } unless { action == Sql::Action::"unknown" };
@id("masked") @mask("email=redact,ssn=redact,credit_card=redact")
forbid (principal, action, resource)
  unless { context.masked.containsAll([DataClass::"email", DataClass::"ssn", DataClass::"credit_card"]) };
"#;

/// The least number of statements that show a classified value without a gate: the corpus is no blank.
const REVEALING_MIN: usize = 100;

/// A value in the spellings that a statement can give it, in lower case.
fn spellings(value: &str) -> Vec<String> {
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut found = vec![
        value.to_lowercase(),
        value.chars().rev().collect::<String>().to_lowercase(),
        hex(value.as_bytes()),
        BASE64.encode(value).to_lowercase(),
        value.replace('-', "_"),
    ];
    if let Ok(number) = digits.parse::<u64>()
        && digits.len() >= 9
    {
        found.extend([number.to_string(), (number + 1).to_string(), (number * 2).to_string(), format!("{number:x}")]);
    }
    found
}

#[test]
fn hostile_statements_see_nothing_classified() -> Result<()> {
    let place = place::temporary()?;
    let policies = place.path().to_owned();
    std::fs::write(policies.join("open.cedar"), OPEN)?;
    std::fs::copy(place::repository().join("policies/site.cedarschema"), policies.join("site.cedarschema"))?;
    let server = Postgres::start()?;
    server.shop(
        "alter table customers owner to app; alter table orders owner to app; alter table imports owner to app;
         alter view customer_contacts owner to app; grant create on schema public to app; create schema own authorization app",
    )?;
    let secrets =
        server.shop("select ssn from customers union select card from customers union select email from customers")?;
    let secrets: Vec<_> = secrets.lines().flat_map(spellings).collect();
    let shows = |text: &str| {
        let text = text.to_lowercase();
        secrets.iter().find(|secret| text.contains(*secret)).cloned()
    };

    let gate = Gate::with(&server, &Setup { policies: Some(policies), ..Setup::default() })?;
    let pair = Pair { gate, server };
    let compared = corpus::compare(&pair, "hostile.sql")?;
    let revealing = compared.iter().filter(|one| shows(&one.direct).is_some()).count();
    ensure!(revealing >= REVEALING_MIN, "only {revealing} statements show anything without a gate");
    let leaks = compared.iter().filter_map(|one| {
        let secret = shows(&one.governed)?;
        Some(format!("{}shows {secret}: {}\n", one.statement, one.governed))
    });
    let leaks: Vec<_> = leaks.collect();
    ensure!(leaks.is_empty(), "{} of {} leak:\n{}", leaks.len(), compared.len(), leaks.join("\n"));
    Ok(())
}
