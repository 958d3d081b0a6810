//! The customers of a run: trees of groups, what they may use, and what binds whom.
//!
//! What binds a call is worked out here once more, from the published rules and not from the gateway's code:
//! INDEPENDENT, for each type and unit the closest group that declares a limit, counted by the caller alone;
//! CASCADING, whatever the caller and its ancestors declare, each counted by who declared it.
//!
//! Begins at [`World::draw`].

use serde_json::{Value, json};

use crate::chance::Chance;
use crate::configs::{self, Config};
use crate::prices::Price;

/// The models that every group may call.
pub const SLUGS: [&str; 2] = ["acme/m1", "acme/m2"];
/// Kinds of limits: type, unit, length in microseconds (a day has none), and the thresholds that are drawn.
pub const KINDS: [Kind; 6] = [
    Kind { kind: "TOKEN", unit: "SECOND", length_us: 1_000_000, thresholds: (600, 20_000) },
    Kind { kind: "TOKEN", unit: "MINUTE", length_us: 60_000_000, thresholds: (4_000, 400_000) },
    Kind { kind: "TOKEN", unit: "DAY", length_us: u64::MAX, thresholds: (20_000, 4_000_000) },
    Kind { kind: "REQUEST", unit: "SECOND", length_us: 1_000_000, thresholds: (2, 100) },
    Kind { kind: "REQUEST", unit: "MINUTE", length_us: 60_000_000, thresholds: (20, 2_000) },
    Kind { kind: "REQUEST", unit: "DAY", length_us: u64::MAX, thresholds: (200, 40_000) },
];
const TREES: usize = 8;

/// One kind of limit.
#[derive(Debug)]
pub struct Kind {
    /// As it is published.
    pub kind: &'static str,
    /// As it is published.
    pub unit: &'static str,
    /// Of its window; `u64::MAX`: a calendar day.
    pub length_us: u64,
    thresholds: (u64, u64),
}

/// The limits of one group: a threshold for each slug and kind that has one.
pub type Limits = [[Option<u64>; KINDS.len()]; SLUGS.len()];

/// How limits reach down a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The closest one binds, and the caller alone is counted.
    Independent,
    /// All bind, and all below are counted.
    Cascading,
}

/// What the calls of a tree are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    /// Every output is declared, and the model server never tells wrong numbers: there can be no debt.
    Declared,
    /// Some outputs are not declared, and the model server lies now and then.
    Wild,
}

impl Manners {
    /// End users that calls of such trees are made for, and of no others.
    #[must_use]
    pub fn users(self) -> [&'static str; 3] {
        match self {
            Self::Declared => ["ada", "bo", "cleo"],
            Self::Wild => ["mallory", "nix", "oz"],
        }
    }
}

/// One group.
#[derive(Debug, Clone)]
pub struct Group {
    /// Where its parent stands in the tree; parents stand before children.
    pub parent: Option<usize>,
    /// Given by the gateway.
    pub id: String,
    /// A key of it. Given by the gateway.
    pub key: String,
    /// What the key begins with, and is known by.
    pub prefix: String,
}

/// One tree of groups with its first limits.
#[derive(Debug, Clone)]
pub struct Tree {
    /// How limits reach down.
    pub mode: Mode,
    /// What its calls are like.
    pub manners: Manners,
    /// The root first.
    pub groups: Vec<Group>,
    /// Of each group.
    pub limits: Vec<Limits>,
}

/// Everything that is set up before the load begins.
#[derive(Debug)]
pub struct World {
    /// The trees.
    pub trees: Vec<Tree>,
    /// What each model costs at first.
    pub prices: Vec<Price>,
    /// What may be spent, on what and for whom.
    pub configs: Vec<Config>,
}

impl Kind {
    /// Whether tokens are counted.
    #[must_use]
    pub fn counts_tokens(&self) -> bool {
        self.kind == "TOKEN"
    }

    /// Whether its window is a calendar day.
    #[must_use]
    pub fn is_daily(&self) -> bool {
        self.length_us == u64::MAX
    }
}

impl World {
    /// Trees of both modes and both manners, three to five levels deep.
    #[must_use]
    pub fn draw(chance: &mut Chance) -> Self {
        let mode = |at: usize| if at.is_multiple_of(2) { Mode::Cascading } else { Mode::Independent };
        let manners = |at: usize| if at % 4 < 2 { Manners::Declared } else { Manners::Wild };
        let trees: Vec<Tree> = (0..TREES).map(|at| Tree::draw(mode(at), manners(at), chance)).collect();
        let prices = (0..SLUGS.len()).map(|slug| Price::draw(slug, chance)).collect();
        let configs = configs::draw(&trees, chance);
        Self { trees, prices, configs }
    }
}

impl Tree {
    fn draw(mode: Mode, manners: Manners, chance: &mut Chance) -> Self {
        let mut tree = Self { mode, manners, groups: Vec::new(), limits: Vec::new() };
        let depth = 3 + chance.index(3);
        // A spine as deep as the tree, and branches anywhere on it.
        let parents = (0..depth).map(|level| level.checked_sub(1)).collect::<Vec<_>>();
        let branches = (0..2 + chance.index(4)).map(|_| Some(chance.index(depth - 1))).collect::<Vec<_>>();
        for parent in parents.into_iter().chain(branches) {
            let at = tree.groups.len();
            tree.groups.push(Group { parent, id: String::new(), key: String::new(), prefix: String::new() });
            tree.limits.push(Limits::default());
            for slug in 0..SLUGS.len() {
                for kind in 0..KINDS.len() {
                    tree.limits[at][slug][kind] = tree.draw_limit((at, slug, kind), chance);
                }
            }
        }
        tree
    }

    /// A limit that a group may have beside those it has: or none.
    pub fn draw_limit(&self, (group, slug, kind): (usize, usize, usize), chance: &mut Chance) -> Option<u64> {
        // One rate limit for each type, whatever its unit.
        let is_rate = |kind: usize| !KINDS[kind].is_daily();
        let taken = (0..KINDS.len()).any(|other| {
            other != kind
                && is_rate(other)
                && is_rate(kind)
                && KINDS[other].kind == KINDS[kind].kind
                && self.limits[group][slug][other].is_some()
        });
        if taken || !chance.percent(40) {
            return None;
        }
        let (low, high) = KINDS[kind].thresholds;
        Some(chance.log_between(low, high).min(self.highest((group, slug, kind))))
    }

    /// CASCADING: no group may be given more than a group above it has.
    #[must_use]
    pub fn highest(&self, (group, slug, kind): (usize, usize, usize)) -> u64 {
        match self.mode {
            Mode::Independent => u64::MAX,
            Mode::Cascading => {
                let above = self.lineage(group).skip(1);
                above.filter_map(|above| self.limits[above][slug][kind]).min().unwrap_or(u64::MAX)
            }
        }
    }

    /// A group and those above it, upward.
    pub fn lineage(&self, group: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(Some(group), |at| self.groups.get(*at)?.parent)
    }

    /// What binds a call under these limits: whose counter, and the threshold.
    pub fn binding(
        &self,
        limits: &[Limits],
        (group, slug, kind): (usize, usize, usize),
    ) -> Vec<(usize, u64)> {
        let declared = self.lineage(group).filter_map(|at| Some((at, limits[at][slug][kind]?)));
        match self.mode {
            Mode::Cascading => declared.collect(),
            Mode::Independent => declared.take(1).map(|(_, threshold)| (group, threshold)).collect(),
        }
    }
}

/// The models of a group as management takes them.
#[must_use]
pub fn models(limits: &Limits) -> Value {
    let of = |slug: usize, daily: bool| -> Vec<Value> {
        let set = KINDS.iter().zip(&limits[slug]).filter(|(kind, _)| kind.is_daily() == daily);
        set.filter_map(|(kind, threshold)| {
            threshold.map(|threshold| json!({ "type": kind.kind, "unit": kind.unit, "threshold": threshold }))
        })
        .collect()
    };
    let model = |(at, slug): (usize, &&str)| json!({ "slug": slug, "rate_limits": of(at, false), "usage_limits": of(at, true) });
    SLUGS.iter().enumerate().map(model).collect()
}

#[cfg(test)]
mod tests {
    use super::{KINDS, Manners, Mode, World};
    use crate::chance::Chance;

    #[test]
    fn worlds_have_both_modes_with_both_manners_and_three_to_five_levels() {
        let world = World::draw(&mut Chance::new(7));
        for mode in [Mode::Independent, Mode::Cascading] {
            for manners in [Manners::Declared, Manners::Wild] {
                assert!(world.trees.iter().any(|tree| (tree.mode, tree.manners) == (mode, manners)));
            }
        }
        let depth = |tree: &super::Tree| (0..tree.groups.len()).map(|at| tree.lineage(at).count()).max();
        assert!(world.trees.iter().all(|tree| (3..=5).contains(&depth(tree).unwrap())));
    }

    #[test]
    fn the_closest_limit_binds_an_independent_group_and_all_bind_a_cascading_one() {
        let mut tree = World::draw(&mut Chance::new(7)).trees.swap_remove(0);
        tree.limits.iter_mut().for_each(|limits| *limits = Default::default());
        (tree.limits[0][0][3], tree.limits[1][0][3]) = (Some(9), Some(5));
        tree.mode = Mode::Cascading;
        assert_eq!(tree.binding(&tree.limits, (2, 0, 3)), [(1, 5), (0, 9)]);
        tree.mode = Mode::Independent;
        assert_eq!(tree.binding(&tree.limits, (2, 0, 3)), [(2, 5)]);
        assert_eq!(tree.binding(&tree.limits, (2, 1, 3)), []);
        assert_eq!(KINDS[3].unit, "SECOND");
    }
}
