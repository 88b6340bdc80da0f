//! The places that each attempt is made in.

/// Who tries, and from where.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// Outside of every workload: whether it works here at all.
    FreeRoot,
    FreeUser,
    /// In a captured cgroup, as any unit might be, with all capabilities.
    CgroupRoot,
    /// In a captured cgroup, without privileges.
    CgroupUser,
    /// Started by `portcullis run`.
    Jail,
}

impl Place {
    pub const ALL: [Self; 5] = [Self::FreeRoot, Self::FreeUser, Self::CgroupRoot, Self::CgroupUser, Self::Jail];

    pub fn name(self) -> &'static str {
        match self {
            Self::FreeRoot => "free, root",
            Self::FreeUser => "free, user",
            Self::CgroupRoot => "captured cgroup, root",
            Self::CgroupUser => "captured cgroup, user",
            Self::Jail => "portcullis run",
        }
    }

    pub fn governed(self) -> bool {
        match self {
            Self::FreeRoot | Self::FreeUser => false,
            Self::CgroupRoot | Self::CgroupUser | Self::Jail => true,
        }
    }

    pub fn root(self) -> bool {
        match self {
            Self::FreeRoot | Self::CgroupRoot => true,
            Self::FreeUser | Self::CgroupUser | Self::Jail => false,
        }
    }

    /// The same process, were it not governed.
    pub fn freed(self) -> Self {
        if self.root() { Self::FreeRoot } else { Self::FreeUser }
    }
}
