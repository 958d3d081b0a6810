//! Groups: `/v1/gateway/groups`.

mod cascading;
mod ceilings;
mod create;
mod effective;
mod read_list_delete;
mod update;
