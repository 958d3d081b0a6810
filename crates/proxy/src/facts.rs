//! What is known of a call at its admission: for the journal, for the ledger, and for telling what it costs.
//!
//! Knows nothing of: limits' answers, and how the call ends.

use std::sync::Arc;

use domain::{Now, Pricing, RequestId, Slug, Tariff, Terms, Usage, Usd};
use limits::{Outset, Usual};
use wire::{Call, Operation};

use crate::authenticate::Caller;
use crate::paths::Lane;
use crate::route::Route;

/// What the ledger will want to know of a call, known at admission.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) request_id: RequestId,
    pub(crate) operation: Operation,
    pub(crate) caller: Caller,
    pub(crate) slug: Slug,
    /// What it has in common with others.
    pub(crate) terms: Arc<Terms>,
    pub(crate) metadata: Option<Box<str>>,
    /// The end user it is made for.
    pub(crate) user: Option<Arc<str>>,
    /// What its tokens cost.
    price: Option<Arc<Pricing>>,
    /// What was known of it before it was made.
    pub(crate) outset: Outset,
    /// What the output is held or taken for.
    pub(crate) output: u64,
    /// Tokens that its limits were charged at admission.
    pub(crate) held: u64,
    /// How long such answers usually are.
    pub(crate) usual: Usual,
    /// Whether the prompt has parts that nobody but the model server can count.
    pub(crate) prompt_elsewhere: bool,
    /// Whether the model writes what its streams do not show.
    pub(crate) output_hidden: bool,
    pub(crate) admitted_at: Now,
    /// How it is admitted.
    pub(crate) admission: domain::Admission,
    /// The caller's span.
    #[cfg(feature = "otel")]
    pub(crate) parent: Option<crate::spans::Parent>,
}

impl Facts {
    pub(crate) fn new(
        request_id: RequestId,
        (caller, user): (&Caller, Option<Arc<str>>),
        (route, lane): (&Route, &Lane),
        (call, outset): (&Call<'_>, Outset),
    ) -> Self {
        let terms = Arc::clone(&lane.terms);
        Self {
            request_id,
            operation: route.operation,
            caller: caller.clone(),
            slug: route.slug.clone(),
            metadata: call.metadata().map(Into::into),
            user,
            price: terms.price.clone().filter(|_| route.operation.is_priced()),
            terms,
            outset,
            output: 0,
            held: 0,
            usual: lane.usual.clone(),
            prompt_elsewhere: call.prompt_is_elsewhere(),
            output_hidden: route.destination.hides_output(),
            admitted_at: Now::default(),
            admission: route.admission,
            #[cfg(feature = "otel")]
            parent: None,
        }
    }

    /// The call as the journal keeps it: what it is taken for if nobody ever learns its end.
    pub(crate) fn to_journal(&self) -> storage::Admission<'_> {
        storage::Admission {
            request_id: self.request_id,
            admitted: self.admitted_at,
            terms: &self.terms,
            key_prefix: &self.caller.key.prefix,
            route: self.operation.path(),
            user: self.user.as_deref(),
            metadata: self.metadata.as_deref(),
            input: self.outset.prompt,
            output: self.output,
            held: self.held,
            is_priced: self.operation.is_priced(),
        }
    }

    /// What the call's tokens may cost at most. Nothing, where they have no price.
    pub(crate) fn tariff(&self) -> Tariff {
        self.price.as_ref().map(|price| price.tariff(self.outset.prompt)).unwrap_or_default()
    }

    /// What a call with this usage costs; none where it has no price.
    pub(crate) fn cost(&self, usage: &Usage) -> Option<Usd> {
        if !self.operation.is_priced() {
            return Some(Usd::ZERO);
        }
        self.price.as_ref().map(|price| price.cost(usage))
    }
}
