//! HTTP's accesses: endpoints, and what a request to one carries, as `http.cedarschema` declares them.

use cedar_policy::{Entity, EntityTypeName, EntityUid, ParseErrors, RestrictedExpression as Value};

use super::{Touched, Unspeakable, count, internal, path, record, text, uid};
use crate::{
    request::{
        self,
        http::{Access, Facts, Operation},
    },
    target::Target,
};

#[derive(Clone, Debug)]
pub struct Names {
    action: EntityTypeName,
    scheme: EntityTypeName,
    endpoint: EntityTypeName,
    /// The header fields of the request that is judged.
    headers: EntityUid,
    /// The fields of its query.
    query: EntityUid,
}

impl Names {
    pub fn parse() -> Result<Self, Box<ParseErrors>> {
        Ok(Self {
            action: "Http::Action".parse()?,
            scheme: "Http::Scheme".parse()?,
            endpoint: "Http::Endpoint".parse()?,
            headers: uid(&"Http::Headers".parse()?, "request"),
            query: uid(&"Http::Query".parse()?, "request"),
        })
    }

    pub fn action(&self, operation: Operation) -> EntityUid {
        uid(&self.action, operation.name())
    }

    /// What only HTTP's rules may know: the request beside its endpoint.
    pub fn context(&self, facts: &Facts) -> Result<Vec<(&'static str, Value)>, Unspeakable> {
        let mut fields = vec![
            ("method", text(&facts.method)),
            ("headers", Value::new_entity_uid(self.headers.clone())),
            ("query", Value::new_entity_uid(self.query.clone())),
        ];
        fields.extend(facts.content_type.as_deref().map(|kind| ("content_type", text(kind))));
        fields.extend(facts.content_length.map(|length| ("content_length", count(length))));
        Ok(vec![("request", record(fields)?)])
    }

    fn headers(&self, facts: &Facts) -> Result<Entity, Unspeakable> {
        let fields = facts.headers.iter().map(|(name, value)| (name.clone(), text(value)));
        Entity::new_with_tags(self.headers.clone(), [], [], fields).map_err(internal)
    }

    fn query(&self, facts: &Facts) -> Result<Entity, Unspeakable> {
        let values =
            |values: &std::collections::BTreeSet<String>| Value::new_set(values.iter().map(|value| text(value)));
        let fields = facts.query.iter().map(|(name, of_name)| (name.clone(), values(of_name)));
        Entity::new_with_tags(self.query.clone(), [], [], fields).map_err(internal)
    }
}

impl super::Names {
    pub(super) fn http_endpoint(&self, target: &Target, access: &Access) -> Result<Touched, Unspeakable> {
        if target.protocol.as_ref() != "http" {
            let (target, protocol) = (target.name.to_string(), target.protocol.to_string());
            return Err(Unspeakable::Foreign {
                target,
                protocol,
                operation: request::Operation::Http(access.operation),
            });
        }
        let endpoint = &access.endpoint;
        let (owner, mut attributes) = self.below(target);
        let scheme = Value::new_entity_uid(uid(&self.http.scheme, endpoint.scheme.name()));
        attributes.extend([
            ("scheme".to_owned(), scheme),
            ("host".to_owned(), text(&endpoint.host)),
            ("port".to_owned(), Value::new_long(endpoint.port.into())),
            ("path".to_owned(), text(&endpoint.path)),
        ]);
        let own = path(&self.http.endpoint, &[&target.name, &endpoint.to_string()]);
        let resource = Entity::new_with_tags(own, attributes, [owner], []).map_err(internal)?;
        Ok(Touched { resource, others: vec![self.http.headers(&access.facts)?, self.http.query(&access.facts)?] })
    }
}
