//! The names of the objects that are open, so that none is there twice.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hasher},
};

use super::Malformed;

/// Most names that open objects may have together.
pub const NAMES_MAX: usize = 1 << 18;
/// Names of one object that are compared one by one; beyond it they are looked up.
const COMPARED_MAX: usize = 16;

/// Names by their hashes. Two names of one hash count as one: such a document is refused, which nobody meets by chance.
#[derive(Debug, Default)]
pub(super) struct Names {
    hashes: Vec<u64>,
    objects: Vec<Object>,
    count: usize,
}

#[derive(Debug)]
struct Object {
    start: usize,
    /// Stands for `hashes` when there are many.
    many: HashSet<u64>,
}

impl Names {
    pub(super) fn open(&mut self) {
        self.objects.push(Object { start: self.hashes.len(), many: HashSet::new() });
    }

    pub(super) fn close(&mut self) {
        if let Some(object) = self.objects.pop() {
            self.count -= self.hashes.len() - object.start + object.many.len();
            self.hashes.truncate(object.start);
        }
    }

    /// Adds a name to the innermost object.
    pub(super) fn add(&mut self, name: &str) -> Result<(), Malformed> {
        let Some(object) = self.objects.last_mut() else { return Err(Malformed::Unexpected) };
        let mut hasher = DefaultHasher::new();
        hasher.write(name.as_bytes());
        let hash = hasher.finish();
        if self.count == NAMES_MAX {
            return Err(Malformed::Names);
        }
        let few = self.hashes.get(object.start..).unwrap_or_default();
        if few.contains(&hash) || object.many.contains(&hash) {
            return Err(Malformed::Duplicate);
        }
        self.count += 1;
        if few.len() < COMPARED_MAX && object.many.is_empty() {
            self.hashes.push(hash);
            return Ok(());
        }
        object.many.extend(self.hashes.drain(object.start..));
        object.many.insert(hash);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.hashes.is_empty() && self.objects.is_empty() && self.count == 0
    }
}
