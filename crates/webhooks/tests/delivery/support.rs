//! What the cases share: a gateway with a webhook and a customer.

use serde_json::json;
use testkit::{Config, Customer, Gateway, Receiver};

/// A gateway whose first workspace has a webhook, and a customer who may call `acme/m1`.
pub(crate) struct Billed {
    pub(crate) gw: Gateway,
    pub(crate) receiver: Receiver,
    pub(crate) secret: String,
    pub(crate) customer: Customer,
}

impl Billed {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let gw = Gateway::with(|config| {
            config.webhooks.allow_private = true;
            configure(config);
        })
        .await;
        let receiver = Receiver::start().await;
        let secret = gw.hook(&receiver, 1).await;
        let customer = gw.customer("cust_42", json!([{ "slug": "acme/m1" }])).await;
        Self { gw, receiver, secret, customer }
    }

    /// One call that is billed.
    pub(crate) async fn call(&self) {
        self.gw.chat(&self.customer.key, "acme/m1").await.expect(200);
    }
}
