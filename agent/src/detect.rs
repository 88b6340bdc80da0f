//! Which protocol a connection's first bytes speak.
