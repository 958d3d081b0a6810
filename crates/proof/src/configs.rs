//! The model configs of a run: what may be spent, on which model, for whom, in which periods; and which of them a call
//! has to fit, worked out here once more from the published rules.
//!
//! Begins at [`draw`] and [`Config::is_about`].

use domain::{LineId, Meter};

use crate::chance::Chance;
use crate::history::Call;
use crate::world::{Manners, Tree};

/// The name that every target gives its model.
pub const UPSTREAM_MODEL: &str = "simulated";
/// Who serves all models, by its name in model configs.
pub const PROVIDER: &str = "openai_compatible";
/// Periods of lines that are short enough to end often.
pub const SHORT: [Length; 4] = [
    Length { text: "5s", ms: 5_000 },
    Length { text: "7s", ms: 7_000 },
    Length { text: "11s", ms: 11_000 },
    TWENTY,
];
const SEVEN: Length = SHORT[1];
const TWENTY: Length = Length { text: "20s", ms: 20_000 };
const DAY: Length = Length { text: "1d", ms: 86_400_000 };

/// What is counted under it: its id, and what is counted.
pub type LineKey = (LineId, Meter);

/// How long a period is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// As it is written.
    pub text: &'static str,
    /// In milliseconds.
    pub ms: u64,
}

/// Whose calls a config is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    Global,
    /// Those by the key of this group of this tree.
    Key(usize, usize),
    /// Those made for this user.
    User(&'static str),
    /// Those by this group of this tree and those below it.
    Group(usize, usize),
}

/// Which models a config is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// All.
    Any,
    /// The one with this slug.
    Slug(usize),
    /// Those whose target has [`UPSTREAM_MODEL`]: all.
    Upstream,
}

/// What becomes of a config while calls run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Its thresholds change and nothing else, so that what it has used is known to the unit.
    Stays,
    /// It is deleted and made again, its lines are reset, come, go, and get other periods.
    Changes,
}

/// A limit that a config is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// The line that it is, once it is there.
    pub line: Option<LineId>,
    /// What it counts.
    pub meter: Meter,
    /// The most in a period: requests, tokens, or nano-dollars.
    pub max: u64,
    /// How long a period is.
    pub length: Length,
}

/// A model config.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whose calls.
    pub scope: Scope,
    /// To which models.
    pub model: Model,
    /// Whether it names the provider.
    pub provider: bool,
    /// Whether days follow the calendar.
    pub aligned: bool,
    /// What becomes of it.
    pub fate: Fate,
    /// Its limits at first.
    pub wishes: Vec<Wish>,
}

/// A limit as it is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// What is counted under it.
    pub key: LineKey,
    /// The most in a period.
    pub max: u64,
    /// How long a period is.
    pub length: Length,
    /// Where one begins, in milliseconds since 1970 UTC.
    pub anchor_ms: u64,
}

impl Line {
    /// When the period of this time began, in milliseconds since 1970 UTC. Where the clock was set back, it may have
    /// been before the anchor.
    #[must_use]
    pub fn period(&self, wall_ms: u64) -> u64 {
        let Self { anchor_ms, length: Length { ms, .. }, .. } = *self;
        match wall_ms.checked_sub(anchor_ms) {
            Some(since) => wall_ms - since % ms,
            None => anchor_ms - (anchor_ms - wall_ms).div_ceil(ms) * ms,
        }
    }
}

impl Config {
    /// Whether a call has to fit it. All models have one provider and one name there.
    #[must_use]
    pub fn is_about(&self, trees: &[Tree], call: &Call) -> bool {
        let (tree, group) = (usize::from(call.tree), usize::from(call.group));
        let of_model = match self.model {
            Model::Any | Model::Upstream => true,
            Model::Slug(slug) => usize::from(call.slug) == slug,
        };
        of_model
            && match self.scope {
                Scope::Global => true,
                Scope::Key(at, owner) => (tree, group) == (at, owner),
                Scope::User(user) => call.user == Some(user),
                Scope::Group(at, owner) => tree == at && trees[at].lineage(group).any(|above| above == owner),
            }
    }

    /// Whether none but calls that declare all and are told the truth meet it, so that there can be no debt.
    #[must_use]
    pub fn is_exact(&self, trees: &[Tree]) -> bool {
        match self.scope {
            Scope::Global => false,
            Scope::Key(tree, _) | Scope::Group(tree, _) => trees[tree].manners == Manners::Declared,
            Scope::User(user) => Manners::Declared.users().contains(&user),
        }
    }
}

/// Configs of every scope, over trees of both manners.
#[must_use]
pub fn draw(trees: &[Tree], chance: &mut Chance) -> Vec<Config> {
    let mut wish = |meter, length: Length| {
        let (low, high) = match (meter, length.ms) {
            (Meter::Requests, _) => (5, 60),
            (Meter::Tokens, ..=20_000) => (1_500, 60_000),
            (Meter::Tokens, _) => (400_000, 40_000_000),
            (Meter::Usd, ..=20_000) => (3_000_000, 200_000_000),
            (Meter::Usd, _) => (1_000_000_000, 100_000_000_000),
        };
        Wish { line: None, meter, max: chance.log_between(low, high), length }
    };
    let usd = |length| (Meter::Usd, length);
    let (requests, tokens) = (|length| (Meter::Requests, length), |length| (Meter::Tokens, length));
    let spine = |tree: usize| trees[tree].groups.len().min(2) - 1;
    let mut config = |scope, model, lines: &[(Meter, Length)]| Config {
        scope,
        model,
        provider: false,
        aligned: false,
        fate: Fate::Changes,
        wishes: lines.iter().map(|(meter, length)| wish(*meter, *length)).collect(),
    };
    let everybodys = Config {
        aligned: true,
        fate: Fate::Stays,
        ..config(Scope::Global, Model::Any, &[usd(TWENTY), usd(DAY)])
    };
    // Everybody meets these, so that tighter ones would leave the others nothing to refuse.
    let rate = Config { provider: true, ..config(Scope::Global, Model::Any, &[requests(SEVEN)]) };
    let of_upstream = Config { fate: Fate::Stays, ..config(Scope::Global, Model::Upstream, &[tokens(DAY)]) };
    let of_model = config(Scope::Global, Model::Slug(0), &[tokens(TWENTY)]);
    let wide = |config: Config| Config {
        wishes: config.wishes.into_iter().map(|wish| Wish { max: wish.max * 20, ..wish }).collect(),
        ..config
    };
    vec![
        wide(everybodys),
        wide(rate),
        of_upstream,
        wide(of_model),
        config(Scope::Key(0, spine(0)), Model::Any, &[usd(TWENTY), requests(SEVEN)]),
        config(Scope::Key(3, 0), Model::Slug(1), &[usd(SEVEN)]),
        config(Scope::User("ada"), Model::Any, &[usd(TWENTY)]),
        config(Scope::User("bo"), Model::Slug(0), &[tokens(SEVEN), usd(SEVEN)]),
        config(Scope::User("mallory"), Model::Any, &[usd(TWENTY), tokens(SEVEN)]),
        config(Scope::Group(0, spine(0)), Model::Any, &[usd(SEVEN), usd(DAY)]),
        Config {
            fate: Fate::Stays,
            ..config(Scope::Group(1, 0), Model::Any, &[usd(TWENTY), tokens(TWENTY)])
        },
        config(Scope::Group(2, 0), Model::Slug(0), &[usd(TWENTY), requests(TWENTY)]),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Config, Length, Line, Model, Scope};
    use crate::chance::Chance;
    use crate::judge::tests::call;
    use crate::world::World;

    #[test]
    fn a_call_meets_configs_of_its_key_its_user_its_group_and_those_above_and_of_everybody() {
        let world = World::draw(&mut Chance::new(7));
        let by = |group, user| crate::history::Call { user, ..call(group, 0, 1) };
        let about = |scope, model, call: &crate::history::Call| {
            Config { scope, model, ..world.configs[0].clone() }.is_about(&world.trees, call)
        };
        let below = by(2, Some("ada"));
        assert!(about(Scope::Global, Model::Upstream, &below));
        assert!(about(Scope::Group(0, 1), Model::Slug(0), &below), "2 is below 1 on the spine");
        assert!(!about(Scope::Group(0, 1), Model::Slug(0), &by(0, None)), "and 0 is above");
        assert!(
            !about(Scope::Group(1, 0), Model::Any, &below) && !about(Scope::Global, Model::Slug(1), &below)
        );
        assert!(about(Scope::Key(0, 2), Model::Any, &below) && !about(Scope::Key(0, 1), Model::Any, &below));
        assert!(
            about(Scope::User("ada"), Model::Any, &below) && !about(Scope::User("bo"), Model::Any, &below)
        );
    }

    #[test]
    fn periods_begin_at_whole_lengths_from_the_anchor() {
        let key = (domain::LineId::new([1; 16]), domain::Meter::Usd);
        let line = Line { key, max: 1, length: Length { text: "7s", ms: 7_000 }, anchor_ms: 500 };
        assert_eq!([500, 7_499, 7_500, 14_501].map(|ms| line.period(ms)), [500, 500, 7_500, 14_500]);
        let late = Line { anchor_ms: 70_500, ..line };
        assert_eq!([70_499, 63_500, 63_499, 500].map(|ms| late.period(ms)), [63_500, 63_500, 56_500, 500]);
    }
}
