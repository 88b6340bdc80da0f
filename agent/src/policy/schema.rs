//! The vocabulary that rules are checked against: the daemon's own, and the site's.

use std::collections::BTreeSet;

use cedar_policy::{Schema, SchemaFragment};

use crate::policy::{Bundle, Finding, Source, bundle::CORE_SCHEMAS, diagnostic, finding::Findings};

/// A site's words, as `site.cedarschema` lists them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Vocabulary {
    pub groups: BTreeSet<String>,
    pub environments: BTreeSet<String>,
    pub classes: BTreeSet<String>,
}

/// Puts the core schemas and the site's together.
pub fn build(bundle: &Bundle) -> Result<(Schema, Vocabulary), Findings> {
    let mut fragments = Vec::new();
    for (name, text) in CORE_SCHEMAS {
        let source = Source { name: name.to_owned(), text: text.to_owned() };
        fragments.push(fragment(&source)?);
    }
    let site = fragment(&bundle.site)?;
    let vocabulary = Vocabulary::of(&bundle.site, site.clone())?;
    fragments.push(site);
    let schema = Schema::from_schema_fragments(fragments)
        .map_err(|error| Finding::in_file(&bundle.site.name, diagnostic::sentence(&error)))?;
    Ok((schema, vocabulary))
}

fn fragment(source: &Source) -> Result<SchemaFragment, Findings> {
    match SchemaFragment::from_cedarschema_str(&source.text) {
        Ok((fragment, _warnings)) => Ok(fragment),
        Err(error) => Err(Findings::new(diagnostic::findings(source, &error))),
    }
}

impl Vocabulary {
    /// Accepts exactly the three enumerations: anything else would change what the daemon's schema means.
    fn of(source: &Source, fragment: SchemaFragment) -> Result<Self, Findings> {
        let whole = |message: String| Findings::from(Finding::in_file(&source.name, message));
        let json = fragment.to_json_value().map_err(|error| whole(diagnostic::sentence(&error)))?;
        let mut vocabulary = Self::default();
        let mut findings = Vec::new();
        for (namespace, content) in json.as_object().into_iter().flatten() {
            let entities = content.get("entityTypes").and_then(|types| types.as_object()).into_iter().flatten();
            for (name, definition) in entities {
                let words: Option<BTreeSet<String>> = definition
                    .get("enum")
                    .and_then(|words| words.as_array())
                    .map(|words| words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect());
                match (namespace.as_str(), name.as_str(), words) {
                    ("", "Group", Some(words)) => vocabulary.groups = words,
                    ("", "Environment", Some(words)) => vocabulary.environments = words,
                    ("", "DataClass", Some(words)) => vocabulary.classes = words,
                    _ => findings.push(foreign(source, name)),
                }
            }
            for kind in ["actions", "commonTypes"] {
                let others = content.get(kind).and_then(|others| others.as_object()).into_iter().flatten();
                findings.extend(others.map(|(name, _)| foreign(source, name)));
            }
        }
        for (name, words) in [
            ("Group", &vocabulary.groups),
            ("Environment", &vocabulary.environments),
            ("DataClass", &vocabulary.classes),
        ] {
            if words.is_empty() && findings.is_empty() {
                findings.push(
                    Finding::in_file(&source.name, format!("`{name}` is missing"))
                        .hint(format!("add `entity {name} enum [\"…\"];`")),
                );
            }
        }
        Findings::new(findings).into_result().map(|()| vocabulary)
    }
}

fn foreign(source: &Source, name: &str) -> Finding {
    let offset = source.text.find(name).unwrap_or_default();
    Finding::at(source, offset, format!("`{name}` does not belong here")).hint(
        "site.cedarschema holds `entity Group enum […]`, `entity Environment enum […]` and `entity DataClass enum […]`",
    )
}
