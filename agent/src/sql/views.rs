//! Views: the classes of their columns follow from their queries.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    Catalogue, SessionState, StatementKind,
    analysis::{Analysed, Analysis, Earlier},
    catalogue::{Definition, Names, Relation},
};
use crate::{request::sql, target::Class};

/// Most views that one view is traced through to its tables; what is deeper keeps the classes of all that it can reach.
pub const VIEW_DEPTH_MAX: usize = 16;

/// What one column of a view holds.
type Traced = Option<(Vec<Class>, bool)>;

impl Catalogue {
    /// Narrows the classes of each view's columns from those of all that the view can reach to those of what the column
    /// is made of.
    ///
    /// Columns whose origin is not known keep what they have. Each round is right about views of tables, then about
    /// views of those.
    pub fn trace_views(self) -> Self {
        if self.definitions.is_empty() || self.relations.values().all(|relation| !relation.classified) {
            return self;
        }
        traced(self)
    }
}

fn traced(catalogue: Catalogue) -> Catalogue {
    let mut names = Names::new(catalogue);
    for _ in 0..VIEW_DEPTH_MAX {
        let known = names.catalogue.definitions.iter();
        let views: Vec<(u32, Vec<Traced>)> =
            known.filter_map(|(oid, definition)| Some((*oid, columns(&names, *oid, definition)?))).collect();
        let mut catalogue = Arc::unwrap_or_clone(names.catalogue);
        let mut changed = false;
        for (oid, columns) in views {
            let Some(relation) = catalogue.relations.get_mut(&oid) else { continue };
            changed |= apply(relation, columns);
        }
        names = Names::new(catalogue);
        if !changed {
            break;
        }
    }
    Arc::unwrap_or_clone(names.catalogue)
}

/// What each column of a view holds; `None`: the query is not understood.
fn columns(names: &Names, oid: u32, definition: &Definition) -> Option<Vec<Traced>> {
    let relation = names.catalogue.relations.get(&oid)?;
    let parsed = pg_query::parse(&definition.query, 0).ok()?.protobuf.stmts;
    let [query] = parsed.as_slice() else { return None };
    let (state, earlier) = (SessionState::default(), Earlier::default());
    let Analysed { statement, footprint, .. } =
        Analysis::new(names, &state, &earlier).for_later().run(query.stmt.as_deref());
    if statement.kind != StatementKind::Select
        || footprint.sql().any(|access| access.operation == sql::Operation::Unknown)
    {
        return None;
    }
    let outputs = statement.outputs.filter(|outputs| outputs.len() == relation.columns.len())?;
    let traced = relation.columns.iter().zip(outputs).map(|(column, output)| {
        let own = definition.own.get(&column.number).into_iter().flatten().cloned();
        let classes: BTreeSet<Class> = own.chain(output.classes).collect();
        (!output.opaque).then(|| (classes.into_iter().collect(), output.computed))
    });
    Some(traced.collect())
}

fn apply(relation: &mut Relation, columns: Vec<Traced>) -> bool {
    let mut changed = false;
    for (column, traced) in relation.columns.iter_mut().zip(columns) {
        let Some((classes, computed)) = traced else { continue };
        changed |= (&column.classes, column.computed) != (&classes, computed);
        (column.classes, column.computed) = (classes, computed);
    }
    relation.classified = relation.columns.iter().any(|column| !column.classes.is_empty());
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop(queries: &[(&str, &[&str], &str)]) -> Catalogue {
        let pii = |name: &str| Class::from(name);
        let columns = vec![
            ("id".to_owned(), Vec::new()),
            ("email".to_owned(), vec![pii("email")]),
            ("ssn".to_owned(), vec![pii("ssn")]),
        ];
        let mut tables = vec![("public".to_owned(), "customers".to_owned(), columns)];
        // As a survey leaves them: every column of a view may hold all that the view can reach.
        tables.extend(queries.iter().map(|(name, columns, _)| {
            let columns = columns.iter().map(|column| ((*column).to_owned(), vec![pii("email"), pii("ssn")]));
            ("public".to_owned(), (*name).to_owned(), columns.collect())
        }));
        let mut catalogue = Catalogue::from_tables("shop", &["pg_catalog", "public"], tables);
        for (name, _, query) in queries {
            let view = catalogue.relations.values_mut().find(|relation| relation.name == *name).unwrap();
            view.columns.iter_mut().for_each(|column| column.computed = true);
            let definition = Definition { query: (*query).to_owned(), own: Default::default() };
            catalogue.definitions.insert(view.oid, definition);
        }
        catalogue.trace_views()
    }

    fn column<'c>(catalogue: &'c Catalogue, view: &str, name: &str) -> (Vec<&'c str>, bool) {
        let relation = catalogue.relations.values().find(|relation| relation.name == view).unwrap();
        let column = relation.columns.iter().find(|column| column.name == name).unwrap();
        (column.classes.iter().map(|class| class.0.as_ref()).collect(), column.computed)
    }

    #[test]
    fn a_views_columns_have_the_classes_of_what_they_are_made_of() {
        let catalogue = shop(&[
            ("outer_view", &["a", "b", "c"], "SELECT i.id, i.mail, i.digits FROM inner_view i"),
            ("inner_view", &["id", "mail", "digits"], "SELECT id, email, left(ssn, 4) FROM customers"),
        ]);
        for (view, columns) in [("inner_view", ["id", "mail", "digits"]), ("outer_view", ["a", "b", "c"])] {
            let [id, mail, digits] = columns.map(|name| column(&catalogue, view, name));
            assert_eq!(id, (vec![], false), "{view}");
            assert_eq!(mail, (vec!["email"], false), "{view}");
            assert_eq!(digits, (vec!["ssn"], true), "{view}");
        }
    }

    #[test]
    fn predicates_on_a_view_are_those_on_what_it_shows() {
        let catalogue =
            shop(&[("contacts", &["id", "contact"], "SELECT id,\n    email AS contact\n   FROM customers;")]);
        assert_eq!(column(&catalogue, "contacts", "contact"), (vec!["email"], false));
        let classifier = crate::sql::Classifier::new(catalogue);
        let text = bytes::Bytes::from_static(b"select id from contacts where contact like 'ada%'");
        let classified = classifier.classify(&text, &SessionState::default());
        assert_eq!(classified.footprint.predicates.len(), 1, "{classified:?}");
    }

    #[test]
    fn what_cannot_be_traced_keeps_the_classes_of_all_that_it_may_reach() {
        let catalogue = shop(&[
            ("one", &["a", "b"], "SELECT id, unheard_of(id) FROM customers"),
            ("two", &["a"], "SELECT id FROM nowhere"),
            ("three", &["a"], "not a query"),
        ]);
        assert_eq!(column(&catalogue, "one", "a"), (vec![], false));
        for (view, name) in [("one", "b"), ("two", "a"), ("three", "a")] {
            assert_eq!(column(&catalogue, view, name), (vec!["email", "ssn"], true), "{view}");
        }
    }
}
