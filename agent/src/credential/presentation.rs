/// Where an HTTP request carries a credential.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Presentation {
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer,
    /// `Authorization: Basic …`, with user and password (RFC 7617).
    Basic,
    /// The header field of this name, in lower case.
    Header(String),
    /// The query field of this name.
    Query(String),
}
