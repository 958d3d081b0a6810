//! Listening sockets: one for each worker on the same port, so that no worker waits for another to accept.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections the kernel holds for us while all workers are busy.
const BACKLOG: i32 = 4_096;

/// Binds `count` listeners to one address. Port 0 takes any free port, the same for all.
///
/// # Errors
/// When the address is not ours, or somebody else listens there.
pub(super) fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    // SO_REUSEPORT would let a second gateway share the port in silence. A first bind without it finds out.
    let address = alone(address)?;
    (0..count.max(1)).map(|_| listen(address)).collect()
}

/// The address the listeners are bound to.
pub(super) fn address(listeners: &[TcpListener]) -> io::Result<SocketAddr> {
    listeners.first().ok_or(io::ErrorKind::NotFound)?.local_addr()
}

fn alone(address: SocketAddr) -> io::Result<SocketAddr> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    // Two sockets may be bound to a port with SO_REUSEADDR; only one may listen.
    socket.listen(1)?;
    socket.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_workers_listen_on_one_port_and_nobody_else_can() {
        let listeners = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        assert!(addresses.iter().all(|address| *address == addresses[0]));
        assert!(bind(addresses[0], 1).is_err());
    }
}
