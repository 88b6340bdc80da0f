//! The words of commands, as PostgreSQL's command tags write them (`tcop/cmdtaglist.h`).

use pg_query::protobuf::ObjectType;

/// The command tags of one type of object.
#[derive(Clone, Copy, Debug)]
pub struct Tags {
    pub create: &'static str,
    pub alter: &'static str,
    pub drop: &'static str,
}

macro_rules! tags {
    ($object:literal) => {
        Tags { create: concat!("CREATE ", $object), alter: concat!("ALTER ", $object), drop: concat!("DROP ", $object) }
    };
}

impl Tags {
    pub const fn of(kind: ObjectType) -> Self {
        match kind {
            ObjectType::ObjectAccessMethod => tags!("ACCESS METHOD"),
            ObjectType::ObjectAggregate => tags!("AGGREGATE"),
            ObjectType::ObjectCast => tags!("CAST"),
            ObjectType::ObjectCollation => tags!("COLLATION"),
            ObjectType::ObjectConversion => tags!("CONVERSION"),
            ObjectType::ObjectDatabase => tags!("DATABASE"),
            ObjectType::ObjectDomain => tags!("DOMAIN"),
            ObjectType::ObjectEventTrigger => tags!("EVENT TRIGGER"),
            ObjectType::ObjectExtension => tags!("EXTENSION"),
            ObjectType::ObjectFdw => tags!("FOREIGN DATA WRAPPER"),
            ObjectType::ObjectForeignServer => tags!("SERVER"),
            ObjectType::ObjectForeignTable => tags!("FOREIGN TABLE"),
            ObjectType::ObjectFunction => tags!("FUNCTION"),
            ObjectType::ObjectIndex => tags!("INDEX"),
            ObjectType::ObjectLanguage => tags!("LANGUAGE"),
            ObjectType::ObjectLargeobject => tags!("LARGE OBJECT"),
            ObjectType::ObjectMatview => tags!("MATERIALIZED VIEW"),
            ObjectType::ObjectOpclass => tags!("OPERATOR CLASS"),
            ObjectType::ObjectOperator => tags!("OPERATOR"),
            ObjectType::ObjectOpfamily => tags!("OPERATOR FAMILY"),
            ObjectType::ObjectPolicy => tags!("POLICY"),
            ObjectType::ObjectProcedure => tags!("PROCEDURE"),
            ObjectType::ObjectPublication => tags!("PUBLICATION"),
            ObjectType::ObjectRole => tags!("ROLE"),
            ObjectType::ObjectRoutine => tags!("ROUTINE"),
            ObjectType::ObjectRule => tags!("RULE"),
            ObjectType::ObjectSchema => tags!("SCHEMA"),
            ObjectType::ObjectSequence => tags!("SEQUENCE"),
            ObjectType::ObjectSubscription => tags!("SUBSCRIPTION"),
            ObjectType::ObjectStatisticExt => tags!("STATISTICS"),
            ObjectType::ObjectTable => tags!("TABLE"),
            ObjectType::ObjectTablespace => tags!("TABLESPACE"),
            ObjectType::ObjectTransform => tags!("TRANSFORM"),
            ObjectType::ObjectTrigger => tags!("TRIGGER"),
            ObjectType::ObjectTsconfiguration => tags!("TEXT SEARCH CONFIGURATION"),
            ObjectType::ObjectTsdictionary => tags!("TEXT SEARCH DICTIONARY"),
            ObjectType::ObjectTsparser => tags!("TEXT SEARCH PARSER"),
            ObjectType::ObjectTstemplate => tags!("TEXT SEARCH TEMPLATE"),
            ObjectType::ObjectType => tags!("TYPE"),
            ObjectType::ObjectUserMapping => tags!("USER MAPPING"),
            ObjectType::ObjectView => tags!("VIEW"),
            ObjectType::ObjectColumn | ObjectType::ObjectDefault | ObjectType::ObjectTabconstraint => tags!("TABLE"),
            ObjectType::ObjectAttribute => tags!("TYPE"),
            ObjectType::ObjectDomconstraint => tags!("DOMAIN"),
            ObjectType::Undefined
            | ObjectType::ObjectAmop
            | ObjectType::ObjectAmproc
            | ObjectType::ObjectDefacl
            | ObjectType::ObjectParameterAcl
            | ObjectType::ObjectPublicationNamespace
            | ObjectType::ObjectPublicationRel => tags!("OBJECT"),
        }
    }
}
