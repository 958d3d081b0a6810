//! Which addresses may be dialled, judged on the address itself after the name was resolved.

use std::net::{IpAddr, SocketAddr};

use domain::destination::{Network, Reach, reach};

use crate::Trust;

/// What the operator allows, and where we listen ourselves.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddressRules {
    pub(crate) allow_networks: Vec<Network>,
    pub(crate) own_listeners: Vec<SocketAddr>,
}

impl AddressRules {
    /// Whether this address may be dialled for someone of this trust.
    pub(crate) fn permit(&self, address: IpAddr, trust: Trust) -> bool {
        let address = address.to_canonical();
        match reach(address) {
            Reach::Public => true,
            Reach::Private => {
                trust == Trust::Operator
                    || self.allow_networks.iter().any(|network| network.contains(address))
            }
            Reach::Never => false,
        }
    }

    /// Whether a standing connection leads back to one of our own listeners. On an unspecified listener every
    /// address of this machine is ours; a connection to oneself has the same address at both ends.
    pub(crate) fn is_own(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        self.own_listeners.iter().any(|own| {
            own.port() == peer.port()
                && (own.ip().to_canonical() == peer.ip().to_canonical()
                    || (own.ip().is_unspecified() && local.ip() == peer.ip()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_addresses_need_an_operator_or_a_named_network() {
        let rules =
            AddressRules { allow_networks: vec!["10.1.0.0/16".parse().unwrap()], ..Default::default() };
        let address = |text: &str| text.parse().unwrap();
        assert!(rules.permit(address("10.1.2.3"), Trust::Tenant));
        assert!(!rules.permit(address("10.2.2.3"), Trust::Tenant));
        assert!(rules.permit(address("10.2.2.3"), Trust::Operator));
        assert!(!rules.permit(address("169.254.169.254"), Trust::Operator));
        assert!(rules.permit(address("1.1.1.1"), Trust::Tenant));
    }

    #[test]
    fn our_own_listeners_are_recognised() {
        let socket = |text: &str| text.parse().unwrap();
        let rules = AddressRules { own_listeners: vec![socket("0.0.0.0:8080")], ..Default::default() };
        assert!(rules.is_own(socket("10.0.0.7:51000"), socket("10.0.0.7:8080")));
        assert!(!rules.is_own(socket("10.0.0.7:51000"), socket("10.0.0.8:8080")));
        assert!(!rules.is_own(socket("10.0.0.7:51000"), socket("10.0.0.7:8000")));
    }
}
