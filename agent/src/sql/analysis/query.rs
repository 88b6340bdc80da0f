//! SELECT, VALUES, set operations and WITH.

use pg_query::{
    NodeEnum,
    protobuf::{CommonTableExpr, LockingClause, Node, SelectStmt, SetOperation, WithClause, a_const::Val},
};

use super::{
    Analysis, Level,
    flow::{Flow, Row, Slot},
    from::names,
    scope::Scope,
    strings,
};
use crate::request::sql::Operation;

impl Analysis<'_> {
    /// Walks a query and gives its columns.
    pub(super) fn select(&mut self, select: &SelectStmt, outer: &Scope<'_>) -> Row {
        if !self.enter() {
            self.leave();
            return Row::unknown(Flow::opaque());
        }
        // In EXPLAIN, COPY or DECLARE the enclosing command names what is done.
        let verb = match self.level.verb {
            verb @ ("EXPLAIN" | "COPY" | "DECLARE CURSOR") => verb,
            _ => "SELECT",
        };
        let level = Level { verb, has_where: select.where_clause.is_some(), has_limit: select.limit_count.is_some() };
        let row = self.at_level(level, |analysis| analysis.select_level(select, outer));
        self.leave();
        row
    }

    fn select_level(&mut self, select: &SelectStmt, outer: &Scope<'_>) -> Row {
        let mut with = Scope::inside(outer);
        self.with(select.with_clause.as_ref(), &mut with);
        let mut scope = Scope::inside(&with);
        let row = match select.op() {
            SetOperation::SetopNone if select.values_lists.is_empty() => self.select_simple(select, &mut scope),
            SetOperation::SetopNone => self.value_lists(&select.values_lists, &scope),
            SetOperation::SetopUnion | SetOperation::SetopIntersect | SetOperation::SetopExcept => {
                self.set_operation(select, &scope)
            }
            SetOperation::Undefined => {
                self.unknown("a set operation is not understood");
                Row::unknown(Flow::opaque())
            }
        };
        self.numbers(&select.sort_clause);
        self.sort(&select.sort_clause, &scope);
        self.maybe(&select.limit_count, &scope);
        self.maybe(&select.limit_offset, &scope);
        for lock in &select.locking_clause {
            match &lock.node {
                Some(NodeEnum::LockingClause(lock)) => self.locking(lock, select, &scope),
                _ => self.unknown("a locking clause is not understood"),
            }
        }
        match &select.into_clause {
            Some(into) => self.into_clause(into, row),
            None => row,
        }
    }

    fn select_simple(&mut self, select: &SelectStmt, scope: &mut Scope<'_>) -> Row {
        self.from_clause(&select.from_clause, scope);
        self.maybe(&select.where_clause, scope);
        let row = self.targets(&select.target_list, scope);
        self.numbers(&select.distinct_clause);
        self.numbers(&select.group_clause);
        // DISTINCT without expressions is a list of one absent node.
        self.values(&select.distinct_clause, scope);
        self.values(&select.group_clause, scope);
        self.maybe(&select.having_clause, scope);
        self.values(&select.window_clause, scope);
        row
    }

    fn set_operation(&mut self, select: &SelectStmt, scope: &Scope<'_>) -> Row {
        let mut row = match &select.larg {
            Some(left) => self.select(left, scope),
            None => Row::unknown(Flow::opaque()),
        };
        let right = match &select.rarg {
            Some(right) => self.select(right, scope),
            None => Row::unknown(Flow::opaque()),
        };
        row.unite(&right);
        row
    }

    /// VALUES: rows of expressions, whose columns are called `column1`, `column2` …
    pub(super) fn value_lists(&mut self, lists: &[Node], scope: &Scope<'_>) -> Row {
        let mut flows: Vec<Flow> = Vec::new();
        for list in lists {
            let Some(NodeEnum::List(list)) = &list.node else {
                self.unknown("a row of VALUES is not understood");
                continue;
            };
            for (position, node) in list.items.iter().enumerate() {
                let flow = self.value(node, scope);
                match flows.get_mut(position) {
                    Some(known) => known.absorb(&flow),
                    None => flows.push(flow),
                }
            }
        }
        let slots = (1..).zip(flows).map(|(number, flow)| {
            let name = Some(format!("column{number}").into());
            Slot { name, flow, origin: None }
        });
        Row { slots: slots.collect(), rest: None }
    }

    /// Walks the queries of WITH and makes their names known. Each sees those before it.
    pub(super) fn with(&mut self, with: Option<&WithClause>, scope: &mut Scope<'_>) {
        let Some(with) = with else { return };
        let queries: Vec<&CommonTableExpr> = with
            .ctes
            .iter()
            .filter_map(|node| match &node.node {
                Some(NodeEnum::CommonTableExpr(query)) => Some(&**query),
                _ => None,
            })
            .collect();
        if queries.len() != with.ctes.len() {
            self.unknown("a query of WITH is not understood");
        }
        if with.recursive {
            self.recursive(&queries, scope);
            return;
        }
        for query in queries {
            let row = self.with_query(query, scope);
            scope.queries.push((query.ctename.clone(), row));
        }
    }

    /// Recursive queries see themselves and each other. What flows into any of them from tables is found with
    /// every name empty; after that every name may hold all of it.
    fn recursive(&mut self, queries: &[&CommonTableExpr], scope: &mut Scope<'_>) {
        let known = scope.queries.len();
        let assume = |scope: &mut Scope<'_>, flow: &Flow| {
            scope.queries.truncate(known);
            scope.queries.extend(queries.iter().map(|query| (query.ctename.clone(), Row::unknown(flow.clone()))));
        };
        assume(scope, &Flow::default());
        let mut all = Flow::default();
        for query in queries {
            all.absorb(&self.with_query(query, scope).whole());
        }
        assume(scope, &all);
        let rows: Vec<Row> = queries.iter().map(|query| self.with_query(query, scope)).collect();
        scope.queries.truncate(known);
        scope.queries.extend(queries.iter().map(|query| query.ctename.clone()).zip(rows));
    }

    fn with_query(&mut self, query: &CommonTableExpr, scope: &Scope<'_>) -> Row {
        let row = match query.ctequery.as_ref().and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::SelectStmt(select)) => self.select(select, scope),
            Some(NodeEnum::InsertStmt(insert)) => self.insert(insert, scope),
            Some(NodeEnum::UpdateStmt(update)) => self.update(update, scope),
            Some(NodeEnum::DeleteStmt(delete)) => self.delete(delete, scope),
            Some(NodeEnum::MergeStmt(merge)) => self.merge(merge, scope),
            _ => {
                self.unknown("a query of WITH is not understood");
                Row::unknown(Flow::opaque())
            }
        };
        let mut row = row.detached().rename(&strings(&query.aliascolnames));
        let flow = row.whole();
        if let Some(search) = &query.search_clause {
            row.slots.push(added_column(&search.search_seq_column, &flow));
        }
        if let Some(cycle) = &query.cycle_clause {
            row.slots.push(added_column(&cycle.cycle_mark_column, &Flow::default()));
            row.slots.push(added_column(&cycle.cycle_path_column, &flow));
        }
        row
    }

    /// SELECT … FOR UPDATE locks the tables that it names, or all of its level.
    fn locking(&mut self, lock: &LockingClause, select: &SelectStmt, scope: &Scope<'_>) {
        let named = names(&lock.locked_rels);
        for table in tables(&select.from_clause) {
            let alias = table.alias.as_ref().map_or(&table.relname, |alias| &alias.aliasname);
            let is_query = table.schemaname.is_empty() && scope.query(&table.relname).is_some();
            if !is_query && (named.is_empty() || named.contains(alias)) {
                self.table(table, Operation::Lock);
            }
        }
    }

    /// Notes integers that stand for a column of the answer.
    fn numbers(&mut self, nodes: &[Node]) {
        for node in nodes {
            match &node.node {
                Some(NodeEnum::SortBy(sort)) => self.numbers(sort.node.as_deref().map_or(&[], std::slice::from_ref)),
                Some(NodeEnum::GroupingSet(set)) => self.numbers(&set.content),
                Some(NodeEnum::List(list)) => self.numbers(&list.items),
                Some(NodeEnum::AConst(constant)) if matches!(constant.val, Some(Val::Ival(_))) => {
                    self.remarks.numbers_matter = true;
                }
                _ => {}
            }
        }
    }
}

fn added_column(name: &str, flow: &Flow) -> Slot {
    Slot { name: Some(name.into()), flow: flow.clone(), origin: None }
}

/// The tables of a FROM clause, those of joins included and those of sub-queries not.
fn tables(from: &[Node]) -> Vec<&pg_query::protobuf::RangeVar> {
    let mut found = Vec::new();
    let mut pending: Vec<&Node> = from.iter().collect();
    while let Some(node) = pending.pop() {
        match &node.node {
            Some(NodeEnum::RangeVar(table)) => found.push(table),
            Some(NodeEnum::JoinExpr(join)) => {
                pending.extend(join.larg.as_deref());
                pending.extend(join.rarg.as_deref());
            }
            Some(NodeEnum::RangeTableSample(sample)) => pending.extend(sample.relation.as_deref()),
            _ => {}
        }
    }
    found
}
