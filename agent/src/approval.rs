//! Approvals: a request held until a person answers.
