//! F0: counts tokens before a call is made.
