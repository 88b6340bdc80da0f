//! MERGE: one table is written by what each WHEN says.

use pg_query::{
    NodeEnum,
    protobuf::{CmdType, MergeStmt, MergeWhenClause, Node},
};

use super::{
    Analysis, Level,
    flow::{Flow, Row},
    from::aliased,
    relation::Touched,
    scope::Scope,
};
use crate::request::sql::Operation;

impl Analysis<'_> {
    pub(super) fn merge(&mut self, merge: &MergeStmt, outer: &Scope<'_>) -> Row {
        let Some(name) = &merge.relation else {
            self.unknown("MERGE without a table is not understood");
            return Row::unknown(Flow::opaque());
        };
        let mut with = Scope::inside(outer);
        // The join decides on the rows, as a WHERE clause does.
        let level = Level { verb: "MERGE", has_where: true, ..Level::default() };
        self.at_level(level, |analysis| {
            analysis.with(merge.with_clause.as_ref(), &mut with);
            let mut scope = Scope::inside(&with);
            let target = analysis.table(name, Operation::Merge);
            analysis.sources(merge.source_relation.as_deref().map_or(&[], std::slice::from_ref), &mut scope);
            scope.items.insert(0, aliased(name, target.row));
            analysis.condition(&merge.join_condition, &scope);
            for node in &merge.merge_when_clauses {
                match &node.node {
                    Some(NodeEnum::MergeWhenClause(when)) => {
                        analysis.condition(&when.condition, &scope);
                        match operation(when) {
                            Some(operation) => {
                                let target = analysis.table(name, operation);
                                analysis.merge_action(when, &target, &scope);
                            }
                            None => analysis.merge_nothing(when),
                        }
                    }
                    _ => analysis.unknown("a clause of MERGE is not understood"),
                }
            }
            let row = analysis.returning(merge.returning_clause.as_ref(), name, &mut scope);
            // `*` stands for the source's columns before the target's, unlike elsewhere.
            if merge.returning_clause.is_some() { Row::unknown(row.whole()) } else { row }
        })
    }

    fn merge_action(&mut self, when: &MergeWhenClause, target: &Touched, scope: &Scope<'_>) {
        match when.command_type() {
            CmdType::CmdUpdate => self.assign(&when.target_list, target, scope),
            CmdType::CmdInsert => {
                self.set_columns(&when.target_list, target);
                let values: &[Node] = &when.values;
                let flow = self.values(values, scope);
                self.found.stored.absorb(&flow);
            }
            CmdType::CmdDelete
            | CmdType::CmdNothing
            | CmdType::CmdSelect
            | CmdType::CmdMerge
            | CmdType::CmdUtility
            | CmdType::CmdUnknown
            | CmdType::Undefined => {}
        }
    }

    fn merge_nothing(&mut self, when: &MergeWhenClause) {
        if when.command_type() != CmdType::CmdNothing {
            self.unknown("an action of MERGE is not understood");
        }
    }
}

fn operation(when: &MergeWhenClause) -> Option<Operation> {
    match when.command_type() {
        CmdType::CmdInsert => Some(Operation::Insert),
        CmdType::CmdUpdate => Some(Operation::Update),
        CmdType::CmdDelete => Some(Operation::Delete),
        CmdType::CmdNothing
        | CmdType::CmdSelect
        | CmdType::CmdMerge
        | CmdType::CmdUtility
        | CmdType::CmdUnknown
        | CmdType::Undefined => None,
    }
}
