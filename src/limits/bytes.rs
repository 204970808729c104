//! Limits on bytes in memory: request bodies in flight and unread answers, per owner and in total.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;

use crate::domain::UserId;

/// The user or address for which bytes are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A user who has shown a token.
    User(UserId),
    /// An address without a token; `None` if the address is unknown, too.
    Address(Option<IpAddr>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Owner,
    All,
}

/// Counts bytes, up to a bound for each owner and one for all; 0 is no bound.
#[derive(Debug)]
pub struct ByteBudget {
    held: Mutex<Counts>,
    max_of_one: usize,
    max_of_all: usize,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    owners: HashMap<Owner, usize>,
}

impl ByteBudget {
    pub fn new(max_of_one: usize, max_of_all: usize) -> Arc<Self> {
        Arc::new(Self { held: Mutex::default(), max_of_one, max_of_all })
    }

    /// Makes a share of `owner`'s bytes, empty at first.
    #[must_use]
    pub fn share(self: &Arc<Self>, owner: Owner) -> HeldBytes {
        HeldBytes { budget: self.clone(), owner, bytes: 0 }
    }
}

/// Bytes that count as held until this is dropped.
#[derive(Debug)]
pub struct HeldBytes {
    budget: Arc<ByteBudget>,
    owner: Owner,
    bytes: usize,
}

impl HeldBytes {
    /// Counts `bytes` more.
    /// Fails with the bound that is reached; then the bytes are not counted.
    pub fn add(&mut self, bytes: usize) -> Result<(), Over> {
        if bytes == 0 {
            return Ok(());
        }
        let exceeds = |held: usize, max: usize| max > 0 && held.saturating_add(bytes) > max;
        let mut counts = self.budget.held.lock();
        if exceeds(counts.all, self.budget.max_of_all) {
            return Err(Over::All);
        }
        let of_owner = counts.owners.get(&self.owner).copied().unwrap_or_default();
        if exceeds(of_owner, self.budget.max_of_one) {
            return Err(Over::Owner);
        }
        counts.all += bytes;
        counts.owners.insert(self.owner, of_owner + bytes);
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut counts = self.budget.held.lock();
        counts.all -= self.bytes;
        if let Some(of_owner) = counts.owners.get_mut(&self.owner) {
            *of_owner -= self.bytes;
            if *of_owner == 0 {
                counts.owners.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(last: u8) -> Owner {
        Owner::Address(Some([127, 0, 0, last].into()))
    }

    #[test]
    fn each_owner_has_a_bound_and_all_have_one() {
        let budget = ByteBudget::new(10, 15);
        let (mut first, mut second) = (budget.share(owner(1)), budget.share(owner(2)));
        assert_eq!(first.add(10), Ok(()));
        assert_eq!(budget.share(owner(1)).add(1), Err(Over::Owner));
        assert_eq!(second.add(5), Ok(()));
        assert_eq!(second.add(1), Err(Over::All));
        drop(first);
        assert_eq!(second.add(5), Ok(()));
    }

    #[test]
    fn nothing_is_remembered_of_owners_who_hold_nothing_and_zero_is_no_bound() {
        let budget = ByteBudget::new(0, 0);
        for n in 0..9 {
            assert_eq!(budget.share(owner(n)).add(usize::MAX / 2), Ok(()));
        }
        let held = budget.held.lock();
        assert_eq!((held.all, held.owners.len()), (0, 0));
    }
}
