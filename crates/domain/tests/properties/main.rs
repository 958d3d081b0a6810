//! What holds for every period and every edit of a model config.

#![cfg(test)]

mod model_configs;
mod periods;
