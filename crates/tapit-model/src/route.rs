//! What the router knows: hosts and addresses.

use std::net::SocketAddr;

/// All routes; swapped as one value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteTable {
    pub routes: Vec<Route>,
    /// The route for any host that no route names, if there is one.
    pub any_host: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Groups the request counts; the app's name.
    pub name: String,
    /// Lower case, without a port.
    pub hosts: Vec<String>,
    pub backends: Vec<Backend>,
    /// Set when there is nobody to wait for: answer 503 with this text at once instead of holding the request.
    pub closed: Option<String>,
}

/// One instance that takes requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Never reused: a withdrawn id is refused for ever.
    pub id: String,
    pub addr: SocketAddr,
}
