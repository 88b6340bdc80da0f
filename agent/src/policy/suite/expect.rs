//! What a test expects of a decision.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    policy::{Decision, Effect, annotation::METHODS},
    target::Class,
};

/// Either one word (`deny`) or a map; what is left out is not compared.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Expect {
    pub effect: Effect,
    /// Rules that must be among those that decided.
    by: Vec<String>,
    /// Text that the message must contain.
    message: Option<String>,
    /// Every mask by class, and no other.
    masks: Option<BTreeMap<String, String>>,
    /// Every limit and its bound, and no other.
    limits: Option<BTreeMap<String, String>>,
    /// Every group that could approve, in order.
    groups: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    decision: String,
    #[serde(default)]
    by: Vec<String>,
    message: Option<String>,
    masks: Option<BTreeMap<String, String>>,
    limits: Option<BTreeMap<String, String>>,
    groups: Option<Vec<String>>,
}

impl Expect {
    /// What is different, in words; nothing when the decision is as expected.
    pub fn compare(&self, decision: &Decision) -> Vec<String> {
        let mut differences = Vec::new();
        let mut differ = |what: &str, expected: String, came: String| {
            if expected != came {
                differences.push(format!("{what}: expected {expected}, got {came}"));
            }
        };
        differ("decision", self.effect.name().to_owned(), decision.effect.name().to_owned());
        if let Some(masks) = &self.masks {
            let came = decision.obligations.masks.iter().map(|(Class(class), method)| {
                let name = METHODS.iter().find(|(_, known)| known == method).map_or("?", |(name, _)| name);
                (class.to_string(), name.to_owned())
            });
            differ("masks", format!("{masks:?}"), format!("{:?}", came.collect::<BTreeMap<_, _>>()));
        }
        if let Some(limits) = &self.limits {
            let came = decision.obligations.limits.described().map(|(limit, most)| (limit.name().to_owned(), most));
            differ("limits", format!("{limits:?}"), format!("{:?}", came.collect::<BTreeMap<_, _>>()));
        }
        if let Some(groups) = &self.groups {
            let came = decision.obligations.approval.iter().flat_map(|terms| terms.groups.iter().flatten());
            let came: Vec<String> = came.map(ToString::to_string).collect();
            differ("groups", format!("{groups:?}"), format!("{came:?}"));
        }
        let rules: Vec<String> = decision.rules.iter().map(ToString::to_string).collect();
        for rule in self.by.iter().filter(|rule| !rules.contains(rule)) {
            differences.push(format!("by: expected {rule}, got {rules:?}"));
        }
        if let Some(text) = self.message.as_ref().filter(|text| !decision.message.contains(*text)) {
            differences.push(format!("message: expected \"{text}\" in \"{}\"", decision.message));
        }
        differences
    }
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExpectVisitor)
    }
}

struct ExpectVisitor;

impl<'de> Visitor<'de> for ExpectVisitor {
    type Value = Expect;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`allow`, `approval`, `deny`, or a map with `decision`")
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Expect, E> {
        Ok(Expect { effect: effect(word)?, by: Vec::new(), message: None, masks: None, limits: None, groups: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Expect, A::Error> {
        let fields = Fields::deserialize(MapAccessDeserializer::new(map))?;
        let Fields { decision, by, message, masks, limits, groups } = fields;
        Ok(Expect { effect: effect(&decision)?, by, message, masks, limits, groups })
    }
}

fn effect<E: de::Error>(word: &str) -> Result<Effect, E> {
    let all = [Effect::Allow, Effect::RequireApproval, Effect::Deny];
    all.into_iter()
        .find(|effect| effect.name() == word)
        .ok_or_else(|| E::unknown_variant(word, &["allow", "approval", "deny"]))
}
