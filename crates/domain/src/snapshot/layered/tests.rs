use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// Values by the first half, of which there are few.
struct ByName;

impl Index for ByName {
    type Value = (u8, u32);
    type Key<'a> = u8;

    fn key(value: &Self::Value) -> u8 {
        value.0
    }

    fn is_of(key: u8, value: &Self::Value) -> bool {
        key == value.0
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u32),
    Remove(u8),
    Fold,
    /// Goes on with a copy, and keeps the original to look at in the end.
    Copy,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..24_u8, any::<u32>()).prop_map(|(name, value)| Step::Put(name, value)),
        4 => (0..24_u8).prop_map(Step::Remove),
        1 => Just(Step::Fold),
        1 => Just(Step::Copy),
    ];
    proptest::collection::vec(step, 0..60)
}

fn is_like(index: &Layered<ByName>, oracle: &HashMap<u8, u32>) {
    for name in 0..=24 {
        assert_eq!(index.get(name).map(|found| found.1), oracle.get(&name).copied(), "{name}");
    }
    let all: HashMap<u8, u32> = index.iter().copied().collect();
    assert_eq!((&all, index.iter().count()), (oracle, oracle.len()));
}

proptest! {
    #[test]
    fn an_index_finds_what_a_plain_map_finds_whatever_was_loaded_put_and_removed(
        loaded in proptest::collection::hash_map(0..24_u8, any::<u32>(), 0..24),
        steps in steps(),
    ) {
        let values: Vec<_> = loaded.iter().map(|(name, value)| (*name, *value)).collect();
        let (mut index, mut oracle) = (Layered::<ByName>::load(values.into_iter()), loaded);
        let mut copies = Vec::new();
        for step in steps {
            match step {
                Step::Put(name, value) => {
                    index.insert((name, value));
                    oracle.insert(name, value);
                }
                Step::Remove(name) => {
                    index.remove(name);
                    oracle.remove(&name);
                }
                Step::Fold => {
                    index = index.folded();
                    prop_assert_eq!(index.weight(), (0, oracle.len()));
                }
                Step::Copy => copies.push((index.clone(), oracle.clone())),
            }
            is_like(&index, &oracle);
        }
        copies.iter().for_each(|(index, oracle)| is_like(index, oracle));
    }
}

#[test]
fn what_was_put_and_removed_again_leaves_nothing_behind() {
    let mut index = Layered::<ByName>::load([(1, 1)].into_iter());
    for name in 2..100 {
        index.insert((name, 0));
        index.remove(name);
    }
    assert_eq!(index.weight(), (0, 1));
    index.remove(1);
    assert_eq!((index.get(1), index.weight()), (None, (1, 1)));
}

/// All of one hash: foldhash cannot be made to give it, so the keys are made to.
struct Clashing;

#[derive(Clone, Copy)]
struct Same(u8);

impl Hash for Same {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        0_u8.hash(state);
    }
}

impl Index for Clashing {
    type Value = u8;
    type Key<'a> = Same;

    fn key(value: &u8) -> Same {
        Same(*value)
    }

    fn is_of(key: Same, value: &u8) -> bool {
        key.0 == *value
    }
}

#[test]
fn keys_with_one_hash_are_told_apart() {
    let mut index = Layered::<Clashing>::load([1, 2, 3].into_iter());
    index.insert(4);
    index.insert(5);
    index.remove(Same(2));
    index.remove(Same(4));
    let found = [1, 2, 3, 4, 5].map(|value| index.get(Same(value)).copied());
    assert_eq!(found, [Some(1), None, Some(3), None, Some(5)]);
    let folded = index.folded();
    assert_eq!([1, 2, 3, 4, 5].map(|value| folded.get(Same(value)).copied()), found);
}
