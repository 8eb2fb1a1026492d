//! Real containers on this host, through the same calls that the engine makes. Root and Debian's busybox-static are needed.

mod host;
mod life;
