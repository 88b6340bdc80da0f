//! `fixtures.yaml`: the workloads, targets and tables that a bundle's tests speak of.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::{
    policy::{Bundle, Finding, bundle::FIXTURES, schema::Vocabulary},
    principal::{Principal, Process},
    request::Footprint,
    sql::{Catalogue, Classifier, SessionState},
    target::{Class, Target, Verify},
};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixtures {
    /// An IANA name; UTC when absent.
    time_zone: Option<String>,
    #[serde(default)]
    workloads: BTreeMap<String, WorkloadFixture>,
    #[serde(default)]
    targets: BTreeMap<String, TargetFixture>,
    /// By `schema.table`, in every target.
    #[serde(default)]
    tables: BTreeMap<String, TableFixture>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkloadFixture {
    #[serde(default)]
    groups: Vec<String>,
    owner: Option<String>,
    #[serde(default)]
    process: ProcessFixture,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ProcessFixture {
    uid: u32,
    user: String,
    exe: Option<String>,
    exe_hash: Option<String>,
    cgroup: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetFixture {
    protocol: String,
    /// Of those that have databases.
    #[serde(default)]
    database: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFixture {
    /// In order, each with its data classes.
    columns: serde_yaml_ng::Mapping,
}

/// Fixtures ready to be asked about.
#[derive(Debug)]
pub struct Stage {
    pub zone: TimeZone,
    workloads: BTreeMap<String, Principal>,
    targets: HashMap<String, Place>,
}

#[derive(Debug)]
struct Place {
    target: Target,
    database: String,
    classifier: Classifier,
}

impl Stage {
    /// Reads a bundle's fixtures; without any, nothing is known.
    pub fn set(bundle: &Bundle, vocabulary: &Vocabulary, findings: &mut Vec<Finding>) -> Self {
        let fixtures = match &bundle.fixtures {
            None => Fixtures::default(),
            Some(source) => serde_yaml_ng::from_str(&source.text).unwrap_or_else(|error| {
                findings.push(super::yaml_finding(source, &error));
                Fixtures::default()
            }),
        };
        fixtures.check(vocabulary, findings);
        let zone = match fixtures.time_zone.as_deref().map(TimeZone::get) {
            None => TimeZone::UTC,
            Some(Ok(zone)) => zone,
            Some(Err(error)) => {
                findings.push(
                    Finding::in_file(FIXTURES, error.to_string()).hint("use an IANA name like \"Europe/Berlin\""),
                );
                TimeZone::UTC
            }
        };
        let tables = fixtures.tables(findings);
        let place = |(name, fixture): (&String, &TargetFixture)| (name.clone(), fixture.place(name, &tables));
        Self {
            zone,
            workloads: fixtures
                .workloads
                .iter()
                .map(|(name, workload)| (name.clone(), workload.principal(name)))
                .collect(),
            targets: fixtures.targets.iter().map(place).collect(),
        }
    }

    pub fn workload(&self, name: &str) -> Result<&Principal, String> {
        self.workloads.get(name).ok_or_else(|| unknown("workload", name, self.workloads.keys()))
    }

    pub fn target(&self, name: &str) -> Result<&Target, String> {
        self.targets.get(name).map(|place| &place.target).ok_or_else(|| unknown("target", name, self.targets.keys()))
    }

    /// The target's database, by its fixture.
    pub fn database(&self, target: &str) -> &str {
        self.targets.get(target).map_or("", |place| &place.database)
    }

    /// What a statement would touch, by the classifier that judges real sessions.
    pub fn footprint(&self, target: &str, sql: &str) -> Arc<Footprint> {
        let text = Bytes::copy_from_slice(sql.as_bytes());
        match self.targets.get(target) {
            Some(place) => Arc::clone(&place.classifier.classify(&text, &SessionState::default()).footprint),
            None => Arc::default(),
        }
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a String>) -> String {
    let known: Vec<&str> = known.map(String::as_str).collect();
    format!("{FIXTURES} has no {what} `{name}`; it has {}", super::super::annotation::list(known))
}

impl Fixtures {
    /// Words that rules could not speak of would make a test pass for the wrong reason.
    fn check(&self, vocabulary: &Vocabulary, findings: &mut Vec<Finding>) {
        let mut note = |what: String| {
            findings.push(Finding::in_file(FIXTURES, what).hint("`site.cedarschema` lists what there is"))
        };
        for (name, workload) in &self.workloads {
            for group in workload.groups.iter().filter(|group| !vocabulary.groups.contains(*group)) {
                note(format!("workload `{name}` is in the unknown group `{group}`"));
            }
        }
        for (name, target) in &self.targets {
            let environment = target.labels.get("environment");
            if let Some(unknown) = environment.filter(|environment| !vocabulary.environments.contains(*environment)) {
                note(format!("target `{name}` is in the unknown environment `{unknown}`"));
            }
        }
        for (name, table) in &self.tables {
            for class in table.columns.iter().flat_map(|(_, classes)| words(classes)) {
                if !vocabulary.classes.contains(&class) {
                    note(format!("table `{name}` has the unknown data class `{class}`"));
                }
            }
        }
    }

    /// Each table by schema and name, with its columns and their classes.
    fn tables(&self, findings: &mut Vec<Finding>) -> Vec<TableParts> {
        let mut tables = Vec::new();
        for (full, table) in &self.tables {
            let Some((schema, name)) = full.split_once('.') else {
                let finding = Finding::in_file(FIXTURES, format!("table `{full}` has no schema"));
                findings.push(finding.hint(format!("write `public.{full}`")));
                continue;
            };
            let column = |(name, classes): (&serde_yaml_ng::Value, &serde_yaml_ng::Value)| {
                let classes = words(classes).iter().map(|class| Class::from(class.as_str())).collect();
                (name.as_str().unwrap_or_default().to_owned(), classes)
            };
            tables.push((schema.to_owned(), name.to_owned(), table.columns.iter().map(column).collect()));
        }
        tables
    }
}

/// Schema, name, and columns with their classes: what a catalogue is made of.
type TableParts = (String, String, Vec<(String, Vec<Class>)>);

impl WorkloadFixture {
    fn principal(&self, name: &str) -> Principal {
        Principal {
            workload: name.into(),
            groups: self.groups.iter().map(|group| group.as_str().into()).collect(),
            owner: self.owner.clone(),
            process: Process {
                pid: 1,
                uid: self.process.uid,
                user: self.process.user.clone(),
                executable: self.process.exe.as_ref().map(Into::into),
                executable_hash: self.process.exe_hash.clone(),
                command_line: Vec::new(),
                parents: Vec::new(),
                cgroup: self.process.cgroup.clone(),
                cgroup_id: 0,
            },
        }
    }
}

impl TargetFixture {
    fn place(&self, name: &str, tables: &[TableParts]) -> Place {
        let target = Target {
            name: name.into(),
            protocol: self.protocol.as_str().into(),
            addresses: Vec::new(),
            upstream: None,
            tls: Verify::Off,
            credential: None,
            labels: self.labels.clone(),
            classes: BTreeMap::new(),
            paths: Default::default(),
        };
        let catalogue = Catalogue::from_tables(&self.database, &["pg_catalog", "public"], tables.to_vec());
        Place { target, database: self.database.clone(), classifier: Classifier::new(catalogue) }
    }
}

/// A column's classes: a list, one word, or nothing.
fn words(value: &serde_yaml_ng::Value) -> Vec<String> {
    match value {
        serde_yaml_ng::Value::Sequence(words) => {
            words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
        }
        serde_yaml_ng::Value::String(word) => vec![word.clone()],
        _ => Vec::new(),
    }
}
