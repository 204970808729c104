//! The ids that `seed.sql` gives: computed alike on both sides, so that no scenario has to ask the database.

use uuid::Uuid;

/// The seller who takes part in 10,000 conversations.
pub const BUSY_SELLER: u32 = 0;
/// Customers: 1 … 20,000. The first 10,000 have a conversation with the busy seller, under the same number.
pub const CUSTOMERS: u32 = 20_000;
/// Those customers.
pub const WITH_CONVERSATION: u32 = 10_000;
/// The first of the pairs that send each other messages.
const FIRST_PAIR: u32 = 30_000;
/// How many there are.
pub const PAIRS: u32 = 1_000;

/// A user's id.
pub fn user(number: u32) -> Uuid {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 | u128::from(number))
}

/// A conversation's id.
pub fn conversation(number: u32) -> Uuid {
    Uuid::from_u128(0x0000_0001_0000_4000_8000_0000_0000_0000 | u128::from(number))
}

/// Two users with a conversation of their own, empty at first.
#[derive(Clone, Copy)]
pub struct Pair {
    /// Who asks.
    pub customer: Uuid,
    /// Who answers.
    pub seller: Uuid,
    /// Theirs.
    pub conversation: Uuid,
}

/// The pair with this number, from 0.
pub fn pair(number: u32) -> Pair {
    Pair {
        customer: user(FIRST_PAIR + 2 * number),
        seller: user(FIRST_PAIR + 2 * number + 1),
        conversation: conversation(FIRST_PAIR + number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_seed() {
        assert_eq!(user(1).to_string(), "00000000-0000-4000-8000-000000000001");
        assert_eq!(conversation(30_000).to_string(), "00000001-0000-4000-8000-000000007530");
        assert_eq!(pair(1).seller.to_string(), "00000000-0000-4000-8000-000000007533");
    }
}
