//! What can be found in a value, and sets of it.

use std::ops::Range;

use super::{aws, card, email, iban, jwt, pem, sieve::Passing, ssn};

/// One sort of content that gives itself away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Card,
    Ssn,
    Email,
    Iban,
    AwsId,
    AwsSecret,
    Jwt,
    PrivateKey,
}

impl Kind {
    pub(super) const ALL: [Self; 8] =
        [Self::Card, Self::Ssn, Self::Email, Self::Iban, Self::AwsId, Self::AwsSecret, Self::Jwt, Self::PrivateKey];

    /// The name of the data class that policy masks this by.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Card => "credit_card",
            Self::Ssn => "ssn",
            Self::Email => "email",
            Self::Iban => "iban",
            Self::AwsId | Self::AwsSecret | Self::Jwt | Self::PrivateKey => "secret",
        }
    }

    /// Appends where this stands in a decoded value. Takes time linear in the value's length,
    /// whatever it holds.
    pub(super) fn find(self, text: &[u8], found: &mut Vec<Range<usize>>) {
        match self {
            Self::Card => card::find(text, found),
            Self::Ssn => ssn::find(text, found),
            Self::Email => email::find(text, found),
            Self::Iban => iban::find(text, found),
            Self::AwsId => aws::find_ids(text, found),
            Self::AwsSecret => aws::find_secrets(text, found),
            Self::Jwt => jwt::find(text, found),
            Self::PrivateKey => pem::find(text, found),
        }
    }

    /// The same in a value that has not come whole, for what is held of it.
    pub(super) fn find_passing(self, passing: Passing<'_>, found: &mut Vec<Range<usize>>) {
        match self {
            Self::AwsSecret => aws::find_passing_secrets(passing, found),
            Self::PrivateKey => pem::find_passing(passing, found),
            Self::Card | Self::Ssn | Self::Email | Self::Iban | Self::AwsId | Self::Jwt => {
                self.find(passing.text, found);
            }
        }
    }
}

/// A set of [`Kind`]s.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    pub(super) const fn contains(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    pub(super) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}
