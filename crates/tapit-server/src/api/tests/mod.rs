//! The API over real sockets, with a script behind it.
