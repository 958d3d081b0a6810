//! Webhooks of the gateway under test.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use storage::{DeliveryLine, DeliveryState};

use crate::client::Reply;
use crate::gateway::Gateway;
use crate::receiver::Receiver;

const WEBHOOK: &str = "/v1/gateway/webhook";

impl Gateway {
    /// A gateway that may call receivers on this machine.
    pub async fn with_webhooks() -> Self {
        Self::with(|config| config.webhooks.allow_private = true).await
    }

    /// `PUT` of the webhook, with the operator's key.
    pub async fn put_webhook(&self, body: Value) -> Reply {
        self.manage(Method::PUT, WEBHOOK).json(&body).send().await
    }

    /// Makes or changes the webhook so that it leads to this receiver; its secret, if it was made.
    pub async fn hook(&self, receiver: &Receiver, batch_max: u16) -> String {
        let put =
            self.put_webhook(json!({ "url": receiver.url(), "batch_max": batch_max })).await.expect(200);
        put.body["secret"].as_str().unwrap_or_default().to_owned()
    }

    /// Time passes, and the courier notices.
    pub fn pass(&self, by: Duration) {
        self.clock.advance(by);
        self.store().bell().wake();
    }

    /// The deliveries that an event of the first workspace was in, once the last of them has so many attempts behind it
    /// and waits for nobody's answer.
    pub async fn attempted(&self, sequence: u64, attempts: u32) -> Vec<DeliveryLine> {
        let workspace = self.store().snapshot().workspaces().next().unwrap().id;
        loop {
            let deliveries = self.store().delivery_attempts(workspace, sequence).await.unwrap();
            if let Some(last) = deliveries.last()
                && last.attempts >= attempts
                && last.state != DeliveryState::UnderWay
            {
                return deliveries;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The dead letters of the operator's workspace, one page.
    pub async fn dead_letters(&self) -> Vec<Value> {
        let page = self.get(&format!("{WEBHOOK}/dead_letters")).await.expect(200);
        page.body["items"].as_array().unwrap().clone()
    }

    /// Redrives dead letters; how many.
    pub async fn redrive(&self, body: Value) -> u64 {
        let done = self.post(&format!("{WEBHOOK}/dead_letters/redrive"), body).await.expect(200);
        done.body["redriven"].as_u64().unwrap()
    }
}
