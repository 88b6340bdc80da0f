//! SELECT, VALUES, set operations and WITH.

use pg_query::{
    NodeEnum,
    protobuf::{
        CommonTableExpr, IntoClause, LimitOption, LockingClause, Node, RangeVar, SelectStmt, SetOperation, WithClause,
        a_const::Val,
    },
};

use super::{
    Analysis, Level,
    flow::{Flow, Row, Slot},
    from::names,
    predicate::chooses,
    scope::Scope,
    strings,
};
use crate::request::{PredicateKind, sql::Operation};

/// Most rounds in which recursive queries are walked; each adds what flows one step further.
const RECURSION_ROUNDS_MAX: usize = 4;

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
        let level = Level {
            verb,
            has_where: chooses(select.where_clause.as_deref()),
            has_limit: is_limited(select),
            limit: limit(select),
        };
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
        self.sort(&select.sort_clause, Some(&row), &scope);
        for limit in [&select.limit_count, &select.limit_offset] {
            let flow = self.maybe(limit, &scope);
            self.decides(PredicateKind::Filter, &flow);
        }
        for lock in &select.locking_clause {
            match &lock.node {
                Some(NodeEnum::LockingClause(lock)) => self.locking(lock, select, &scope),
                _ => self.unknown("a locking clause is not understood"),
            }
        }
        match into_clause(select) {
            Some(into) => self.select_into(into, row),
            None => row,
        }
    }

    fn select_simple(&mut self, select: &SelectStmt, scope: &mut Scope<'_>) -> Row {
        self.sources(&select.from_clause, scope);
        self.condition(&select.where_clause, scope);
        let row = self.targets(&select.target_list, scope);
        self.numbers(&select.distinct_clause);
        self.numbers(&select.group_clause);
        // DISTINCT without expressions is a list of one absent node.
        if select.distinct_clause.iter().any(|node| node.node.is_none()) {
            row.flows().for_each(|flow| self.decides(PredicateKind::Grouping, flow));
        } else {
            self.group(&select.distinct_clause, Some(&row), scope);
        }
        self.group(&select.group_clause, Some(&row), scope);
        self.condition(&select.having_clause, scope);
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
        let kind = match select.op() {
            SetOperation::SetopUnion if select.all => return row,
            SetOperation::SetopUnion => PredicateKind::Grouping,
            _ => PredicateKind::Filter,
        };
        row.flows().for_each(|flow| self.decides(kind, flow));
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

    /// Recursive queries see themselves and each other: their rows are walked until nothing new flows.
    ///
    /// A query's first arm says how many columns it has, as on the server. Where rounds run out, every name may
    /// hold all that flows into any of them.
    fn recursive(&mut self, queries: &[&CommonTableExpr], scope: &mut Scope<'_>) {
        let known = scope.queries.len();
        let assume = |scope: &mut Scope<'_>, rows: Vec<Row>| {
            scope.queries.truncate(known);
            scope.queries.extend(queries.iter().map(|query| query.ctename.clone()).zip(rows));
        };
        assume(scope, queries.iter().map(|_| Row::unknown(Flow::default())).collect());
        let named = self.relations;
        let mut rows: Vec<Row> = queries.iter().map(|query| self.first_arm(query, scope)).collect();
        for _ in 0..RECURSION_ROUNDS_MAX {
            // Each round walks the same text again.
            self.relations = named;
            assume(scope, rows.clone());
            let next: Vec<Row> = queries.iter().map(|query| self.with_query(query, scope)).collect();
            let stable = next.iter().zip(&rows).all(|(next, row)| next.flows().eq(row.flows()));
            rows = next;
            if stable {
                assume(scope, rows);
                return;
            }
        }
        let mut all = Flow::default();
        rows.iter().for_each(|row| all.absorb(&row.whole()));
        assume(scope, queries.iter().map(|_| Row::unknown(all.clone())).collect());
    }

    fn first_arm(&mut self, query: &CommonTableExpr, scope: &Scope<'_>) -> Row {
        match query.ctequery.as_ref().and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::SelectStmt(select)) if let Some(first) = &select.larg => {
                let mut with = Scope::inside(scope);
                self.with(select.with_clause.as_ref(), &mut with);
                self.select(first, &with).detached().rename(&strings(&query.aliascolnames))
            }
            _ => self.with_query(query, scope),
        }
    }

    fn with_query(&mut self, query: &CommonTableExpr, scope: &Scope<'_>) -> Row {
        let node = query.ctequery.as_ref().and_then(|node| node.node.as_ref());
        self.found.writes_within |= !matches!(node, Some(NodeEnum::SelectStmt(_)));
        let row = match node {
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
        for (name, table) in tables(&select.from_clause) {
            let is_query = table.schemaname.is_empty() && scope.query(&table.relname).is_some();
            if !is_query && (named.is_empty() || named.iter().any(|known| known == name)) {
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
                    self.found.remarks.numbers_matter = true;
                }
                _ => {}
            }
        }
    }
}

/// INTO, which stands in the first arm of set operations and means the answer of all arms.
pub fn into_clause(select: &SelectStmt) -> Option<&IntoClause> {
    std::iter::successors(Some(select), |select| select.larg.as_deref())
        .find_map(|select| select.into_clause.as_deref())
}

/// Whether LIMIT bounds the answer, as LIMIT ALL does not.
fn is_limited(select: &SelectStmt) -> bool {
    match select.limit_count.as_ref().map(|limit| &limit.node) {
        Some(Some(NodeEnum::AConst(constant))) => !constant.isnull,
        Some(_) => true,
        None => false,
    }
}

/// The LIMIT, where it is a constant that bounds the rows: WITH TIES may bring more.
fn limit(select: &SelectStmt) -> Option<i64> {
    let Some(NodeEnum::AConst(constant)) = &select.limit_count.as_ref()?.node else { return None };
    match (&constant.val, select.limit_option()) {
        (Some(Val::Ival(count)), LimitOption::Count) => Some(count.ival.into()),
        _ => None,
    }
}

fn added_column(name: &str, flow: &Flow) -> Slot {
    Slot { name: Some(name.into()), flow: flow.clone(), origin: None }
}

/// The tables of a FROM clause, those of joins and sub-queries included, each with the name that OF knows it by.
fn tables(from: &[Node]) -> Vec<(&str, &RangeVar)> {
    let mut found = Vec::new();
    let mut pending: Vec<(Option<&str>, &Node)> = from.iter().map(|node| (None, node)).collect();
    while let Some((around, node)) = pending.pop() {
        match &node.node {
            Some(NodeEnum::RangeVar(table)) => {
                let own = table.alias.as_ref().map_or(&table.relname, |alias| &alias.aliasname);
                found.push((around.unwrap_or(own), table));
            }
            Some(NodeEnum::JoinExpr(join)) => {
                let sides = join.larg.as_deref().into_iter().chain(join.rarg.as_deref());
                pending.extend(sides.map(|side| (around, side)));
            }
            Some(NodeEnum::RangeTableSample(sample)) => {
                pending.extend(sample.relation.as_deref().map(|relation| (around, relation)));
            }
            Some(NodeEnum::RangeSubselect(query)) => {
                let name = around.or(query.alias.as_ref().map(|alias| alias.aliasname.as_str()));
                if let Some(Some(NodeEnum::SelectStmt(select))) = query.subquery.as_ref().map(|node| &node.node) {
                    pending.extend(select.from_clause.iter().map(|node| (name, node)));
                }
            }
            _ => {}
        }
    }
    found
}
