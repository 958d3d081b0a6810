//! `GET /metrics`: who may read it, what it says after known calls, and that it has a form.

#![cfg(test)]

mod access;
mod form;
mod numbers;
mod page;
