//! What stands in FROM, and which columns it gives.

use pg_query::{
    NodeEnum,
    protobuf::{Alias, JoinExpr, Node, RangeFunction, RangeSubselect, RangeTableFunc, RangeTableSample, RangeVar},
};

use super::{
    Analysis,
    flow::{Flow, Row, Slot},
    nodes::{analysed_nodes, clause_nodes, expression_nodes, statement_nodes},
    scope::{Item, Scope},
    strings,
};
use crate::request::{PredicateKind, sql::Operation};

/// What an item of FROM adds to its level.
#[derive(Debug, Default)]
pub struct From {
    items: Vec<Item>,
    /// What `*` stands for.
    star: Row,
}

impl From {
    fn of(item: Item) -> Self {
        Self { star: item.row.clone(), items: vec![item] }
    }

    fn unknown() -> Self {
        Self::of(Item::new("", Row::unknown(Flow::opaque())))
    }
}

impl Analysis<'_> {
    /// Walks a FROM clause and makes its names known.
    pub(super) fn sources(&mut self, nodes: &[Node], scope: &mut Scope<'_>) {
        for node in nodes {
            let from = self.source(node, scope, &[]);
            scope.items.extend(from.items);
            scope.star.append(&from.star);
        }
    }

    /// One item of FROM; `left` is what stands left of it in a join, which LATERAL sees.
    fn source(&mut self, node: &Node, scope: &Scope<'_>, left: &[Item]) -> From {
        if !self.enter() {
            self.leave();
            return From::unknown();
        }
        let from = match &node.node {
            Some(NodeEnum::RangeVar(table)) => From::of(self.range_table(table, scope)),
            Some(NodeEnum::JoinExpr(join)) => self.join(join, scope, left),
            Some(NodeEnum::RangeSubselect(query)) => self.sub_query(query, scope, left),
            Some(NodeEnum::RangeFunction(functions)) => self.functions(functions, scope, left),
            Some(NodeEnum::RangeTableFunc(table)) => self.xml_table(table, scope, left),
            Some(NodeEnum::RangeTableSample(sample)) => self.sample(sample, scope, left),
            Some(NodeEnum::JsonTable(table)) => {
                let row = self.json_table(table, &lateral(scope, left));
                From::of(Item::new(alias_name(table.alias.as_ref()), row))
            }
            Some(expression_nodes!() | statement_nodes!() | clause_nodes!() | analysed_nodes!()) | None => {
                self.unknown("an item of FROM is not understood");
                From::unknown()
            }
        };
        self.step(from.items.iter().map(|item| item.row.slots.len()).sum());
        self.leave();
        from
    }

    fn range_table(&mut self, table: &RangeVar, scope: &Scope<'_>) -> Item {
        let unqualified = table.schemaname.is_empty() && table.catalogname.is_empty();
        let query = unqualified.then(|| scope.query(&table.relname)).flatten();
        let row = match query {
            Some(row) => row.clone(),
            None => self.table(table, Operation::Select).row,
        };
        aliased(table, row)
    }

    fn join(&mut self, join: &JoinExpr, scope: &Scope<'_>, left: &[Item]) -> From {
        let Some((larg, rarg)) = join.larg.as_deref().zip(join.rarg.as_deref()) else {
            self.unknown("a join is not understood");
            return From::unknown();
        };
        let first = self.source(larg, scope, left);
        let mut seen = left.to_vec();
        seen.extend(first.items.iter().cloned());
        let second = self.source(rarg, scope, &seen);
        seen.extend(second.items.iter().cloned());
        self.condition(&join.quals, &lateral(scope, &seen));

        let merged = if join.is_natural { common(&first.star, &second.star) } else { strings(&join.using_clause) };
        let star = self.joined(&first.star, &second.star, &merged, join.is_natural);
        let mut items = first.items;
        items.extend(second.items);
        if let Some(alias) = &join.join_using_alias {
            let slots = star.slots.iter().take(merged.len()).cloned().collect();
            items.push(Item::new(&alias.aliasname, Row { slots, rest: star.rest.clone() }).qualified_only());
        }
        match &join.alias {
            Some(alias) => From::of(Item::new(&alias.aliasname, star.rename(&strings(&alias.colnames)))),
            None => From { items, star },
        }
    }

    /// The columns of a join: those of USING once and first, then the rest of each side.
    fn joined(&mut self, left: &Row, right: &Row, merged: &[String], natural: bool) -> Row {
        let uncertain = |row: &Row| row.rest.is_some() || row.slots.iter().any(|slot| slot.name.is_none());
        if (natural || !merged.is_empty()) && (uncertain(left) || uncertain(right)) {
            self.name_all(left);
            self.name_all(right);
            let whole = left.whole().and(&right.whole());
            self.decides(PredicateKind::Filter, &whole);
            return Row::unknown(whole);
        }
        let is_merged =
            |slot: &Slot| slot.name.as_ref().is_some_and(|name| merged.iter().any(|known| **known == **name));
        let mut row = Row::default();
        for name in merged {
            let mut united: Option<Slot> = None;
            for slot in left.slots.iter().chain(&right.slots) {
                if slot.name.as_deref() == Some(name) {
                    self.name_slot(slot);
                    united.get_or_insert_with(|| slot.clone()).flow.absorb(&slot.flow);
                }
            }
            if let Some(slot) = united {
                self.decides(PredicateKind::Filter, &slot.flow);
                row.slots.push(slot);
            }
        }
        for side in [left, right] {
            row.slots.extend(side.slots.iter().filter(|slot| !is_merged(slot)).cloned());
            if let Some(flow) = &side.rest {
                row.widen(flow);
            }
        }
        row
    }

    fn sub_query(&mut self, query: &RangeSubselect, scope: &Scope<'_>, left: &[Item]) -> From {
        // Without LATERAL a sub-query sees the queries of WITH, and nothing of its own level's FROM.
        let nothing = Scope::default();
        let around = scope.outer.unwrap_or(&nothing);
        let row = match query.subquery.as_ref().and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::SelectStmt(select)) if query.lateral => self.select(select, &lateral(scope, left)),
            Some(NodeEnum::SelectStmt(select)) => self.select(select, around),
            _ => {
                self.unknown("a sub-query in FROM is not understood");
                Row::unknown(Flow::opaque())
            }
        };
        let row = row.detached().rename(&alias_names(query.alias.as_ref()));
        From::of(Item::new(alias_name(query.alias.as_ref()), row))
    }

    /// Functions in FROM: what they give has as many columns as their type, which is not known here.
    fn functions(&mut self, functions: &RangeFunction, scope: &Scope<'_>, left: &[Item]) -> From {
        let mut flow = Flow::default();
        let mut name = String::new();
        for node in &functions.functions {
            // Each is a list of the call and of its column definitions.
            let Some(NodeEnum::List(list)) = &node.node else {
                self.unknown("a function in FROM is not understood");
                continue;
            };
            if let Some(call) = list.items.first() {
                flow.absorb(&self.value(call, &lateral(scope, left)));
                if let Some(NodeEnum::FuncCall(call)) = &call.node {
                    name = strings(&call.funcname).pop().unwrap_or_default();
                }
            }
        }
        let alias = alias_name(functions.alias.as_ref());
        From::of(Item::new(if alias.is_empty() { &name } else { alias }, Row::unknown(flow)))
    }

    /// XMLTABLE.
    fn xml_table(&mut self, table: &RangeTableFunc, scope: &Scope<'_>, left: &[Item]) -> From {
        let seen = lateral(scope, left);
        let mut flow = self.maybe(&table.docexpr, &seen).and(&self.maybe(&table.rowexpr, &seen));
        flow.absorb(&self.values(&table.namespaces, &seen));
        for column in &table.columns {
            match &column.node {
                Some(NodeEnum::RangeTableFuncCol(column)) => {
                    flow.absorb(&self.maybe(&column.colexpr, &seen));
                    flow.absorb(&self.maybe(&column.coldefexpr, &seen));
                }
                _ => self.unknown("a column of XMLTABLE is not understood"),
            }
        }
        self.decides(PredicateKind::Filter, &flow);
        From::of(Item::new(alias_name(table.alias.as_ref()), Row::unknown(flow.computed())))
    }

    fn sample(&mut self, sample: &RangeTableSample, scope: &Scope<'_>, left: &[Item]) -> From {
        let flow = self.values(&sample.args, scope).and(&self.maybe(&sample.repeatable, scope));
        self.decides(PredicateKind::Filter, &flow);
        match strings(&sample.method).as_slice() {
            [name] | [.., name] if matches!(name.as_str(), "bernoulli" | "system") => {}
            _ => self.unknown("a sampling method is not understood"),
        }
        match sample.relation.as_deref() {
            Some(relation) => self.source(relation, scope, left),
            None => From::unknown(),
        }
    }
}

/// What LATERAL sees: the items so far of this level and of the joins around it.
fn lateral<'s>(scope: &'s Scope<'s>, left: &[Item]) -> Scope<'s> {
    Scope { items: left.to_vec(), ..Scope::inside(scope) }
}

/// A table under its alias or its own name.
pub fn aliased(table: &RangeVar, row: Row) -> Item {
    match &table.alias {
        Some(alias) => Item::new(&alias.aliasname, row.rename(&strings(&alias.colnames))),
        None => {
            let schema = (!table.schemaname.is_empty()).then(|| table.schemaname.clone());
            Item { schema, ..Item::new(&table.relname, row) }
        }
    }
}

/// The names of tables that FOR UPDATE OF lists.
pub fn names(nodes: &[Node]) -> Vec<String> {
    nodes
        .iter()
        .filter_map(|node| match &node.node {
            Some(NodeEnum::RangeVar(table)) => Some(table.relname.clone()),
            _ => None,
        })
        .collect()
}

fn alias_name(alias: Option<&Alias>) -> &str {
    alias.map_or("", |alias| &alias.aliasname)
}

pub fn alias_names(alias: Option<&Alias>) -> Vec<String> {
    alias.map(|alias| strings(&alias.colnames)).unwrap_or_default()
}

/// The column names that two rows share, for NATURAL.
fn common(left: &Row, right: &Row) -> Vec<String> {
    let has = |row: &Row, name: &str| row.slots.iter().any(|slot| slot.name.as_deref() == Some(name));
    left.slots
        .iter()
        .filter_map(|slot| slot.name.as_deref())
        .filter(|name| has(right, name))
        .map(str::to_owned)
        .collect()
}
