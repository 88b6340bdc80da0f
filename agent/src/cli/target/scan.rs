//! `portcullis target scan`: proposes data classes for columns. Nothing is used before a person has put it into the
//! configuration.

use std::{collections::BTreeSet, fs::File, io::Write, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use serde::Serialize;
use tokio::time::timeout;

use crate::{
    cli::{
        options::Options,
        output::{self, plain, table},
    },
    config::Config,
    credential,
    policy::{Bundle, Engine},
    protocol::postgres::{
        UNREADABLE,
        scan::{Impression, Scan, scan},
    },
    surveys,
    target::{Address, OriginalDestination, Target},
    upstream::{Dialler, TlsSetups},
};

/// For the whole scan.
const SCAN_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(600);

/// What to look at, and where the proposal goes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The target
    name: String,
    /// The database to look into
    #[arg(long, value_name = "NAME")]
    database: String,
    /// Most rows of each table that are looked at
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    rows: u32,
    /// Write the proposal to a new file, to be read and put into the configuration
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

/// One column that has a class or should be considered for one, as programs read it.
#[derive(Debug, Serialize)]
struct Listed {
    column: String,
    classes: Vec<String>,
    /// Classes of the column that the policy's `site.cedarschema` does not list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unknown: Vec<String>,
    proposed: Vec<Proposed>,
}

#[derive(Debug, Serialize)]
struct Proposed {
    class: &'static str,
    why: String,
}

/// Scans, and shows what it proposes. Fails when a class is in use that no rule can mask.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let config = args.options.load()?;
    let target = config.targets.iter().find(|target| *target.name == *args.name);
    let target = target.with_context(|| format!("no target is named `{}`", plain(&args.name)))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start tokio")?;
    let scan = runtime.block_on(look(args, target, &config))?;
    let known = vocabulary(&config)?;
    let listed: Vec<Listed> =
        scan.impressions.iter().map(|impression| listed(impression, &known)).filter(Listed::is_worth_a_look).collect();
    match args.options.json {
        true => output::json(&listed)?,
        false => show(&listed, &scan)?,
    }
    if let Some(path) = &args.write {
        let mut file = File::create_new(path).with_context(|| format!("failed to make `{}`", path.display()))?;
        file.write_all(lines(&args.name, &listed).as_bytes()).context("failed to write the proposal")?;
    } else if !args.options.json {
        print!("\n{}", lines(&args.name, &listed));
    }
    Ok(listed.iter().all(|column| column.unknown.is_empty()))
}

async fn look(args: &Args, target: &Arc<Target>, config: &Config) -> anyhow::Result<Scan> {
    let name = target.credential.as_ref().context("the target has no credential to log in with")?;
    let credential = credential::Store::new(config.credentials.clone()).find(name)?;
    let dialler = Dialler {
        target: target.clone(),
        destination: destination(target).await?,
        credential: Some(credential.clone()),
        listeners: Vec::new(),
        setups: Arc::new(TlsSetups::default()),
    };
    let scanned = timeout(SCAN_TIMEOUT, async {
        let stream = surveys::dial(&dialler).await.map_err(anyhow::Error::msg)?;
        Ok(scan(stream, &credential, &args.database, target, args.rows).await?)
    });
    scanned.await.with_context(|| format!("the scan took longer than {} s", SCAN_TIMEOUT.as_secs()))?
}

/// Where the daemon would dial: the upstream, or else the first address.
async fn destination(target: &Target) -> anyhow::Result<OriginalDestination> {
    match target.upstream.as_ref().or(target.addresses.first()) {
        Some(Address::Unix(path)) => Ok(OriginalDestination::Unix(path.clone())),
        Some(Address::Tcp(place)) => {
            let mut addresses = tokio::net::lookup_host((place.host.as_str(), place.port)).await?;
            Ok(OriginalDestination::Tcp(addresses.next().with_context(|| format!("{place} has no address"))?))
        }
        None => bail!("the target has no address"),
    }
}

/// The classes that rules can speak of.
fn vocabulary(config: &Config) -> anyhow::Result<BTreeSet<String>> {
    let bundle = match &config.policy.directory {
        Some(directory) => Bundle::read(directory)?,
        None => Bundle::embedded(),
    };
    let engine = Engine::compile(&bundle, 0)?;
    Ok(engine.vocabulary().map(|vocabulary| vocabulary.classes.clone()).unwrap_or_default())
}

fn listed(impression: &Impression, vocabulary: &BTreeSet<String>) -> Listed {
    let classes: Vec<String> = impression.known.iter().map(ToString::to_string).collect();
    let column = &impression.column;
    Listed {
        column: format!("{}.{}.{}", column.schema, column.table, column.column),
        unknown: classes.iter().filter(|class| !vocabulary.contains(*class)).cloned().collect(),
        classes,
        proposed: impression.proposals().into_iter().map(|(class, why)| Proposed { class, why }).collect(),
    }
}

impl Listed {
    fn is_worth_a_look(&self) -> bool {
        !self.classes.is_empty() || !self.proposed.is_empty()
    }
}

fn show(listed: &[Listed], scan: &Scan) -> anyhow::Result<()> {
    let mut table = table(["COLUMN", "CLASSES", "PROPOSED", "BECAUSE OF"]);
    for column in listed {
        let classes = if column.classes.is_empty() { "-".to_owned() } else { column.classes.join(",") };
        let proposed: Vec<&str> = column.proposed.iter().map(|proposed| proposed.class).collect();
        let why: Vec<&str> = column.proposed.iter().map(|proposed| proposed.why.as_str()).collect();
        table.add_row([plain(&column.column), plain(&classes), proposed.join(","), why.join("; ")]);
    }
    output::print_table(table)?;
    for (name, reason) in &scan.unread {
        eprintln!("warning: {} could not be read: {}", plain(name), plain(reason));
    }
    for column in listed.iter().filter(|column| !column.unknown.is_empty()) {
        let (name, classes) = (plain(&column.column), plain(&column.unknown.join("`, `")));
        eprintln!(
            "error: {name} has the class `{classes}`, which `site.cedarschema` does not list: what reads it is denied"
        );
        if column.unknown.iter().any(|class| class == UNREADABLE) {
            eprintln!("  hint: a comment says `@class` without names in parentheses; write `@class(email)`");
        }
    }
    Ok(())
}

/// The proposal as lines of the configuration. Columns whose names cannot stand there are told in a comment.
fn lines(target: &str, listed: &[Listed]) -> String {
    let mut text =
        format!("# Proposed for target \"{}\". Read each line before you use it.\n[target.classes]\n", plain(target));
    for column in listed.iter().filter(|column| !column.proposed.is_empty()) {
        let mut classes: Vec<String> = column.classes.clone();
        classes.extend(column.proposed.iter().map(|proposed| proposed.class.to_owned()));
        let value = match classes.as_slice() {
            [class] => toml::Value::from(class.clone()),
            classes => toml::Value::from(classes.to_vec()),
        };
        let why: Vec<&str> = column.proposed.iter().map(|proposed| proposed.why.as_str()).collect();
        let is_sayable = column.column.split('.').count() == 3 && !column.column.contains(char::is_control);
        let note = if is_sayable { "" } else { "# (this name cannot stand here) " };
        let key = plain(&column.column).replace('\\', "\\\\").replace('"', "\\\"");
        text.push_str(&format!("{note}\"{key}\" = {value}  # {}\n", why.join("; ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, classes: &[&str], class: &'static str) -> Listed {
        Listed {
            column: name.to_owned(),
            classes: classes.iter().map(ToString::to_string).collect(),
            unknown: Vec::new(),
            proposed: vec![Proposed { class, why: "its name".to_owned() }],
        }
    }

    #[test]
    fn a_proposal_is_configuration() {
        let listed = [
            column("public.a.email", &[], "email"),
            column("public.\"x\\.y", &["pii"], "ssn"),
            column("a.b.c.d", &[], "ssn"),
            column("a.b\n.c", &[], "ssn"),
        ];
        let text = lines("shop", &listed);
        let table: toml::Table = text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"));
        let classes = table["target"]["classes"].as_table().unwrap();
        assert_eq!(classes["public.a.email"].as_str(), Some("email"));
        assert_eq!(classes["public.\"x\\.y"].as_array().unwrap().len(), 2);
        assert_eq!(classes.len(), 2, "which part of a name is the table must be clear");
    }
}
