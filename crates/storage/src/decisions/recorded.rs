//! A decision as it is kept: who asked for what, what was decided, and how every limit stood.

use std::sync::Arc;

use domain::{Admission, GroupId, Now, RequestId, WorkspaceId};
use limits::{Explanation, LimitState, PathLimit, Size, Verdict};

/// What is known of a decision besides how its limits stood.
#[derive(Debug, Clone)]
pub struct DecisionFacts {
    /// The call.
    pub request_id: RequestId,
    /// When it was decided. Of one that was read from disk only the wall clock is known.
    pub at: Now,
    /// Whose call.
    pub workspace: WorkspaceId,
    /// The group that called.
    pub group: GroupId,
    /// The prefix of its key.
    pub key_prefix: Arc<str>,
    /// The model that was asked for. A slug, unless none was granted: then the beginning of whatever the caller sent, so
    /// whoever records it cuts it.
    pub model: Arc<str>,
    /// How the call was admitted, or would have been.
    pub mode: Admission,
    /// Most tokens that its target writes in one answer, if that was declared.
    pub output_max: Option<u64>,
    /// What it held, or asked for.
    pub asked: Size,
    /// Every limit that it had to fit. Empty if none was looked at.
    pub limits: Arc<[PathLimit]>,
    /// What was decided.
    pub outcome: DecisionOutcome,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecisionOutcome {
    /// It went on to its model.
    Admitted,
    /// A limit refused it.
    Refused {
        /// The one that binds, as an index into the limits.
        binding: usize,
        /// When the same call would have passed.
        verdict: Verdict,
    },
    /// It was answered before any limit was looked at.
    TurnedAway(TurnedAway),
}

/// Why a call was answered before any limit was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// Its group does not list the model.
    NotAllowed,
    /// No endpoint of its workspace serves the model.
    NoEndpoint,
    /// It is admitted in `hard`, and a part of its prompt is not in the request.
    Uncountable,
    /// A limit is in USD, and its route has no price.
    Unpriced,
    /// Calls have to say for which end user they are made, and it does not.
    NoUser,
}

/// A decision that was kept.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Who asked for what, and what was decided.
    pub facts: DecisionFacts,
    /// How every limit stood, in the order of the limits.
    pub states: Vec<LimitState>,
}

impl DecisionOutcome {
    /// Whether the call got no further.
    pub(super) fn is_no(self) -> bool {
        !matches!(self, Self::Admitted)
    }
}

impl TurnedAway {
    /// The status it was answered with.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::NotAllowed | Self::Unpriced => 403,
            Self::NoEndpoint => 404,
            Self::Uncountable | Self::NoUser => 400,
        }
    }

    /// The published word for it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NotAllowed => "model_not_allowed",
            Self::NoEndpoint => "model_not_found",
            Self::Uncountable => "uncountable_prompt",
            Self::Unpriced => "model_unpriced",
            Self::NoUser => "missing_user",
        }
    }
}

#[cfg(test)]
impl DecisionFacts {
    /// A refusal in the life of a test: the `nth`, at its own second.
    pub(super) fn refused(nth: u64) -> Self {
        let verdict = Verdict::Wait { nanos: 7, hold_may_end: false };
        let mut random = [0; 10];
        random[..8].copy_from_slice(&nth.to_be_bytes());
        Self {
            request_id: RequestId::new(1_000, random),
            at: Now { mono_ns: nth * 1_000_000_000, wall_ms: nth * 1_000 },
            workspace: WorkspaceId(1),
            group: GroupId(2),
            key_prefix: "sky_one".into(),
            model: "acme/m1".into(),
            mode: Admission::Estimate,
            output_max: None,
            asked: Size { tokens: 9, ..Size::default() },
            limits: Arc::default(),
            outcome: DecisionOutcome::Refused { binding: 0, verdict },
        }
    }
}

impl Recorded {
    /// What the engine would have explained of this call at that moment.
    #[must_use]
    pub fn explanation(self) -> Explanation {
        let refusal = match self.facts.outcome {
            DecisionOutcome::Refused { binding, verdict } => Some((binding, verdict)),
            DecisionOutcome::Admitted | DecisionOutcome::TurnedAway(_) => None,
        };
        Explanation { at: self.facts.at, asked: self.facts.asked, refusal, limits: self.states }
    }
}
