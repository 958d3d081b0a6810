//! F1: decides whether a call may spend, and what it owes afterwards.
