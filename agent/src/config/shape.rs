//! Keys and types: what the schema can tell, checked on the tree of the file, so that every mistake has its place.

use std::ops::Range;

use serde_json::Value as Schema;
use serde_spanned::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::mistake::Mistake;

/// Checks a file's tree and takes out what is wrong, so that the rest can be checked further.
pub fn check(tree: &mut Spanned<DeTable<'_>>, schema: &Schema, mistakes: &mut Vec<Mistake>) {
    let span = tree.span();
    Check { mistakes }.table(tree.get_mut(), span, schema);
}

struct Check<'a> {
    mistakes: &'a mut Vec<Mistake>,
}

impl Check<'_> {
    /// Whether a value can be used; what cannot has been reported.
    fn value(&mut self, value: &mut Spanned<DeValue<'_>>, schema: &Schema) -> bool {
        let span = value.span();
        let Some(schema) = branch(schema, value.get_ref()) else {
            self.mistakes.push(mismatch(span, value.get_ref(), schema));
            return false;
        };
        match value.get_mut() {
            DeValue::Table(table) => self.table(table, span, schema),
            DeValue::Array(array) => {
                let items = schema.get("items").unwrap_or(&Schema::Null);
                let all = std::mem::replace(array, DeArray::new()).into_iter();
                *array = all.filter_map(|mut item| self.value(&mut item, items).then_some(item)).collect();
                true
            }
            DeValue::String(text) => self.text(text, span, schema),
            DeValue::Integer(number) => {
                let parsed = i128::from_str_radix(number.as_str(), number.radix()).ok();
                self.number(parsed, span, schema)
            }
            DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => true,
        }
    }

    fn table(&mut self, table: &mut DeTable<'_>, span: Range<usize>, schema: &Schema) -> bool {
        let properties = schema.get("properties").and_then(Schema::as_object);
        let property = |key: &str| properties.and_then(|properties| properties.get(key));
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Schema::as_array)
            .into_iter()
            .flatten()
            .filter_map(Schema::as_str)
            .collect();

        for key in required.iter().filter(|key| !table.contains_key(**key)) {
            let missing = Mistake::new(span.clone(), format!("missing key `{key}`"));
            self.mistakes.push(match property(key).and_then(description) {
                Some(meaning) => missing.hint(format!("`{key}`: {meaning}")),
                None => missing,
            });
        }
        for (key, mut value) in std::mem::take(table) {
            let Some(schema) = property(key.get_ref()).or(others) else {
                let valid = properties.into_iter().flat_map(|properties| properties.keys().map(String::as_str));
                self.mistakes.push(unknown_key(&key, &valid.collect::<Vec<_>>()));
                continue;
            };
            if self.value(&mut value, schema) {
                table.insert(key, value);
            }
        }
        required.iter().all(|key| table.contains_key(*key))
    }

    fn text(&mut self, text: &str, span: Range<usize>, schema: &Schema) -> bool {
        let valid = constants(schema);
        if valid.is_empty() || valid.contains(&text) {
            return true;
        }
        self.mistakes
            .push(Mistake::new(span, format!("unknown value: `{text}`")).expected(one_of(&valid)).suggest(text, valid));
        false
    }

    fn number(&mut self, number: Option<i128>, span: Range<usize>, schema: &Schema) -> bool {
        let limit = |keyword| schema.get(keyword).and_then(Schema::as_u64).map(i128::from);
        let (least, most) = (limit("minimum").unwrap_or(0), limit("maximum").unwrap_or(i128::from(i64::MAX)));
        if number.is_some_and(|number| (least..=most).contains(&number)) {
            return true;
        }
        let came = number.map_or("too many digits".to_owned(), |number| format!("`{number}`"));
        self.mistakes
            .push(Mistake::new(span, format!("number out of range: {came}")).expected(format!("{least} to {most}")));
        false
    }
}

/// The part of a schema that is about values of this type; `None`: there is none.
fn branch<'s>(schema: &'s Schema, value: &DeValue<'_>) -> Option<&'s Schema> {
    for keyword in ["anyOf", "oneOf"] {
        if let Some(branches) = schema.get(keyword).and_then(Schema::as_array) {
            if branches.iter().all(|branch| branch.get("const").is_some()) {
                return matches!(value, DeValue::String(_)).then_some(schema);
            }
            return branches.iter().find_map(|one| branch(one, value));
        }
    }
    let kind = schema.get("type").and_then(Schema::as_str)?;
    (kind == type_of(value)).then_some(schema)
}

/// The strings that are valid, where the schema lists them.
fn constants(schema: &Schema) -> Vec<&str> {
    let listed = schema.get("enum").and_then(Schema::as_array).into_iter().flatten();
    let described = schema.get("oneOf").and_then(Schema::as_array).into_iter().flatten();
    listed.chain(described.filter_map(|branch| branch.get("const"))).filter_map(Schema::as_str).collect()
}

fn mismatch(span: Range<usize>, value: &DeValue<'_>, schema: &Schema) -> Mistake {
    let mut kinds = Vec::new();
    accepted(schema, &mut kinds);
    let mistake = Mistake::new(span, format!("wrong type: {}", article(type_of(value)))).expected(kinds.join(" or "));
    match description(schema) {
        Some(meaning) => mistake.hint(meaning),
        None => mistake,
    }
}

fn accepted(schema: &Schema, kinds: &mut Vec<&'static str>) {
    for keyword in ["anyOf", "oneOf"] {
        for branch in schema.get(keyword).and_then(Schema::as_array).into_iter().flatten() {
            accepted(branch, kinds);
        }
    }
    let kind = schema.get("type").and_then(Schema::as_str).map(article);
    if let Some(kind) = kind.filter(|kind| !kinds.contains(kind)) {
        kinds.push(kind);
    }
}

fn unknown_key(key: &Spanned<std::borrow::Cow<'_, str>>, valid: &[&str]) -> Mistake {
    let name = key.get_ref();
    let mistake = Mistake::new(key.span(), format!("unknown key `{}`", name.escape_debug())).expected(one_of(valid));
    if valid.contains(&"source") && ["password", "secret", "token"].contains(&name.as_ref()) {
        return mistake.hint("a secret stands in a file of its own: `source = { file = \"…\" }`");
    }
    mistake.suggest(name, valid.iter().copied())
}

/// The first sentence of what a key is for.
fn description(schema: &Schema) -> Option<&str> {
    schema.get("description").and_then(Schema::as_str).and_then(|text| text.lines().next())
}

fn one_of(valid: &[&str]) -> String {
    let quoted: Vec<String> = valid.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [only] => only.clone(),
        _ => format!("one of {}", quoted.join(", ")),
    }
}

/// The type by JSON Schema's name.
fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

/// The type by TOML's name.
fn article(kind: &str) -> &'static str {
    match kind {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a float",
        "boolean" => "a boolean",
        "array" => "an array",
        "object" => "a table",
        _ => "a date",
    }
}
