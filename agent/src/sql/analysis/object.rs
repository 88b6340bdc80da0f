//! Objects by their type, as DROP, ALTER and COMMENT name them.

use pg_query::{
    NodeEnum,
    protobuf::{DropBehavior, DropStmt, Node, ObjectType, RangeVar},
};

use super::{Analysis, Effect, strings, tag::Tags};
use crate::{request::sql::Operation, sql::StatementKind};

/// What policy tells apart among the types of objects.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Object {
    Table,
    /// A column, constraint, trigger, rule or policy: its name's last part is its own.
    PartOfTable,
    Schema,
    Database,
    Role,
    Other,
}

impl Object {
    pub const fn of(kind: ObjectType) -> Self {
        match kind {
            ObjectType::ObjectTable | ObjectType::ObjectForeignTable => Self::Table,
            ObjectType::ObjectColumn
            | ObjectType::ObjectDefault
            | ObjectType::ObjectTabconstraint
            | ObjectType::ObjectTrigger
            | ObjectType::ObjectRule
            | ObjectType::ObjectPolicy => Self::PartOfTable,
            ObjectType::ObjectSchema => Self::Schema,
            ObjectType::ObjectDatabase => Self::Database,
            ObjectType::ObjectRole => Self::Role,
            ObjectType::Undefined
            | ObjectType::ObjectAccessMethod
            | ObjectType::ObjectAggregate
            | ObjectType::ObjectAmop
            | ObjectType::ObjectAmproc
            | ObjectType::ObjectAttribute
            | ObjectType::ObjectCast
            | ObjectType::ObjectCollation
            | ObjectType::ObjectConversion
            | ObjectType::ObjectDefacl
            | ObjectType::ObjectDomain
            | ObjectType::ObjectDomconstraint
            | ObjectType::ObjectEventTrigger
            | ObjectType::ObjectExtension
            | ObjectType::ObjectFdw
            | ObjectType::ObjectForeignServer
            | ObjectType::ObjectFunction
            | ObjectType::ObjectIndex
            | ObjectType::ObjectLanguage
            | ObjectType::ObjectLargeobject
            | ObjectType::ObjectMatview
            | ObjectType::ObjectOpclass
            | ObjectType::ObjectOperator
            | ObjectType::ObjectOpfamily
            | ObjectType::ObjectParameterAcl
            | ObjectType::ObjectProcedure
            | ObjectType::ObjectPublication
            | ObjectType::ObjectPublicationNamespace
            | ObjectType::ObjectPublicationRel
            | ObjectType::ObjectRoutine
            | ObjectType::ObjectSequence
            | ObjectType::ObjectSubscription
            | ObjectType::ObjectStatisticExt
            | ObjectType::ObjectTablespace
            | ObjectType::ObjectTransform
            | ObjectType::ObjectTsconfiguration
            | ObjectType::ObjectTsdictionary
            | ObjectType::ObjectTsparser
            | ObjectType::ObjectTstemplate
            | ObjectType::ObjectType
            | ObjectType::ObjectUserMapping
            | ObjectType::ObjectView => Self::Other,
        }
    }
}

impl Analysis<'_> {
    /// RENAME, OWNER TO, SET SCHEMA: one object, by a relation or by a list of names.
    pub(super) fn alter_object(
        &mut self,
        kind: ObjectType,
        relation: Option<&RangeVar>,
        object: Option<&Node>,
    ) -> Effect {
        self.touch_object(Tags::of(kind).alter, kind, relation, object)
    }

    /// The same for COMMENT and SECURITY LABEL.
    pub(super) fn touch_object(
        &mut self,
        verb: &'static str,
        kind: ObjectType,
        relation: Option<&RangeVar>,
        object: Option<&Node>,
    ) -> Effect {
        self.level.verb = verb;
        match Object::of(kind) {
            Object::Table => {
                self.altered(relation.cloned().or_else(|| table_name(object, 0)));
            }
            Object::PartOfTable => {
                let column = if kind == ObjectType::ObjectColumn { names(object).pop() } else { None };
                let access = self.altered(relation.cloned().or_else(|| table_name(object, 1)));
                if let (Some(access), Some(column)) = (access, column) {
                    self.name_column(access, &column);
                }
            }
            Object::Schema => self.on_database(Operation::AlterSchema),
            Object::Role => self.on_database(Operation::AlterRole),
            Object::Database => match names(object).pop() {
                Some(name) => self.on_named_database(Operation::AlterDatabase, name),
                None => self.on_database(Operation::AlterDatabase),
            },
            Object::Other => self.on_database(Operation::AlterObject),
        }
        Effect::silent(StatementKind::Define, verb)
    }

    fn altered(&mut self, table: Option<RangeVar>) -> Option<usize> {
        match table {
            Some(table) => self.definition(&table, Operation::AlterTable),
            None => {
                self.unknown("the table of an ALTER is not understood");
                None
            }
        }
    }

    /// DROP, of every name in its list.
    pub(super) fn drop_objects(&mut self, drop: &DropStmt) -> Effect {
        let kind = Object::of(drop.remove_type());
        let verb = Tags::of(drop.remove_type()).drop;
        self.level.verb = verb;
        // What depends on it may be everybody's, even where it is temporary: a function that takes its rows.
        self.found.reaches_further |= drop.behavior() == DropBehavior::DropCascade;
        for object in &drop.objects {
            match kind {
                Object::Table => match table_name(Some(object), 0) {
                    Some(table) => {
                        self.definition(&table, Operation::DropTable);
                    }
                    None => self.unknown("the name of a table to drop is not understood"),
                },
                Object::PartOfTable => {
                    self.on_database(Operation::DropObject);
                    self.altered(table_name(Some(object), 1));
                }
                Object::Schema => self.on_database(Operation::DropSchema),
                Object::Database | Object::Role | Object::Other => self.on_database(Operation::DropObject),
            }
        }
        Effect::silent(StatementKind::Define, verb)
    }
}

/// The parts of an object's name.
fn names(object: Option<&Node>) -> Vec<String> {
    match object.and_then(|object| object.node.as_ref()) {
        Some(NodeEnum::List(list)) => strings(&list.items),
        Some(NodeEnum::String(string)) => vec![string.sval.clone()],
        _ => Vec::new(),
    }
}

/// The table that an object's name starts with, without the last `own` parts.
fn table_name(object: Option<&Node>, own: usize) -> Option<RangeVar> {
    let names = names(object);
    let table = names.get(..names.len().checked_sub(own)?)?;
    let (schema, name, catalogue) = match table {
        [name] => ("", name, ""),
        [schema, name] => (schema.as_str(), name, ""),
        [catalogue, schema, name] => (schema.as_str(), name, catalogue.as_str()),
        [..] => return None,
    };
    Some(RangeVar {
        catalogname: catalogue.to_owned(),
        schemaname: schema.to_owned(),
        relname: name.clone(),
        ..RangeVar::default()
    })
}
