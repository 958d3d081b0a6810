//! F3: the control plane: /v1/gateway/*, /v1/secrets.
