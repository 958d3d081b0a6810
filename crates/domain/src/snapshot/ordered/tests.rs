use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

struct ByPlace;

impl Order for ByPlace {
    type Value = (u8, u32);
    type Key = u8;

    fn key(value: &Self::Value) -> u8 {
        value.0
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
        6 => (0..24_u8, any::<u32>()).prop_map(|(place, value)| Step::Put(place, value)),
        4 => (0..24_u8).prop_map(Step::Remove),
        1 => Just(Step::Fold),
        1 => Just(Step::Copy),
    ];
    proptest::collection::vec(step, 0..60)
}

fn is_like(index: &Ordered<ByPlace>, oracle: &BTreeMap<u8, u32>, (first, last): (u8, u8)) {
    for range in [0..=u8::MAX, first..=last] {
        let found: Vec<_> = index.range(range.clone()).copied().collect();
        let expected: Vec<_> = oracle.range(range).map(|(place, value)| (*place, *value)).collect();
        assert_eq!(found, expected);
    }
}

proptest! {
    #[test]
    fn an_index_reads_as_a_plain_ordered_map_does_whatever_was_loaded_put_and_removed(
        loaded in proptest::collection::hash_map(0..24_u8, any::<u32>(), 0..24),
        steps in steps(),
        (first, last) in (0..26_u8, 0..26_u8).prop_map(|(one, other)| (one.min(other), one.max(other))),
    ) {
        let mut index = Ordered::<ByPlace>::load(loaded.iter().map(|(place, value)| (*place, *value)).collect());
        let mut oracle: BTreeMap<_, _> = loaded.into_iter().collect();
        let mut copies = Vec::new();
        for step in steps {
            match step {
                Step::Put(place, value) => {
                    index.insert((place, value));
                    oracle.insert(place, value);
                }
                Step::Remove(place) => {
                    index.remove(place);
                    oracle.remove(&place);
                }
                Step::Fold => {
                    index = index.folded();
                    prop_assert_eq!(index.weight(), (0, oracle.len()));
                }
                Step::Copy => copies.push((index.clone(), oracle.clone())),
            }
            is_like(&index, &oracle, (first, last));
        }
        copies.iter().for_each(|(index, oracle)| is_like(index, oracle, (first, last)));
    }
}

#[test]
fn what_was_put_and_removed_again_leaves_nothing_behind() {
    let mut index = Ordered::<ByPlace>::load(vec![(1, 1)]);
    for place in 2..100 {
        index.insert((place, 0));
        index.remove(place);
    }
    assert_eq!(index.weight(), (0, 1));
    index.remove(1);
    assert_eq!((index.range(0..=9).count(), index.weight()), (0, (1, 1)));
}
