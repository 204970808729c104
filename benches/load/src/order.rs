//! Nothing lost, nothing doubled, nothing out of order: what a receiver checks of numbers that should come as
//! 0, 1, 2 …

use std::collections::BTreeSet;

use serde_json::{Value, json};

/// Watches one stream of numbers.
#[derive(Default)]
pub struct Order {
    next: u64,
    missing: BTreeSet<u64>,
    doubled: u64,
    out_of_order: u64,
}

/// What was wrong, over many streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Never came.
    pub lost: u64,
    /// Came again.
    pub doubled: u64,
    /// Came after a later one.
    pub out_of_order: u64,
}

impl Order {
    /// `number` came.
    pub fn note(&mut self, number: u64) {
        if number == self.next {
            self.next += 1;
        } else if number > self.next {
            self.missing.extend(self.next..number);
            self.next = number + 1;
        } else if self.missing.remove(&number) {
            self.out_of_order += 1;
        } else {
            self.doubled += 1;
        }
    }

    /// How many came, each counted once.
    pub fn seen(&self) -> u64 {
        self.next - self.missing.len() as u64
    }

    /// What was wrong, if `expected` should have come.
    pub fn faults(&self, expected: u64) -> Faults {
        Faults { lost: expected.saturating_sub(self.seen()), doubled: self.doubled, out_of_order: self.out_of_order }
    }
}

impl Faults {
    /// Adds those of another stream.
    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
    }

    /// For the result's line.
    pub fn json(self) -> Value {
        json!({ "lost": self.lost, "doubled": self.doubled, "out_of_order": self.out_of_order })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(numbers: &[u64], expected: u64) -> Faults {
        let mut order = Order::default();
        numbers.iter().for_each(|n| order.note(*n));
        order.faults(expected)
    }

    #[test]
    fn each_fault_is_told_from_the_others() {
        assert_eq!(faults(&[0, 1, 2], 3), Faults::default());
        assert_eq!(faults(&[0, 2], 4), Faults { lost: 2, ..Faults::default() });
        assert_eq!(faults(&[0, 1, 1, 0], 2), Faults { doubled: 2, ..Faults::default() });
        assert_eq!(faults(&[0, 3, 2, 1, 4], 5), Faults { out_of_order: 2, ..Faults::default() });
        assert_eq!(faults(&[0, 2, 1, 1], 3), Faults { doubled: 1, out_of_order: 1, ..Faults::default() });
    }
}
