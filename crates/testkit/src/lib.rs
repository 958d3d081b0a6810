//! Dev only: a gateway in a test, a clock turned by hand.
