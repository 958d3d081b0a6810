//! Delivery through a whole gateway to a receiver on this machine, on a clock turned by hand.

#![cfg(test)]

mod bills;
mod outages;
mod outbox;
mod receivers;
mod retries;
mod secrets;
mod support;
